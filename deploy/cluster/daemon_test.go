//go:build cluster

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// daemon is a program that runs as long as the tests do. What it says goes to a file.
type daemon struct {
	name  string
	c     *exec.Cmd
	ended chan struct{}
}

func startDaemon(name string, args ...string) (*daemon, error) {
	d := &daemon{name: filepath.Base(name), c: exec.Command(name, args...), ended: make(chan struct{})}
	log, err := os.Create(d.log())
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.c.Dir, d.c.Stdout, d.c.Stderr = work, log, log
	// The kernel ends it with us, so that a run that is killed leaves nothing behind.
	d.c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.c.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = d.c.Wait()
		close(d.ended)
	}()
	return d, nil
}

func (d *daemon) stop() {
	_ = d.c.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { _ = d.c.Process.Kill() })
	<-d.ended
	timer.Stop()
}

func (d *daemon) hasEnded() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

func (d *daemon) log() string { return filepath.Join(work, d.name+".log") }

func (d *daemon) lastLines() []byte {
	text, _ := os.ReadFile(d.log())
	return text[max(0, len(text)-2000):]
}
