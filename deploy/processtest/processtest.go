// Package processtest builds the binary, runs it, and reads from outside what it takes up and what it counted: open files
// and memory as the kernel sees them, metrics as Prometheus would. Only tests import it.
package processtest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What every process here is configured with.
const (
	Secret      = "process-test-secret-0123456789abcdefghij"
	Environment = "production"
)

// Build builds envgate into a folder, with further arguments for go build, and returns the binary's path.
func Build(folder string, args ...string) (binary string, err error) {
	binary = filepath.Join(folder, "envgate")
	build := exec.CommandContext(context.Background(), "go", append(append([]string{"build", "-p", "2", "-o", binary}, args...), "envgate")...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building envgate failed: %w\n%s", err, out)
	}
	return binary, nil
}

// Command says how a process starts. Binary and Upstream are needed.
type Command struct {
	Binary   string
	Upstream string   // ENVGATE_UPSTREAM
	Settings []string // NAME=VALUE, on top of a production environment
	Prefix   []string // a program that the binary is an argument of, as prlimit is
	Stderr   *os.File // nil: a file, which a failing test prints the end of
	Traffic  string   // "": a free address of loopback
}

// Process is a running envgate.
type Process struct {
	Traffic, Admin string // addresses

	command *exec.Cmd
	log     string
	ended   chan struct{}
}

// Start starts a process and waits until it is ready. It ends with the test.
func (c Command) Start(t testing.TB) *Process {
	t.Helper()
	p, err := c.launch(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the log of %s ends with\n%s", p.Traffic, p.Log())
		}
	})
	for deadline := time.Now().Add(20 * time.Second); !p.listening() || p.Ask("/readyz") != http.StatusOK; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready", c.Binary)
		}
	}
	return p
}

func (c Command) launch(folder string) (*Process, error) {
	p := &Process{Traffic: cmp.Or(c.Traffic, anyAddress), Admin: anyAddress, log: filepath.Join(folder, "envgate.log"), ended: make(chan struct{})}
	if c.Stderr != nil { // whose lines can't be read here
		p.Traffic, p.Admin = cmp.Or(c.Traffic, freeAddress()), freeAddress()
	}
	words := append(append([]string{}, c.Prefix...), c.Binary)
	p.command = exec.CommandContext(context.Background(), words[0], words[1:]...)
	p.command.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "JWT_SECRET_KEY=" + Secret, "ENVGATE_ENVIRONMENT=" + Environment, "ENVGATE_UPSTREAM=" + c.Upstream,
		"ENVGATE_LISTEN=" + p.Traffic, "ENVGATE_ADMIN_LISTEN=" + p.Admin, "ENVGATE_KEY_FINGERPRINT=false",
	}, c.Settings...)
	p.command.SysProcAttr = endsWithUs
	p.command.Stderr = c.Stderr
	if c.Stderr == nil {
		log, err := os.Create(p.log)
		if err != nil {
			return nil, err
		}
		defer func() { _ = log.Close() }()
		p.command.Stderr = log
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.command.Wait()
		close(p.ended)
	}()
	return p, nil
}

const anyAddress = "127.0.0.1:0"

var listens = regexp.MustCompile(`"msg":"listening","address":"([^"]+)","admin":"([^"]+)"`)

// listening tells whether the addresses are known: where the kernel chose them, the process says so.
func (p *Process) listening() bool {
	if p.Admin != anyAddress {
		return true
	}
	m := listens.FindStringSubmatch(p.Log())
	if m != nil {
		p.Traffic, p.Admin = m[1], m[2]
	}
	return m != nil
}

// freeAddress is one that nobody listened at a moment ago.
func freeAddress() string {
	var listen net.ListenConfig
	l, err := listen.Listen(context.Background(), "tcp", anyAddress)
	if err != nil {
		panic(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// Signal sends the process a signal.
func (p *Process) Signal(s syscall.Signal) { _ = p.command.Process.Signal(s) }

// Kill ends the process at once, and returns when it is gone.
func (p *Process) Kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

// Ended is closed when the process has.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Log is the end of what the process wrote to its own file.
func (p *Process) Log() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-4000):])
}

// admin asks the admin listener over connections of its own: nothing that a test floods holds them up for long.
var admin = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Ask returns the status of a path of the admin listener, 0 without an answer.
func (p *Process) Ask(path string) int {
	status, _ := p.read(path)
	return status
}

func (p *Process) read(path string) (status int, body string) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+p.Admin+path, nil)
	if err != nil {
		return 0, ""
	}
	res, err := admin.Do(r)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// Counts are the values of all series, by name and labels as /metrics writes them; empty without an answer.
func (p *Process) Counts() map[string]float64 {
	counts := map[string]float64{}
	_, text := p.read("/metrics")
	for line := range strings.Lines(text) {
		if series, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok {
			counts[series+"}"], _ = strconv.ParseFloat(value, 64)
		} else if series, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && series != "#" {
			counts[series], _ = strconv.ParseFloat(value, 64)
		}
	}
	return counts
}

// Memory is what of the process is in memory now, and the most that was since ResetPeak, in bytes; 0 where the kernel
// doesn't say.
func (p *Process) Memory() (now, peak int64) { return p.status("VmRSS:"), p.status("VmHWM:") }

func (p *Process) status(field string) int64 {
	text, _ := os.ReadFile(p.proc("status"))
	_, line, _ := strings.Cut(string(text), field)
	line, _, _ = strings.Cut(line, "kB")
	n, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return n << 10
}

// ResetPeak forgets the highest amount of memory (proc(5), clear_refs).
func (p *Process) ResetPeak() { _ = os.WriteFile(p.proc("clear_refs"), []byte("5"), 0) }

// OpenFiles counts the process's file descriptors; 0 where the kernel doesn't say.
func (p *Process) OpenFiles() int {
	entries, _ := os.ReadDir(p.proc("fd"))
	return len(entries)
}

func (p *Process) proc(name string) string {
	return fmt.Sprintf("/proc/%d/%s", p.command.Process.Pid, name)
}

// Token signs claims on top of those of a good token, which nil takes away.
func Token(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	return SignedBy(t, Secret, claims)
}

// SignedBy is a token under another secret.
func SignedBy(t testing.TB, secret string, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{
		"iss": "mcpgateway", "aud": "mcpgateway-api", "sub": "user@example.com", "jti": "test-id", "env": Environment,
		"exp": time.Now().Add(2 * time.Hour).Unix(), "iat": time.Now().Add(-time.Minute).Unix(),
	}
	for name, value := range claims {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, all).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
