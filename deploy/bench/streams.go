package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// kind is one kind of stream; each stream gets one small message per period, as servers send to keep them alive.
type kind struct {
	name, title string
	wanted      int // streams at once
}

// streamPeers are compared: nothing but these two is of one kind.
var streamPeers = []peer{named("bare"), named("envgate")}

const period = 5 * time.Second

var kinds = []kind{
	{"sse", "SSE streams", 10_000},
	{"websocket", "WebSockets", 5_000},
}

// spareFiles are what a process needs beside its streams.
const spareFiles = 200

// affordable is how many of the wanted streams the limit on open files lets one proxy hold: each costs it two.
func affordable(wanted int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	most := int(min(limit.Max, 1<<30))
	return min(wanted, (most-spareFiles)/2), nil
}

// streamSample is one run of one peer with many streams.
type streamSample struct {
	rss, pss float64 // kB of 1024 that each stream added
	opening  float64 // microseconds of CPU per stream that was opened
	event    float64 // microseconds of CPU per message that was passed on
	load     float64 // percent of one core while all of them are idle
}

// streamResults are samples by kind and peer.
type streamResults struct {
	counts  map[string]int
	samples map[string]map[string][]streamSample
}

// streams holds many streams open through envgate and bare in turn.
func (b *bench) streams(ctx context.Context, divisor, runs int) (streamResults, error) {
	r := streamResults{map[string]int{}, map[string]map[string][]streamSample{}}
	folder, _, err := b.place(ctx, "streams")
	if err != nil {
		return r, err
	}
	socket := filepath.Join(folder, "socket")
	self := filepath.Join(b.folder, "bench")
	server, err := pinned(ctx, b.loadCore, folder, nil, self, "streams-upstream", socket, period.String())
	if err != nil {
		return r, err
	}
	defer server.stop()
	for _, k := range kinds {
		n, err := affordable(k.wanted / divisor)
		if err != nil {
			return r, err
		}
		r.counts[k.name], r.samples[k.name] = n, map[string][]streamSample{}
		for run := range runs {
			for _, p := range streamPeers {
				got, err := b.streamSample(ctx, p, k, n, "unix://"+socket)
				if err != nil {
					return r, server.failure(fmt.Errorf("%s, %s: %w", k.title, p.name, err))
				}
				r.samples[k.name][p.name] = append(r.samples[k.name][p.name], got)
				_, _ = fmt.Fprintf(b.progress, "run %d of %d, %d %s, %s: %.1f kB, %.1f µs per message\n", run+1, runs, n, k.title, p.name, got.pss, got.event)
			}
		}
	}
	return r, nil
}

func (b *bench) streamSample(ctx context.Context, p peer, k kind, n int, upstream string) (got streamSample, err error) {
	proxy, setup, err := b.proxy(ctx, p, upstream, b.material["HS256"].keys)
	if err != nil {
		return got, err
	}
	defer proxy.stop()
	clients, err := b.openStreams(ctx, setup, k, n)
	if err != nil {
		return got, err
	}
	defer clients.process.stop()
	empty, err := proxy.memory()
	if err != nil {
		return got, err
	}
	var at [3]time.Duration // CPU before they open, when they are open, and at the end
	if at[0], err = proxy.cpu(); err != nil {
		return got, err
	}
	if err := clients.ask("opened", n); err != nil {
		return got, err
	}
	time.Sleep(time.Second) // until what opening left behind is done
	if at[1], err = proxy.cpu(); err != nil {
		return got, err
	}
	if err := clients.ask("messages", n); err != nil {
		return got, err
	}
	if at[2], err = proxy.cpu(); err != nil {
		return got, err
	}
	full, err := proxy.memory()
	if err != nil {
		return got, err
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(n) }
	got.rss, got.pss = float64(full.rss-empty.rss)/float64(n), float64(full.pss-empty.pss)/float64(n)
	got.opening, got.event = each(at[1]-at[0]), each(at[2]-at[1])
	got.load = 100 * (at[2] - at[1]).Seconds() / period.Seconds()
	return got, nil
}

// streamClients is the process that holds the clients' ends.
type streamClients struct {
	process *process
	in      io.Writer
	out     *bufio.Reader
}

func (b *bench) openStreams(ctx context.Context, s setup, k kind, n int) (streamClients, error) {
	p, in, out, err := conversing(ctx, b.loadCore, s.folder, filepath.Join(b.folder, "bench"), "streams-clients", s.listen(), k.name, strconv.Itoa(n), b.material["HS256"].good, period.String())
	return streamClients{p, in, bufio.NewReader(out)}, err
}

// ask has the clients do one thing to the end: open all streams, or count messages for a period.
func (c streamClients) ask(what string, n int) error {
	if _, err := fmt.Fprintln(c.in, what); err != nil {
		return c.process.failure(err)
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		return c.process.failure(err)
	}
	var done, failed int
	if _, err := fmt.Sscanf(line, what+" %d failed %d", &done, &failed); err != nil {
		return fmt.Errorf("clients say %q: %w", line, err)
	}
	if failed > 0 || done < n*9/10 || what == "opened" && done != n {
		return c.process.failure(fmt.Errorf("%d %s, %d failed: want %d", done, what, failed, n))
	}
	return nil
}
