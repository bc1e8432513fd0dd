package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// consumed is how many bytes net/http takes for the first answer that isn't interim, and whether it reads it without an error.
func consumed(wire []byte, method string) (n int, whole bool) {
	source := bytes.NewReader(wire)
	in := bufio.NewReaderSize(source, 16)
	for {
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return 0, false
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return 0, false
		}
		if res.StatusCode >= 200 || res.StatusCode == 101 {
			return len(wire) - source.Len() - in.Buffered(), true
		}
	}
}

// followedInPieces is where answers sees the end of the first answer; -1: nowhere.
func followedInPieces(wire []byte, method string, piece int) int {
	var a answers
	for at := 0; at < len(wire); {
		n := min(piece, len(wire)-at)
		used, ended := a.follow(wire[at:at+n], method == http.MethodHead)
		if ended {
			return at + used
		}
		if used != n {
			return -2
		}
		at += n
	}
	return -1
}

// TestAnswersAreFollowedAsNetHTTPReadsThem: however an answer is framed, and wherever it is cut, its end is where net/http sees it.
func TestAnswersAreFollowedAsNetHTTPReadsThem(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		method := rapid.SampledFrom([]string{"GET", "HEAD", "POST"}).Draw(r, "method")
		end := rapid.SampledFrom([]string{"\r\n", "\r\n", "\n"}).Draw(r, "line end")
		var b strings.Builder
		for range rapid.IntRange(0, 2).Draw(r, "interim") {
			b.WriteString("HTTP/1.1 103 Early Hints" + end + "Link: </a>" + end + end)
		}
		status := rapid.SampledFrom([]string{"200 OK", "200", "204 No Content", "304 Not Modified", "404 Not Found", "500 ", " 200 OK"}).Draw(r, "status")
		b.WriteString(rapid.SampledFrom([]string{"HTTP/1.1 ", "HTTP/1.1 ", "HTTP/1.0 "}).Draw(r, "version") + status + end)
		body := rapid.StringMatching(`[a-z\r\n0]{0,40}`).Draw(r, "body")
		for range rapid.IntRange(0, 3).Draw(r, "headers") {
			b.WriteString(rapid.SampledFrom([]string{"X-A: " + strings.Repeat("x", 200), "Content-Type: text/plain", "Trailer: X-Sum", "TE: x", "X-B: a" + end + " folded", "Date:", "Connection: keep-alive"}).Draw(r, "header") + end)
		}
		switch rapid.SampledFrom([]string{"length", "chunks", "both", "close"}).Draw(r, "framing") {
		case "length":
			fmt.Fprintf(&b, "%s:%s%d%s%s%s", rapid.SampledFrom([]string{"Content-Length", "content-length"}).Draw(r, "name"), rapid.SampledFrom([]string{" ", "", "\t  "}).Draw(r, "space"), len(body), end, end, body)
		case "both":
			fmt.Fprintf(&b, "Content-Length: 7%sTransfer-Encoding: chunked%s%s0\r\n\r\n", end, end, end)
		case "chunks":
			b.WriteString("transfer-encoding: Chunked" + end + end)
			for part := range strings.SplitSeq(body, "0") {
				if part != "" {
					fmt.Fprintf(&b, "%x%s\r\n%s\r\n", len(part), rapid.SampledFrom([]string{"", ";a=b", " "}).Draw(r, "extension"), part)
				}
			}
			b.WriteString("0\r\n" + rapid.SampledFrom([]string{"", "X-Sum: 1\r\n"}).Draw(r, "trailer") + "\r\n")
		default:
			b.WriteString(end + body)
		}
		wire := []byte(b.String() + rapid.SampledFrom([]string{"", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", "x"}).Draw(r, "behind"))
		want, whole := consumed(wire, method)
		if !whole {
			return
		}
		for _, piece := range []int{1, 3, 17, len(wire)} {
			got := followedInPieces(wire, method, piece)
			if got >= 0 && got != want || got < 0 && want < len(wire) {
				r.Fatalf("net/http takes %d bytes, followed %d in pieces of %d: %q to %s", want, got, piece, wire, method)
			}
		}
	})
}

// FuzzAnswers: whatever an upstream sends, no byte is kept back that net/http takes for part of the answer.
func FuzzAnswers(f *testing.F) {
	for _, wire := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nX-Sum: 1\r\n\r\nmore", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabcd",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length:\n 2\n\nokx", "HTTP/1.1 101 Switching Protocols\r\n\r\nx",
	} {
		f.Add([]byte(wire), true)
		f.Add([]byte(wire), false)
	}
	f.Fuzz(func(t *testing.T, wire []byte, head bool) {
		method := map[bool]string{true: "HEAD", false: "GET"}[head]
		want, whole := consumed(wire, method)
		if !whole {
			return
		}
		for _, piece := range []int{1, len(wire)} {
			if got := followedInPieces(wire, method, piece); got >= 0 && got < want {
				t.Errorf("net/http takes %d bytes, followed %d in pieces of %d: %q to %s", want, got, piece, wire, method)
			}
		}
	})
}

