package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// process is a server that was started for the measurement. Its output goes to a file, as a container's would.
type process struct {
	cmd    *exec.Cmd
	output string
	ended  chan struct{}
}

// pinned starts a command on one core. Go programs among them get one thread that runs Go code.
func pinned(ctx context.Context, core int, folder string, environ []string, command ...string) (*process, error) {
	return launch(ctx, core, folder, "output", func(*exec.Cmd) {}, environ, command...)
}

func launch(ctx context.Context, core int, folder, output string, wire func(*exec.Cmd), environ []string, command ...string) (*process, error) {
	p := &process{output: filepath.Join(folder, output), ended: make(chan struct{})}
	out, err := os.OpenFile(p.output, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the child has its own
	p.cmd = exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(core)}, command...)...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = folder, out, out
	p.cmd.Env = append([]string{"GOMAXPROCS=1", "PATH=" + os.Getenv("PATH"), "HOME=" + folder}, environ...)
	wire(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// conversing starts a command like pinned, and talks to it through its standard input and output.
func conversing(ctx context.Context, core int, folder string, command ...string) (*process, io.Writer, io.Reader, error) {
	fromChild, toUs, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { _ = toUs.Close() }() // the child has its own
	fromUs, toChild, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { _ = fromUs.Close() }() // the child has its own
	p, err := launch(ctx, core, folder, "clients", func(cmd *exec.Cmd) { cmd.Stdin, cmd.Stdout = fromUs, toUs }, nil, command...)
	return p, toChild, fromChild, err
}

// stop ends it at once: what it would still do in a drain is not measured.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
}

// failure is err with what the process wrote last.
func (p *process) failure(err error) error {
	text, _ := os.ReadFile(p.output)
	text = bytes.TrimSpace(text)
	if len(text) > 2000 {
		text = text[len(text)-2000:]
	}
	return fmt.Errorf("%w\n%s: %s", err, filepath.Base(p.cmd.Args[3]), text)
}

// memory is what the kernel counts for a process, in kB: resident, its share of resident, and the most that was resident.
type memory struct{ rss, pss, peak int64 }

func (p *process) memory() (m memory, err error) {
	for file, fields := range map[string]map[string]*int64{
		"smaps_rollup": {"Rss": &m.rss, "Pss": &m.pss}, "status": {"VmHWM": &m.peak},
	} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
		if err != nil {
			return m, err
		}
		if err := kilobytes(string(text), fields); err != nil {
			return m, fmt.Errorf("%s: %w", file, err)
		}
	}
	return m, nil
}

// kilobytes reads lines such as "Rss:   123 kB".
func kilobytes(text string, fields map[string]*int64) error {
	found := 0
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		if to, ok := fields[name]; ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return err
			}
			*to = n
			found++
		}
	}
	if found != len(fields) {
		return fmt.Errorf("%d of %d lines", found, len(fields))
	}
	return nil
}
