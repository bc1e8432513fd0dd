package wire

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"envgate/deploy/processtest"
)

// end says when a flood must lose its connection.
type end string

const (
	always end = "always"
	never  end = "never"   // it costs no more than other requests
	ifDeaf end = "if deaf" // if it reads no answers, and it doesn't
)

// A flood is bytes that one client sends as fast as it can; another client is served meanwhile, and memory stays flat.
func TestFloods(t *testing.T) {
	t.Parallel()
	get := requestBlock(t, "GET", "/tools")
	rapid := func(c *client) { // CVE-2023-44487
		c.preface()
		for stream := uint32(1); stream < 2*5000; stream += 2 {
			if _, err := io.WriteString(c, frame(frameHeaders, endStream|endHeaders, stream, get)+frame(frameReset, 0, stream, "\x00\x00\x00\x08")); err != nil {
				return
			}
		}
	}
	endless := func(first string, more string, times int) func(*client) {
		return func(c *client) {
			if _, err := io.WriteString(c, first); err != nil {
				return
			}
			for range times {
				if _, err := io.WriteString(c, more); err != nil {
					return
				}
			}
		}
	}
	hello := preface + frame(frameSettings, 0, 0, "")
	head := authorized(t, "POST", "/tools")
	for _, row := range []struct {
		name  string
		flood func(*client)
		most  int64 // bytes of memory more
		end   end
	}{
		{"rapid resets", rapid, 64 << 20, never}, // bounded by 250 streams of a connection that are still being given up
		{"continuations without an end", endless(hello+frame(frameHeaders, endStream, 1, get), continuations(1, 1), 4000), 8 << 20, always}, // CVE-2023-45288
		{"empty continuations", endless(hello+frame(frameHeaders, endStream, 1, get), strings.Repeat(frame(frameContinuation, 0, 1, ""), 1000), 100), 8 << 20, always},
		{"settings", endless(hello, strings.Repeat(frame(frameSettings, 0, 0, ""), 1000), 1000), 16 << 20, ifDeaf},                                                                  // CVE-2019-9515
		{"pings", endless(hello, strings.Repeat(frame(framePing, 0, 0, "12345678"), 1000), 1000), 16 << 20, ifDeaf},                                                                 // CVE-2019-9512
		{"empty data", endless(hello+frame(frameHeaders, endHeaders, 1, requestBlock(t, "POST", "/tools")), strings.Repeat(frame(frameData, 0, 1, ""), 1000), 50), 16 << 20, never}, // CVE-2019-9518
		{"a header without an end", endless(authorized(t, "GET", "/tools")+"X-A: ", strings.Repeat("x", 1<<16), 4000), 8 << 20, always},
		{"headers without an end", endless(authorized(t, "GET", "/tools"), strings.Repeat("X-A: b\r\n", 1<<13), 4000), 8 << 20, always},
		{"a request line without an end", endless("GET /", strings.Repeat("x", 1<<16), 4000), 8 << 20, always},
		{"trailers without an end", endless(head+"Transfer-Encoding: chunked\r\n\r\n0\r\n", strings.Repeat("X-A: b\r\n", 1<<13), 4000), 8 << 20, always},
		{"chunks of one byte with extensions", endless(head+"Transfer-Encoding: chunked\r\n\r\n", strings.Repeat("1;"+strings.Repeat("x", 200)+"\r\na\r\n", 1<<8), 4000), 8 << 20, always},
		{"empty lines", endless("", strings.Repeat("\r\n", 1<<15), 4000), 8 << 20, always},
		{"a body without an end behind a refusal", endless("POST /tools HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n", 4000), 8 << 20, always},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t, nil)
			p := start(t, u)
			warm(t, p)
			flat(t, p, row.most, func() {
				var clients sync.WaitGroup
				stop := make(chan struct{})
				served := 0
				clients.Go(func() { served = keepAsking(t, p, stop) })
				var floods sync.WaitGroup
				clientCount := 3
				if row.end == ifDeaf {
					clientCount = 1 // it takes as many frames as fit into the kernel's buffers
				}
				for range clientCount {
					floods.Go(func() {
						c := dial(t, p)
						defer c.Close()
						if row.end != ifDeaf {
							go func() { _, _ = io.Copy(io.Discard, c) }()
						}
						row.flood(c)
						if row.end != never && !gone(c) {
							t.Error("the connection goes on")
						}
					})
				}
				time.Sleep(300 * time.Millisecond)
				floods.Wait()
				close(stop)
				clients.Wait()
				if served == 0 {
					t.Errorf("%d others were served", served)
				}
			})
		})
	}
}

// gone tells whether writing to a connection fails, if not at once.
func gone(c *client) bool {
	for range 300 {
		if _, err := io.WriteString(c, "\x00"); err != nil {
			var timeout net.Error
			return !errors.As(err, &timeout) || !timeout.Timeout() || errors.Is(err, syscall.EPIPE)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// warm has the process serve some requests, so that what it takes for any is there.
func warm(t *testing.T, p *processtest.Process) {
	t.Helper()
	stop := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { close(stop) })
	keepAsking(t, p, stop)
}

// keepAsking sends one accepted request after the other, each of which must be answered 200, and counts them.
func keepAsking(t *testing.T, p *processtest.Process, stop <-chan struct{}) (served int) {
	request := authorized(t, "GET", "/tools") + "\r\n"
	c := dial(t, p)
	defer c.Close()
	for {
		select {
		case <-stop:
			return served
		case <-time.After(5 * time.Millisecond):
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, request)
		if res, body := c.answer(); res == nil || res.StatusCode != 200 {
			t.Errorf("another client got %v %s", res, body)
			return served
		}
		served++
	}
}
