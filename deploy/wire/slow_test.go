package wire

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSlowHeaders: clients that send a byte of a header now and then lose their connections after ten seconds, silent ones
// too, and nobody else waits for them.
func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, nil)
	p := start(t, u)
	warm(t, p)
	started := time.Now()
	flat(t, p, 24<<20, func() {
		var all sync.WaitGroup
		for n := range 300 {
			all.Go(func() {
				c := dial(t, p)
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				if n%3 > 0 {
					c.send("GET /tools HTTP/1.1\r\nX-Slow: ")
					go func() {
						for n%3 == 1 {
							if _, err := io.WriteString(c, "x"); err != nil {
								return
							}
							time.Sleep(500 * time.Millisecond)
						}
					}()
				}
				if !c.ended() {
					t.Error("no end came")
				}
			})
		}
		stop := make(chan struct{})
		time.AfterFunc(2*time.Second, func() { close(stop) })
		if served := keepAsking(t, p, stop); served == 0 {
			t.Errorf("%d others were served", served)
		}
		all.Wait()
	})
	if took := time.Since(started); took < 9*time.Second || took > 18*time.Second {
		t.Errorf("they were ended after %v", took)
	}
	if u.count() > 2000 {
		t.Errorf("%d requests upstream", u.count())
	}
}

// TestASlowBodyIsCarriedAsItComes: a body that drips goes on dripping, is one request, and is none without its end.
func TestASlowBodyIsCarriedAsItComes(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, nil)
	p := start(t, u)
	warm(t, p)
	u.take()
	var all sync.WaitGroup
	flat(t, p, 24<<20, func() {
		for n := range 100 {
			all.Go(func() {
				c := dial(t, p)
				defer c.Close()
				c.send(authorized(t, "POST", "/tools") + "Content-Length: 20\r\n\r\n")
				for range 10 + n%2*10 {
					time.Sleep(10 * time.Millisecond)
					c.send("x")
				}
				if n%2 == 0 {
					return // half of a body
				}
				if res, body := c.answer(); res == nil || res.StatusCode != 200 {
					t.Errorf("%v %s", res, body)
				}
			})
		}
		all.Wait()
	})
	if seen, complaints := u.take(); len(seen) != 50 || len(complaints) > 0 {
		t.Errorf("%d requests upstream, want 50; %q", len(seen), complaints)
	}
}

// TestSlowReading: who doesn't read a large answer holds up its upstream, not the sidecar's memory.
func TestSlowReading(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	part := strings.Repeat("x", 1<<16)
	u := newUpstream(t, func(c net.Conn, _ *request) bool {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n")
		for n := 0; n < size && err == nil; n += len(part) {
			_, err = io.WriteString(c, part)
		}
		return err == nil
	})
	p := start(t, u)
	for _, row := range []struct{ name, request string }{
		{"over HTTP/1.1", authorized(t, "GET", "/tools") + "\r\n"},
		{"over HTTP/2 with a closed window", preface + frame(frameSettings, 0, 0, "\x00\x04\x00\x00\x00\x00") + frame(frameHeaders, endStream|endHeaders, 1, requestBlock(t, "GET", "/tools"))},
	} {
		t.Run(row.name, func(t *testing.T) {
			flat(t, p, 24<<20, func() {
				for range 20 { // 320 MB in all
					c := dial(t, p)
					defer c.Close()
					c.send(row.request)
				}
				time.Sleep(time.Second)
			})
		})
	}
}

