//go:build realgateway

package realgateway

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// processes are all that this run started, so that it can end them whatever happens.
var processes []*process

// process is a gateway or a sidecar.
type process struct {
	cmd   *exec.Cmd
	log   *log
	ended chan struct{}
}

// log keeps what a process writes; a failing test prints its end.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *log) tail() string {
	text := l.String()
	return text[max(0, len(text)-3000):]
}

// start starts a command in its own process group with nothing in its environment but env and what every process needs,
// and waits until the address answers 200.
func start(t *testing.T, ready, dir string, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), log: &log{}, ended: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LANG=C.UTF-8"}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	// The kernel ends the process with us, so that a test run that is killed leaves nothing behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	processes = append(processes, p)
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	if err := p.wait(ready, 120*time.Second); err != nil {
		p.stop()
		t.Fatalf("%s: %v\n%s", name, err, p.log.tail())
	}
	return p
}

func (p *process) wait(address string, limit time.Duration) error {
	client := http.Client{Timeout: 3 * time.Second}
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		if resp, err := client.Get(address); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.ended:
			return fmt.Errorf("ended while starting: %v", p.cmd.ProcessState)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s did not answer 200 in %v", address, limit)
}

// stop ends the process group: kindly first, but an open stream can hold a kind end up.
func (p *process) stop() {
	select {
	case <-p.ended:
		return // the kernel may have given its number to somebody else
	default:
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(2 * time.Second):
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
}

// freeAddress returns a loopback address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
