package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// scripted is an upstream that answers with raw bytes: the n-th request on any connection gets the n-th answer. An answer that
// ends in CLOSE is the last on its connection.
type scripted struct {
	net.Listener
	accepted, requests, brokenOff atomic.Int64
}

func newScripted(t *testing.T, answers ...string) (*scripted, *connections) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{Listener: l}
	s.accept(t, answers)
	cs := &connections{idleTimeout: time.Minute, brokenOff: func() { s.brokenOff.Add(1) }, dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	}}
	t.Cleanup(cs.closeIdle)
	return s, cs
}

// accept serves connections until the test has ended.
func (s *scripted) accept(t *testing.T, answers []string) {
	acceptAll(t, s.Listener, func(conn net.Conn) {
		s.accepted.Add(1)
		s.serve(conn, answers)
	})
}

// acceptAll gives each connection to a goroutine of its own, until the test has ended.
func acceptAll(t *testing.T, l net.Listener, serve func(net.Conn)) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
}

func (s *scripted) serve(conn net.Conn, answers []string) {
	defer conn.Close()
	br := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		n := int(s.requests.Add(1)) - 1
		text, last := strings.CutSuffix(answers[min(n, len(answers)-1)], "CLOSE")
		_, _ = io.WriteString(conn, text)
		if last {
			return
		}
	}
}

// ask sends one request and gives the answer as text: status, body, trailer.
func (cs *connections) ask(t *testing.T, method, body string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://upstream/", reader)
	if err != nil {
		t.Fatal(err)
	}
	res, err := cs.RoundTrip(r)
	if err != nil {
		return err.Error()
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(res.StatusCode, " ", string(text), res.Trailer.Get("X-End"))
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestConnectionsOfAnUpstream(t *testing.T) {
	for _, row := range []struct {
		name          string
		methods       string // each with a body where it is POST
		answers, want []string
		accepted      int64
	}{
		{"one connection serves one request after the other", "GET GET GET", []string{okAnswer}, []string{"200 ok", "200 ok", "200 ok"}, 1},
		{"a body is sent whole before the connection is used again", "POST GET", []string{okAnswer}, []string{"200 ok", "200 ok"}, 1},
		{"HEAD", "HEAD GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", okAnswer}, []string{"200 ", "200 ok"}, 1},
		{"no content", "GET GET", []string{"HTTP/1.1 204 No Content\r\n\r\n", okAnswer}, []string{"204 ", "200 ok"}, 1},
		{"not modified", "GET GET", []string{"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", okAnswer}, []string{"304 ", "200 ok"}, 1},
		{"an empty body", "GET GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", okAnswer}, []string{"200 ", "200 ok"}, 1},
		{"chunks and a trailer", "GET GET", []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n2\r\nok\r\n0\r\nX-End: !\r\n\r\n", okAnswer}, []string{"200 ok!", "200 ok"}, 1},
		{"an answer that ends with the connection", "GET GET", []string{"HTTP/1.1 200 OK\r\n\r\nokCLOSE", okAnswer}, []string{"200 ok", "200 ok"}, 2},
		{"an answer that says close", "GET GET", []string{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", okAnswer}, []string{"200 ok", "200 ok"}, 2},
		{"HTTP/1.0", "GET GET", []string{"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", okAnswer}, []string{"200 ok", "200 ok"}, 2},
		{"informational answers", "GET GET", []string{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + okAnswer, okAnswer}, []string{"200 ok", "200 ok"}, 1},
		{"a second answer to one request", "GET GET", []string{okAnswer + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", okAnswer}, []string{"200 ok", "200 ok"}, 2},
		{"an upgrade that nobody asked for", "GET GET", []string{"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", okAnswer}, []string{"101 ", "200 ok"}, 2},
		{"a used connection that breaks off is replaced", "GET GET", []string{okAnswer, "CLOSE", okAnswer}, []string{"200 ok", "200 ok"}, 2},
		{"but a request that may do something is sent once", "GET POST", []string{okAnswer, "CLOSE", okAnswer}, []string{"200 ok", "unexpected EOF"}, 1},
		{"a fresh one that breaks off isn't", "GET", []string{"CLOSE"}, []string{"unexpected EOF"}, 1},
		{"an answer that breaks off isn't", "GET GET", []string{okAnswer, "HTTP/1.1 200CLOSE"}, []string{"200 ok", "unexpected EOF"}, 1},
		{"a body that breaks off", "GET", []string{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nokCLOSE"}, []string{"unexpected EOF"}, 1},
		{"garbage", "GET", []string{"garbage\r\n\r\n"}, []string{`malformed HTTP response "garbage"`}, 1},
		{"a header without end", "GET", []string{"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxAnswerHeader)}, []string{errHeaderTooLong.Error()}, 1},
		{"informational answers without end", "GET", []string{strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", maxAnswerHeader/20)}, []string{errHeaderTooLong.Error()}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, cs := newScripted(t, row.answers...)
			for i, method := range strings.Fields(row.methods) {
				body := ""
				if method == http.MethodPost {
					body = strings.Repeat("body", 5000)
				}
				if got := cs.ask(t, method, body); got != row.want[i] {
					t.Errorf("request %d: %q, want %q", i, got, row.want[i])
				}
				time.Sleep(5 * time.Millisecond) // what else the upstream sends has arrived
			}
			if n := s.accepted.Load(); n != row.accepted {
				t.Errorf("%d connections, want %d", n, row.accepted)
			}
			if n := s.brokenOff.Load(); (n > 0) != (row.name == "a body that breaks off") {
				t.Errorf("%d bodies were broken off", n)
			}
		})
	}
}

// What arrives on an idle connection is never taken for the answer to the next request.
func TestAnAnswerToNoRequest(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	late := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, okAnswer)
			if n > 0 {
				conn.Close()
				continue
			}
			time.Sleep(20 * time.Millisecond) // the first answer has been read
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			close(late)
		}
	}()
	cs := &connections{idleTimeout: time.Minute, dial: func(context.Context) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }}
	defer cs.closeIdle()
	for range 3 {
		if got := cs.ask(t, http.MethodGet, ""); got != "200 ok" {
			t.Errorf("got %q", got)
		}
		<-late
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	s, cs := newScripted(t, okAnswer)
	cs.idleTimeout = 30 * time.Millisecond
	idle := func() int {
		cs.mutex.Lock()
		defer cs.mutex.Unlock()
		return len(cs.idle)
	}
	cs.ask(t, http.MethodGet, "")
	if idle() != 1 {
		t.Fatal("the connection isn't kept")
	}
	eventually(t, "none idle", func() bool { return idle() == 0 })
	cs.ask(t, http.MethodGet, "")
	if n := s.accepted.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
	for range maxIdleConnections + 10 {
		conn, err := cs.dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		cs.put(newConnection(conn, cs))
	}
	if n := idle(); n > maxIdleConnections {
		t.Errorf("%d are kept", n)
	}
}

// An answer may come before the request's body has ended: it is given at once, and the connection ends with it.
func TestAnEarlyAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		br := bufio.NewReader(conn)
		_, _ = http.ReadRequest(br)
		_, _ = io.WriteString(conn, okAnswer)
		_, err = io.Copy(io.Discard, br)
		ended <- err
	}()
	cs := &connections{idleTimeout: time.Minute, dial: func(context.Context) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }}
	defer cs.closeIdle()
	body, end := io.Pipe()
	r, _ := http.NewRequest(http.MethodPost, "http://upstream/", body)
	res, err := cs.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(res.Body); string(text) != "ok" || err != nil {
		t.Errorf("%q %v", text, err)
	}
	if err := <-ended; err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	end.Close()
}

// Whoever gives up, the connection goes with it: a client that leaves, and one whose body breaks off.
func TestConnectionsOfThoseWhoGiveUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{}, 2)
	acceptAll(t, l, func(conn net.Conn) {
		_, _ = io.Copy(io.Discard, conn) // never answers
		conn.Close()
		closed <- struct{}{}
	})
	cs := &connections{idleTimeout: time.Minute, dial: func(context.Context) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }}
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://upstream/", nil)
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := cs.RoundTrip(r); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that leaves: %v", err)
	}
	<-closed
	body, end := io.Pipe()
	time.AfterFunc(20*time.Millisecond, func() { end.CloseWithError(errors.New("broken off")) })
	r, _ = http.NewRequest(http.MethodPost, "http://upstream/", body)
	if _, err := cs.RoundTrip(r); err == nil {
		t.Error("a body that breaks off is answered")
	}
	<-closed
}