func TestAnAnswerThatTheUpstreamBreaksOffIsCounted(t *testing.T) {
	for _, answer := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n"} {
		s := startSidecar(t, rawUpstream(t, func(c net.Conn) { _, _ = io.WriteString(c, answer) }))
		s.rawAll("GET /tools HTTP/1.1\r\nHost: h\r\n"+bearer(token(t, nil))+"\r\n\r\n", 1)
		eventually(t, "it is counted", func() bool { return s.value(`envgate_upstream_errors_total{kind="reset"}`) == "1" })
	}
}

func TestAClientThatLeavesInMidAnswerIsNotTheUpstreamsFault(t *testing.T) {
	gone := make(chan struct{})
	s := startSidecar(t, rawUpstream(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
		_, _ = c.Read(make([]byte, 1)) // until the sidecar closes it
		close(gone)
	}))
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "GET /tools HTTP/1.1\r\nHost: h\r\n"+bearer(token(t, nil))+"\r\n\r\n")
	_, _ = conn.Read(make([]byte, 10))
	_ = conn.Close()
	<-gone
	eventually(t, "nothing is in flight", func() bool { return s.value("envgate_requests_in_flight") == "0" })
	if n := s.value(`envgate_upstream_errors_total{kind="reset"}`); n != "0" {
		t.Errorf("counted %s times", n)
	}
}

// A HEAD's answer has a length and no body: the connection serves the next request.
func TestConnectionsServeOnBehindAHead(t *testing.T) {
	var connections atomic.Int32
	u := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	u.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	u.Start()
	t.Cleanup(u.Close)
	s := startSidecar(t, u.URL)
	for range 20 {
		for _, method := range []string{"HEAD", "GET"} {
			r, _ := http.NewRequest(method, "http://"+s.addr+"/tools", nil)
			r.Header.Set("Authorization", "Bearer "+token(t, nil))
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || method == "GET" && string(body) != "ok" || res.ContentLength != 2 {
				t.Fatalf("%s: %d %q %v", method, res.ContentLength, body, err)
			}
		}
	}
	if n := connections.Load(); n > 3 {
		t.Errorf("%d connections for 40 requests", n)
	}
}

// BenchmarkAnswers is what following adds to one answer as a gateway sends it.
func BenchmarkAnswers(b *testing.B) {
	wire := []byte("HTTP/1.1 200 OK\r\ndate: Sat, 01 Jan 2022 00:00:00 GMT\r\nserver: uvicorn\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\nx-frame-options: DENY\r\n" +
		"content-security-policy: default-src 'self'; script-src 'self'\r\nstrict-transport-security: max-age=31536000\r\ncontent-length: 12\r\n\r\n{\"tools\":[]}")
	var a answers
	b.ReportAllocs()
	for b.Loop() {
		if used, ended := a.follow(wire, false); used != len(wire) || !ended {
			b.Fatal(used, ended)
		}
	}
}