// TestEarlyEnds: clients that leave at every point of a request leave nothing behind, and no half of a request counts.
func TestEarlyEnds(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, nil)
	p := start(t, u)
	warm(t, p)
	u.take()
	whole := authorized(t, "POST", "/tools") + "Content-Length: 4\r\n\r\nabcd"
	flat(t, p, 8<<20, func() {
		for cut := 0; cut < len(whole); cut += 1 + len(whole)/150 {
			for _, linger := range []int{-1, 0} { // an end, and a reset
				c := dial(t, p)
				c.send(whole[:cut])
				_ = c.Conn.(*net.TCPConn).SetLinger(linger)
				_ = c.Close()
			}
		}
	})
	if seen, complaints := u.take(); len(seen) > 0 || len(complaints) > 0 {
		t.Errorf("%d requests upstream, %q", len(seen), complaints)
	}
}

// TestAHalfCloseEndsTheRequest: net/http takes the end of a client's sending for the end of the client, so a request under way
// is given up, cleanly: no answer of half its length comes. One that was answered already is answered.
func TestAHalfCloseEndsTheRequest(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	u := newUpstream(t, func(c net.Conn, r *request) bool {
		if r.target == "/slow" {
			<-release
		}
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return err == nil
	})
	p := start(t, u)
	flat(t, p, 8<<20, func() {
		c := dial(t, p)
		c.send(authorized(t, "GET", "/tools") + "\r\n")
		if res, body := c.answer(); res == nil || body != "ok" {
			t.Errorf("%v %s", res, body)
		}
		c.send(authorized(t, "GET", "/slow") + "\r\n")
		eventually(t, "it is upstream", func() bool { return u.count() == 2 })
		_ = c.Conn.(*net.TCPConn).CloseWrite()
		if b, err := c.in.ReadByte(); err == nil {
			t.Errorf("%q came", b)
		}
		close(release)
	})
	if n := p.Counts()["envgate_client_canceled_total"]; n != 1 {
		t.Errorf("counted %v times", n)
	}
}

// TestAThousandPipelinedRequests get their answers in order, one by one, from one connection of the upstream at a time.
func TestAThousandPipelinedRequests(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(c net.Conn, r *request) bool {
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(r.target))+"\r\n\r\n"+r.target)
		return err == nil
	})
	p := start(t, u)
	warm(t, p)
	u.take()
	before := u.connections()
	flat(t, p, 8<<20, func() {
		c := dial(t, p)
		defer c.Close()
		head := strings.TrimPrefix(authorized(t, "GET", "/"), "GET / ")
		go func() {
			for n := range 1000 {
				_, _ = io.WriteString(c, "GET /"+strconv.Itoa(n)+" "+head+"\r\n")
			}
		}()
		for n := range 1000 {
			if res, body := c.answer(); res == nil || body != "/"+strconv.Itoa(n) {
				t.Fatalf("answer %d: %v %s", n, res, body)
			}
		}
	})
	if n, more := u.count(), u.connections()-before; n != 1000 || more > 3 {
		t.Errorf("%d requests upstream over %d connections", n, more)
	}
}

// TestAWebSocketCarriesBytes: behind a switch of protocols both sides' bytes pass as they are, a request among them too, and
// the end of one side is passed on. What a client sends before the switch, which it may not, goes nowhere.
func TestAWebSocketCarriesBytes(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	u := newUpstream(t, func(c net.Conn, _ *request) bool {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
		text, _ := io.ReadAll(c)
		got <- string(text)
		return false
	})
	p := start(t, u)
	c := dial(t, p)
	early, late := authorized(t, "GET", "/early")+"\r\n", authorized(t, "GET", "/late")+"\r\n"
	c.send(authorized(t, "GET", "/ws") + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n" + early)
	res, err := http.ReadResponse(c.in, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v %v", res, err)
	}
	hi := make([]byte, 4)
	if _, err := io.ReadFull(c.in, hi); err != nil || string(hi) != "\x81\x02hi" {
		t.Errorf("%q %v", hi, err)
	}
	c.send(late)
	_ = c.Conn.(*net.TCPConn).CloseWrite()
	if text := <-got; text != late {
		t.Errorf("upstream came %q", text)
	}
	if n := u.count(); n != 1 {
		t.Errorf("%d requests upstream", n)
	}
}
