package wire

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAnswers: what an upstream may send, and what the client gets of it: the same, or 502, or an answer that is visibly cut off;
// never one that looks whole and isn't, and never bytes that belong to another.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, sent, outcome string }{
		{"a plain answer", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok"},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ok"},
		{"an answer that ends with its connection", "HTTP/1.1 200 OK\r\n\r\nok", "200 ok"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", "200 ok"},
		{"a hint before it", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "103 200 ok"},
		{"a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "200 ok"},
		{"nothing", "", "502"},
		{"no HTTP", "hello\r\n\r\n", "502"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00", "502"},
		{"half of a head", "HTTP/1.1 200 OK\r\nContent-Le", "502"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "502"},
		{"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", "502"},
		{"an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "502"},
		{"a status of two digits", "HTTP/1.1 99 OK\r\nContent-Length: 2\r\n\r\nok", "502"},
		{"a status below 100", "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok", "502"},
		{"a switch that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "502"},
		{"a header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\nok", "502"},
		{"a header of two megabytes", "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("x", 2<<20) + "\r\n\r\nok", "502"},
		{"fifty hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\nX-A: "+strings.Repeat("x", 20000)+"\r\n\r\n", 50) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", strings.Repeat("103 ", 50) + "200 ok"},
		{"less than its length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "cut off"},
		{"chunks without the last", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "cut off"},
		{"a broken chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n", "cut off"},
		{"more than its length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", "200 ok"},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := newUpstream(t, func(c net.Conn, _ *request) bool {
				_, _ = io.WriteString(c, row.sent)
				return false
			})
			p := start(t, u)
			c := dial(t, p)
			c.send(authorized(t, "GET", "/tools") + "\r\n")
			if got := c.whole(); got != row.outcome {
				t.Errorf("%.200s, want %s", got, row.outcome)
			}
		})
	}
}

// whole words the answers to one request; an informational one is followed by another.
func (c *client) whole() (text string) {
	for {
		res, err := http.ReadResponse(c.in, nil)
		if err != nil {
			return strings.TrimSpace(text + " cut off")
		}
		body, err := io.ReadAll(res.Body)
		switch {
		case err != nil:
			return "cut off"
		case res.StatusCode == http.StatusBadGateway:
			return text + "502"
		case res.StatusCode >= 200:
			return text + res.Status[:3] + " " + string(body)
		}
		text += res.Status[:3] + " "
	}
}

// TestNoAnswerGoesToAnother: an upstream sends bytes behind its answers, as one does that writes a body to a 204. They are no
// answer to the next request, whoever sends it.
func TestNoAnswerGoesToAnother(t *testing.T) {
	t.Parallel()
	stolen := "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"
	for _, row := range []struct{ name, method, sent string }{
		{"behind a 204", "GET", "HTTP/1.1 204 No Content\r\n\r\n"},
		{"behind a 204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 45\r\n\r\n"},
		{"behind a 304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 45\r\n\r\n"},
		{"behind an empty answer", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{"behind a HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n"},
		{"behind a body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		{"behind chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := newUpstream(t, func(c net.Conn, _ *request) bool {
				_, err := io.WriteString(c, row.sent+stolen)
				return err == nil
			})
			p := start(t, u)
			request := authorized(t, row.method, "/tools") + "\r\n"
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					c := dial(t, p)
					defer c.Close()
					for until := time.Now().Add(150 * time.Millisecond); time.Now().Before(until); {
						if _, err := io.WriteString(c, request); err != nil {
							return
						}
						res, err := http.ReadResponse(c.in, &http.Request{Method: row.method})
						if err != nil {
							return
						}
						if body, _ := io.ReadAll(res.Body); strings.Contains(string(body), "stolen") || res.ContentLength == 6 {
							t.Errorf("a client got %d %q", res.StatusCode, body)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}
