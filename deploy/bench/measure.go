package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// sample is one run of one peer in one scenario.
type sample struct {
	cpu          float64 // microseconds per request, as the kernel counted them for the proxy's process
	rate         float64 // requests per second
	p50, p99     time.Duration
	requests     int64  // of the run and its warm-up
	idle, loaded memory // before the first request of a run, and right after the last
}

// results are samples by scenario and peer, in the order of runs.
type results map[string]map[string][]sample

// matrix measures every scenario with every peer, all of them once per run, so that what changes on the machine meanwhile
// changes all alike. With an error it returns the runs that were complete before, so that they aren't lost.
func (b *bench) matrix(ctx context.Context, list []scenario, runs int) (r results, complete int, err error) {
	r = results{}
	for _, s := range list {
		r[s.name] = map[string][]sample{}
	}
	for run := range runs {
		for _, s := range list {
			began := time.Now()
			for _, p := range in(s) {
				got, err := b.patient(ctx, s, p)
				if err != nil {
					return r.first(run), run, err
				}
				r[s.name][p.name] = append(r[s.name][p.name], got)
			}
			_, _ = fmt.Fprintf(b.progress, "run %d of %d, %s: %.1f s;", run+1, runs, s.name, time.Since(began).Seconds())
			for _, p := range in(s) {
				got := r[s.name][p.name][run]
				_, _ = fmt.Fprintf(b.progress, " %s %.1f µs", p.name, got.cpu)
			}
			_, _ = fmt.Fprintln(b.progress)
		}
	}
	return r, runs, nil
}

// first drops the samples of runs beyond the first ones.
func (r results) first(runs int) results {
	for _, samples := range r {
		for name, list := range samples {
			samples[name] = list[:min(runs, len(list))]
		}
	}
	return r
}

// patient takes a sample again, and longer where tokens may be sent twice, while the machine is too busy with other things.
func (b *bench) patient(ctx context.Context, s scenario, p peer) (got sample, err error) {
	for try := range 5 {
		run := b.run
		if s.tokens != fresh {
			run <<= try
		}
		if got, err = b.sample(ctx, s, p, run); !errors.Is(err, errDisturbed) {
			return got, err
		}
		_, _ = fmt.Fprintln(b.progress, err)
	}
	return got, err
}

// sample starts a peer, checks it, warms it up and measures it for the time of a run. Each run has a new process: none has seen a token before.
func (b *bench) sample(ctx context.Context, s scenario, p peer, run time.Duration) (got sample, err error) {
	m, upstream := b.material[s.algorithm], b.base
	if s.unix {
		upstream = "unix://" + b.socket
	}
	process, setup, err := b.proxy(ctx, p, upstream, m.keys)
	if err != nil {
		return got, err
	}
	defer process.stop()
	base := "http://" + setup.listen()
	if err := m.check(ctx, p, base); err != nil {
		return got, err
	}
	if got.idle, err = process.memory(); err != nil {
		return got, err
	}
	warmUp, measured := m.loads(s, run, b.warm)
	for _, l := range []*load{&warmUp, &measured} {
		l.core, l.script, l.url = b.loadCore, b.folder+"/load.lua", base+s.path
	}
	warm, err := warmUp.run(ctx)
	if err != nil {
		return got, err
	}
	before, err := process.cpu()
	if err != nil {
		return got, err
	}
	out, err := measured.run(ctx)
	if err != nil {
		return got, err
	}
	after, err := process.cpu()
	if err != nil {
		return got, err
	}
	if got.loaded, err = process.memory(); err != nil {
		return got, err
	}
	if p.caches {
		if err := m.enough(s, warm, out); err != nil {
			return got, err
		}
	}
	if err := out.expected(s, p); err != nil {
		return got, err
	}
	got.cpu = float64((after - before).Nanoseconds()) / 1e3 / float64(out.requests)
	got.requests = warm.requests + out.requests
	got.rate, got.p50, got.p99 = out.rate(), out.p50, out.p99
	return got, nil
}

// errDisturbed is of runs that say nothing: connections broke, or nothing was answered.
var errDisturbed = errors.New("disturbed")

// expected complains about answers other than the scenario's.
func (o outcome) expected(s scenario, p peer) error {
	refused := int64(0)
	if s.refuses() && p.guard {
		refused = o.requests
	}
	switch {
	case o.requests == 0:
		return fmt.Errorf("%s, %s: no request was answered within %s: %w", s.name, p.name, o.took, errDisturbed)
	case o.refused != refused:
		return fmt.Errorf("%s, %s: %d of %d answers were refusals, want %d", s.name, p.name, o.refused, o.requests, refused)
	case o.broken > 0:
		return fmt.Errorf("%s, %s: %d connections failed or timed out, beside %d answers: %w", s.name, p.name, o.broken, o.requests, errDisturbed)
	}
	return nil
}
