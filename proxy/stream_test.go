package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// eventUpstream sends an event at once and then one for every value on next, until the client goes.
func eventUpstream(t *testing.T, next chan string) *recorder {
	return newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprint(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		for {
			select {
			case event := <-next:
				_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
}

func TestEventStreamsFlowAndEndCleanlyAtADrain(t *testing.T) {
	next := make(chan string)
	u := eventUpstream(t, next)
	s := startSidecar(t, u.URL)
	request, _ := http.NewRequest("GET", "http://"+s.addr+"/sse", nil)
	request.Header.Set("Authorization", "Bearer "+token(t, nil))
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := bufio.NewReader(res.Body)
	for _, want := range []string{"first", "second"} {
		line, _ := r.ReadString('\n')
		if line != "data: "+want+"\n" {
			t.Fatalf("got %q, want %q", line, want)
		}
		_, _ = r.ReadString('\n')
		if want == "first" {
			next <- "second"
		}
	}
	if s.value(`envgate_streams_open{kind="sse"}`) != "1" {
		t.Error("the stream is not counted")
	}
	s.Drain()
	rest, err := io.ReadAll(r)
	if err != nil || len(rest) != 0 {
		t.Errorf("the stream ended with %q, %v; want a clean end", rest, err)
	}
	eventually(t, "the stream is counted out", func() bool { return s.value(`envgate_streams_open{kind="sse"}`) == "0" })
	if s.value("envgate_stream_duration_seconds_count{kind=\"sse\"}") != "1" {
		t.Error("the duration was not observed")
	}
}

func TestAClientThatLeavesAStreamFreesTheUpstream(t *testing.T) {
	u := eventUpstream(t, nil)
	s := startSidecar(t, u.URL)
	ctx, cancel := context.WithCancel(context.Background())
	request, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.addr+"/sse", nil)
	request.Header.Set("Authorization", "Bearer "+token(t, nil))
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cancel()
	eventually(t, "the stream is over", func() bool { return s.value(`envgate_streams_open{kind="sse"}`) == "0" })
}

// echoUpstream accepts WebSockets and sends every message back.
func echoUpstream(t *testing.T, closed chan<- websocket.StatusCode) *recorder {
	return newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 22)
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil {
				if closed != nil {
					closed <- websocket.CloseStatus(err)
				}
				return
			}
			if c.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	})
}

func dialWebSocket(t *testing.T, s *sidecar, header http.Header) (*websocket.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+s.addr+"/ws", &websocket.DialOptions{HTTPHeader: header, CompressionMode: websocket.CompressionContextTakeover})
	if err == nil {
		c.SetReadLimit(1 << 22)
		t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, err
}

