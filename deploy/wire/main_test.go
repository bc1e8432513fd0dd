// Package wire speaks to the built binary in bytes: whatever a client or an upstream sends, one request goes on, with one way
// to read it, or a clean refusal comes back, and the process stays as small as it was. The upstream is one that keeps count.
package wire

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"envgate/deploy/processtest"
)

// built is the envgate. Without its profile it shares the compiled packages with the tests.
var built string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	_ = flag.Set("test.parallel", "4") // they wait more than they work
	folder, err := os.MkdirTemp("", "envgate-wire-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	if built, err = processtest.Build(folder, "-pgo=off"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// start runs a sidecar before an upstream.
func start(t *testing.T, u *upstream, settings ...string) *processtest.Process {
	t.Helper()
	return processtest.Command{Binary: built, Upstream: "http://" + u.address, Settings: settings}.Start(t)
}

// client is one connection to the sidecar.
type client struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, p *processtest.Process) *client {
	t.Helper()
	conn, err := net.Dial("tcp", p.Traffic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	return &client{t, conn, bufio.NewReader(conn)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads the next answer with its body; nil when the connection has ended.
func (c *client) answer() (*http.Response, string) {
	res, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err.Error()
	}
	body, err := io.ReadAll(res.Body)
	if err != nil && !res.Close { // else it may end in a reset, for what the client sent behind its request isn't read
		return nil, "in mid-answer: " + err.Error()
	}
	return res, string(body)
}

// ended tells whether the sidecar has closed the connection, and that without a further byte.
func (c *client) ended() bool {
	_, err := c.in.ReadByte()
	return err != nil && !os.IsTimeout(err)
}

// authorized is a request's head without its last line, with an accepted token.
func authorized(t *testing.T, method, target string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + processtest.Token(t, nil) + "\r\n"
}

// eventually waits for what others bring about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// flat runs something, and wants the process to take at most so many bytes more meanwhile, and as many open files and
// requests in flight as before afterwards.
func flat(t *testing.T, p *processtest.Process, most int64, run func()) {
	t.Helper()
	before, _ := p.Memory()
	files := p.OpenFiles()
	p.ResetPeak()
	run()
	_, peak := p.Memory()
	t.Logf("memory: %.1f MB before, at most %.1f MB meanwhile", mb(before), mb(peak))
	if peak > before+most {
		t.Errorf("%.1f MB more, want at most %.1f MB", mb(peak-before), mb(most))
	}
	eventually(t, "as many open files, and nothing in flight", func() bool {
		return p.OpenFiles() <= files+4 && p.Counts()["envgate_requests_in_flight"] == 0
	})
}

func mb(n int64) float64 { return float64(n) / (1 << 20) }

func words(s string) string { return strings.Join(strings.Fields(s), " ") }
