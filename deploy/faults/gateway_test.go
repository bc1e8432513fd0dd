//go:build faults

package faults

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// What a gateway does with requests.
const (
	well    = iota
	stalled // takes a request and doesn't answer until it is well again
	reset   // resets the connection in mid-answer
	garbage // answers what is no HTTP
)

// gateway is an upstream that can be killed, restarted and broken. It knows every POST by its X-Id: a GET may be sent
// again by any HTTP client on the way.
type gateway struct {
	address string
	config  *tls.Config // nil: plain HTTP
	how     atomic.Int32
	arrived atomic.Int64

	mu      sync.Mutex
	server  *http.Server
	resumed chan struct{}  // closed when it is well again
	ids     map[string]int // how often each arrived; nil: not kept
}

func newGateway(t *testing.T, config *tls.Config) *gateway {
	t.Helper()
	g := &gateway{address: "127.0.0.1:0", config: config, resumed: make(chan struct{}), ids: map[string]int{}}
	g.start(t)
	t.Cleanup(func() {
		g.behave(well)
		g.kill()
	})
	return g
}

// start listens where it listened before.
func (g *gateway) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	g.address = l.Addr().String()
	if g.config != nil {
		l = tls.NewListener(l, g.config)
	}
	server := &http.Server{Handler: http.HandlerFunc(g.serve), ErrorLog: log.New(io.Discard, "", 0)}
	g.mu.Lock()
	g.server = server
	g.mu.Unlock()
	go func() { _ = server.Serve(l) }()
}

// kill closes the listener and every connection.
func (g *gateway) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.server.Close()
}

func (g *gateway) behave(how int32) {
	g.how.Store(how)
	if how == well {
		g.mu.Lock()
		close(g.resumed)
		g.resumed = make(chan struct{})
		g.mu.Unlock()
	}
}

func (g *gateway) serve(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	g.arrived.Add(1)
	g.mu.Lock()
	resumed := g.resumed
	if id := r.Header.Get("X-Id"); id != "" && g.ids != nil {
		g.ids[id]++
	}
	g.mu.Unlock()
	switch g.how.Load() {
	case stalled:
		select {
		case <-resumed:
		case <-r.Context().Done():
			return
		}
	case reset:
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, "half of an ")
		_ = http.NewResponseController(w).Flush()
		breakOff(w)
		return
	case garbage:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(conn, "\x00\x01 this is no HTTP\r\n\r\n")
			_ = conn.Close()
		}
		return
	}
	switch r.URL.Path {
	case "/sse":
		g.events(w, r)
	case "/ws":
		echo(w, r)
	case "/slow":
		time.Sleep(500 * time.Millisecond)
		fallthrough
	default:
		_, _ = io.WriteString(w, `{"tools":[]}`)
	}
}

// breakOff resets the connection under an answer.
func breakOff(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// events sends one event every 50 ms until the client goes.
func (g *gateway) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for n := 0; ; n++ {
		_, _ = fmt.Fprintf(w, "data: %d\n\n", n)
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// echo sends every message of a WebSocket back.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

// twice counts the requests that arrived more than once.
func (g *gateway) twice() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, times := range g.ids {
		if times > 1 {
			n++
		}
	}
	return n
}