func TestWebSocketsPassAndAreClosedAtADrain(t *testing.T) {
	closed := make(chan websocket.StatusCode, 1)
	u := echoUpstream(t, closed)
	s := startSidecar(t, u.URL)
	c, err := dialWebSocket(t, s, http.Header{"Authorization": {"Bearer " + token(t, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, size := range []int{1, 125, 126, 65535, 65536, 1 << 20} {
		want := strings.Repeat("x", size)
		if err := c.Write(ctx, websocket.MessageText, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != want {
			t.Fatalf("%d bytes came back as %d, %v", size, len(got), err)
		}
	}
	if s.value(`envgate_streams_open{kind="websocket"}`) != "1" {
		t.Error("not counted")
	}
	s.Drain()
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the client saw %v, want 1001", err)
	}
	if status := <-closed; status != websocket.StatusGoingAway {
		t.Errorf("the upstream saw %v, want 1001", status)
	}
	eventually(t, "the stream is counted out", func() bool { return s.value(`envgate_streams_open{kind="websocket"}`) == "0" })
}

// TestAStuckUpstreamHoldsUpNoOtherStream: one WebSocket's upstream reads nothing any more, so that no close frame can be
// written to it; the event stream beside it still ends.
func TestAStuckUpstreamHoldsUpNoOtherStream(t *testing.T) {
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sse" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprint(w, "data: first\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		conn, _, _ := w.(http.Hijacker).Hijack()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		t.Cleanup(func() { _ = conn.Close() })
	})
	s := startSidecar(t, u.URL)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer "+token(t, nil)+"\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 101 {
		t.Fatalf("%v %v", res, err)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	for flood := make([]byte, 1<<20); err == nil; { // until every buffer on the way is full
		_, err = conn.Write(flood)
	}
	request, _ := http.NewRequest("GET", "http://"+s.addr+"/sse", nil)
	request.Header.Set("Authorization", "Bearer "+token(t, nil))
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	s.Drain()
	ended := make(chan error, 1)
	go func() { _, err := io.ReadAll(res.Body); ended <- err }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the event stream did not end")
	}
}

func TestAWebSocketCanStillBeOpenedDuringTheDelay(t *testing.T) {
	u := echoUpstream(t, nil)
	s := startSidecar(t, u.URL, "ENVGATE_DRAIN_DELAY=10s")
	s.Drain()
	c, err := dialWebSocket(t, s, http.Header{"Authorization": {"Bearer " + token(t, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(context.Background(), websocket.MessageText, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(context.Background()); err != nil || string(got) != "x" {
		t.Errorf("%q %v", got, err)
	}
}

func TestWebSocketsNeedAToken(t *testing.T) {
	u := echoUpstream(t, nil)
	s := startSidecar(t, u.URL)
	for _, header := range []http.Header{nil, {"Authorization": {"Bearer " + forged(t)}}} {
		if _, err := dialWebSocket(t, s, header); err == nil {
			t.Error("upgraded")
		}
	}
	// Not even on a public route.
	res, _ := s.raw("GET /health HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	if res.StatusCode != 401 {
		t.Errorf("/health with an upgrade: %d", res.StatusCode)
	}
	if len(u.requests()) != 0 {
		t.Error("the upstream saw something")
	}
}

func TestOtherUpgradesAreServedAsPlainHTTP(t *testing.T) {
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" { // an upstream that would switch
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
			_ = conn.Close()
			return
		}
		_, _ = io.WriteString(w, "plain")
	})
	s := startSidecar(t, u.URL)
	for _, row := range []struct{ method, version, lines string }{
		{"GET", "1.1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"},
		{"GET", "1.1", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"},
		{"GET", "1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"},
		{"GET", "1.1", "Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n"},
		{"GET", "1.1", "Upgrade: h2c\r\n"},
		{"GET", "1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n"},
		{"POST", "1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"},
		{"GET", "1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"},
	} {
		res, body := s.raw(row.method + " /tools HTTP/" + row.version + "\r\nHost: h\r\nAuthorization: Bearer " + token(t, nil) + "\r\n" + row.lines + "\r\n")
		if res.StatusCode != 200 || body != "plain" {
			t.Errorf("%q: %d %q", row, res.StatusCode, body)
		}
		if h := u.last(t).header; h.Get("Upgrade") != "" || h.Get("Http2-Settings") != "" {
			t.Errorf("%q: the upstream saw %v", row, h)
		}
	}
}

func TestAnUnaskedSwitchOfProtocolsIs502(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
	} {
		s := startSidecar(t, rawUpstream(t, func(c net.Conn) { _, _ = io.WriteString(c, answer) }))
		res, body := s.get("/tools", bearer(token(t, nil)))
		if res.StatusCode != 502 {
			t.Errorf("%q: %d %q", answer, res.StatusCode, body)
		}
	}
}

// rawUpstream is an upstream that reads one request's headers per connection and then does as it likes.
func rawUpstream(t *testing.T, serve func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				br := bufio.NewReader(c)
				for {
					line, err := br.ReadString('\n')
					if err != nil {
						return
					}
					if line == "\r\n" {
						break
					}
				}
				serve(c)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestFramesAreFollowedAtEveryCut(t *testing.T) {
	var wire []byte
	for _, n := range []int{0, 1, 125, 126, 300, 70000} {
		head := []byte{0x82}
		switch {
		case n < 126:
			head = append(head, byte(n))
		case n < 65536:
			head = append(head, 126, byte(n>>8), byte(n))
		default:
			head = append(head, 127, 0, 0, 0, 0, 0, byte(n>>16), byte(n>>8), byte(n))
		}
		wire = append(append(wire, head...), make([]byte, n)...)
	}
	for _, cut := range []int{1, 2, 3, 7, 100, len(wire)} {
		var f frames
		for i := 0; i < len(wire); i += cut {
			f.follow(wire[i:min(i+cut, len(wire))])
		}
		if !f.between() {
			t.Errorf("cut by %d: not between frames at the end", cut)
		}
		f.follow([]byte{0x82})
		if f.between() {
			t.Errorf("cut by %d: between frames inside a header", cut)
		}
	}
}
