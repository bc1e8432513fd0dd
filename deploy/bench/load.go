package main

import (
	"context"
	_ "embed" // load.lua
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed load.lua
var loadScript string

// load is one run of wrk.
type load struct {
	core        int
	script      string // path of load.lua
	url         string
	connections int
	duration    time.Duration
	header      string   // "" for none
	arguments   []string // for the script
}

// outcome is what wrk counted.
type outcome struct {
	requests int64
	took     time.Duration
	refused  int64 // answers of 400 and more
	broken   int64 // connections that failed, and answers that took more than ten seconds
	p50, p99 time.Duration
}

// rate is in requests per second.
func (o outcome) rate() float64 { return float64(o.requests) / o.took.Seconds() }

func (l load) run(ctx context.Context) (outcome, error) {
	args := []string{
		"-c", strconv.Itoa(l.core), "wrk", "-t1", "-c", strconv.Itoa(l.connections), "--timeout", "10s",
		"-d", "600", "-s", l.script, // whole seconds only: it is interrupted, upon which it reports as usual
	}
	if l.header != "" {
		args = append(args, "-H", l.header)
	}
	args = append(append(args, l.url, "--"), l.arguments...)
	var out strings.Builder
	cmd := exec.CommandContext(ctx, "taskset", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return outcome{}, err
	}
	interruptible(cmd.Process.Pid)
	time.Sleep(l.duration)
	_ = cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		return outcome{}, fmt.Errorf("wrk: %w: %s", err, out.String())
	}
	return parse(out.String())
}

// interruptible waits, at most ten seconds, until wrk has begun: it handles interrupts then (proc(5), SigCgt), which would end
// it without a report before.
func interruptible(pid int) {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		_, mask, _ := strings.Cut(string(text), "SigCgt:\t")
		mask, _, _ = strings.Cut(mask, "\n")
		if caught, err := strconv.ParseUint(mask, 16, 64); err == nil && caught&(1<<(syscall.SIGINT-1)) != 0 {
			return
		}
	}
}

// parse reads the line that load.lua writes below wrk's own report.
func parse(text string) (o outcome, err error) {
	_, line, found := strings.Cut(text, "measured ")
	if !found {
		return o, fmt.Errorf("wrk: no line of load.lua in %q", text)
	}
	var took, p50, p99 int64
	n, err := fmt.Sscanf(line, "requests=%d microseconds=%d refused=%d broken=%d p50=%d p99=%d", &o.requests, &took, &o.refused, &o.broken, &p50, &p99)
	if err != nil {
		return o, fmt.Errorf("wrk: %d fields in %q: %w", n, line, err)
	}
	o.took, o.p50, o.p99 = time.Duration(took)*time.Microsecond, time.Duration(p50)*time.Microsecond, time.Duration(p99)*time.Microsecond
	return o, nil
}