// A connection with TLS serves one request after the other, too, and none where bytes follow an answer within one record.
func TestConnectionsWithTLS(t *testing.T) {
	a := newAuthority(t)
	for _, row := range []struct {
		name, answer string
		accepted     int64
	}{
		{"used again", okAnswer, 1},
		{"bytes behind a long answer", "HTTP/1.1 200 OK\r\nContent-Length: 8153\r\n\r\n" + strings.Repeat("x", 8153) + "evil", 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{a.client(t)}})
			if err != nil {
				t.Fatal(err)
			}
			s := &scripted{Listener: l}
			s.accept(t, []string{row.answer})
			cs := &connections{idleTimeout: time.Minute, dial: func(ctx context.Context) (net.Conn, error) {
				return (&tls.Dialer{Config: &tls.Config{RootCAs: a.pool()}}).DialContext(ctx, "tcp", l.Addr().String())
			}}
			defer cs.closeIdle()
			for range 3 {
				if got := cs.ask(t, http.MethodGet, ""); !strings.HasPrefix(got, "200 ") || strings.Contains(got, "evil") {
					t.Errorf("%.40q", got)
				}
				time.Sleep(5 * time.Millisecond)
			}
			if n := s.accepted.Load(); n != row.accepted {
				t.Errorf("%d connections, want %d", n, row.accepted)
			}
		})
	}
}
