// Bench measures envgate side by side with a bare httputil.ReverseProxy, Envoy, HAProxy and nginx, as docs/benchmarks.md shows.
//
//	go run ./deploy/bench            measures all and prints the tables
//	go run ./deploy/bench -quick     the same in three minutes, once and short
//	go run ./deploy/bench -write     renews docs/benchmarks.md and its picture
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	roles := map[string]func([]string) error{"streams-upstream": streamsUpstream, "streams-clients": streamsClients}
	run := measure
	args := os.Args[1:]
	if len(args) > 0 && roles[args[0]] != nil {
		run, args = roles[args[0]], args[1:]
	}
	if err := run(args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	runs, streamRuns, starts, divisor int
	duration                          time.Duration
	only                              []string
	quick, write                      bool
	envoy                             string
	cores                             [2]int // proxy, load
}

func parseOptions(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.runs, "runs", 5, "how often each peer is measured in each scenario")
	flags.DurationVar(&o.duration, "duration", 1500*time.Millisecond, "how long one run lasts")
	only := flags.String("only", "", "scenarios, separated by commas, instead of all: "+strings.Join(names(), ", "))
	flags.BoolVar(&o.quick, "quick", false, "one short run each, and a tenth of the streams")
	flags.BoolVar(&o.write, "write", false, "renew docs/benchmarks.md and docs/images/benchmarks.svg; only with all scenarios and five runs or more")
	flags.StringVar(&o.envoy, "envoy", "", "path of Envoy's binary, if it is neither in the user's cache nor on the path")
	cores := flags.String("cores", "0,1", "the core of the proxy, and that of load and upstream; the same twice is a machine of one core")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if _, err := fmt.Sscanf(*cores, "%d,%d", &o.cores[0], &o.cores[1]); err != nil {
		return o, fmt.Errorf("cores: %q: want two numbers, separated by a comma", *cores)
	}
	o.streamRuns, o.starts, o.divisor, o.only = o.runs, 15, 1, names()
	if o.quick {
		o.runs, o.streamRuns, o.starts, o.divisor, o.duration = 1, 1, 5, 10, 700*time.Millisecond
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(names(), name) {
			return o, fmt.Errorf("only: %q: want some of %s", name, strings.Join(names(), ", "))
		}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("%q: want flags only", flags.Args())
	case o.runs < 1:
		return o, fmt.Errorf("runs: %d: want 1 or more", o.runs)
	case o.duration < 500*time.Millisecond || o.duration > time.Minute:
		return o, fmt.Errorf("duration: %s: want 500ms to 1m", o.duration)
	case o.write && (o.runs < 5 || *only != "" || o.cores[0] == o.cores[1]):
		return o, errors.New("write: what is published are medians of five runs or more, of all scenarios, with two cores")
	}
	return o, nil
}

// names are what -only takes.
func names() (list []string) {
	for _, s := range scenarios {
		list = append(list, s.name)
	}
	return append(list, "streams", "start")
}

// measure does what the command line says, and prints the tables.
func measure(args []string) error {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.stop()
	r := report{}
	for _, s := range scenarios {
		if slices.Contains(o.only, s.name) {
			r.scenarios = append(r.scenarios, s)
		}
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	if err := b.start(ctx, r.scenarios); err != nil {
		return err
	}
	if slices.Contains(o.only, "start") {
		if r.shipped, err = b.shipped(ctx, o.starts); err != nil {
			return err
		}
	}
	var complete int
	r.results, complete, err = b.matrix(ctx, r.scenarios, o.runs)
	if err == nil && slices.Contains(o.only, "streams") {
		var streams streamResults
		if streams, err = b.streams(ctx, o.divisor, o.streamRuns); err == nil {
			r.streams = streams
		}
	}
	r.machine = b.machine(context.WithoutCancel(ctx), complete)
	if complete > 0 { // what was measured before a failure is shown, but not published
		_, printed := fmt.Fprintln(os.Stdout, r.markdown())
		err = errors.Join(err, printed)
	}
	if err != nil || !o.write {
		return err
	}
	return r.write(b.root)
}

// newBench looks whether everything is there.
func newBench(ctx context.Context, o options) (*bench, error) {
	lines := missing()
	envoy, err := findEnvoy(o.envoy)
	if err != nil {
		lines = append(lines, err.Error())
	}
	if n := runtime.NumCPU(); n < 2 {
		lines = append(lines, fmt.Sprintf("%d core: want one for the proxy and one for the load", n))
	}
	if len(lines) > 0 {
		return nil, errors.New(strings.Join(lines, "\nbench: "))
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "bench")
	return &bench{
		folder: folder, root: filepath.Dir(strings.TrimSpace(string(out))), envoy: envoy, proxyCore: o.cores[0], loadCore: o.cores[1],
		run: o.duration, warm: 500 * time.Millisecond, progress: os.Stderr, busy: loadAverage(),
	}, err
}
