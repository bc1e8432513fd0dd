package proxy

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnUpstreamThatIsDownIs502(t *testing.T) {
	s := startSidecar(t, "http://127.0.0.1:1") // a port that no test is given
	res, body := s.get("/tools", bearer(token(t, nil)))
	if p := decodeProblem(t, body); res.StatusCode != 502 || p.Kind != "connect" || p.Reason != "" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	for series, want := range map[string]string{
		`envgate_upstream_errors_total{kind="connect"}`:                                  "1",
		`envgate_decisions_total{decision="accepted",reason="none"}`:                     "1",
		`envgate_http_requests_total{code="502",method="GET",source="envgate"}`:          "1",
		`envgate_http_request_duration_seconds_count{code_class="5xx",source="envgate"}`: "1",
	} {
		if got := s.value(series); got != want {
			t.Errorf("%s is %s", series, got)
		}
	}
}

func TestAnUpstreamThatBreaksOffIs502AndNothingIsRetried(t *testing.T) {
	var asked atomic.Int32
	s := startSidecar(t, rawUpstream(t, func(net.Conn) { asked.Add(1) }))
	res, body := s.send("POST", "/tools", "{}", bearer(token(t, nil)))
	if p := decodeProblem(t, body); res.StatusCode != 502 || p.Kind != "reset" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if asked.Load() != 1 {
		t.Errorf("the upstream was asked %d times", asked.Load())
	}
}

// A connection that the upstream closes just when a POST goes out must not lead to two POSTs.
func TestAPostOnAStaleConnectionIsNotSentTwice(t *testing.T) {
	var posts atomic.Int32
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					return
				}
				if r.Method == "POST" {
					posts.Add(1)
					return // in mid-air
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				r2, err := http.ReadRequest(bufio.NewReader(c))
				if err == nil && r2.Method == "POST" {
					posts.Add(1)
				}
			}()
		}
	}()
	s := startSidecar(t, "http://"+l.Addr().String())
	good := bearer(token(t, nil))
	for range 10 {
		_, _ = s.get("/tools", good)
		before := posts.Load()
		res, _ := s.send("POST", "/tools", "{}", good)
		if res.StatusCode != 502 || posts.Load()-before > 1 {
			t.Fatalf("status %d, %d posts arrived", res.StatusCode, posts.Load()-before)
		}
	}
}

func TestAClientThatGivesUpIsCountedAsSuch(t *testing.T) {
	release := make(chan struct{})
	ctx, giveUp := context.WithCancel(context.Background())
	u := newRecorder(t, func(_ http.ResponseWriter, r *http.Request) {
		giveUp()
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	defer close(release)
	s := startSidecar(t, u.URL)
	request, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.addr+"/tools", nil)
	request.Header.Set("Authorization", "Bearer "+token(t, nil))
	if _, err := http.DefaultClient.Do(request); err == nil {
		t.Fatal("answered")
	}
	eventually(t, "client_canceled", func() bool { return s.value("envgate_client_canceled_total") == "1" })
	if s.value(`envgate_upstream_errors_total{kind="reset"}`) != "0" {
		t.Error("counted as the upstream's fault")
	}
}

func TestAnAnswerThatBreaksOffIsNotMadeComplete(t *testing.T) {
	s := startSidecar(t, rawUpstream(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
	}))
	request, _ := http.NewRequest("GET", "http://"+s.addr+"/tools", nil)
	request.Header.Set("Authorization", "Bearer "+token(t, nil))
	res, err := http.DefaultClient.Do(request)
	if err == nil {
		defer res.Body.Close()
		_, err = io.ReadAll(res.Body)
	}
	if err == nil {
		t.Error("the client saw a complete answer")
	}
}

func TestUnixUpstream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gw.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "unix "+r.Host) })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	s := startSidecar(t, "unix://"+path)
	if res, body := s.get("/tools", bearer(token(t, nil))); res.StatusCode != 200 || body != "unix gateway.example.com" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

func TestExpectContinueIsAnsweredOnlyWhenAccepted(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	for _, row := range []struct {
		token string
		want  string
	}{{token(t, nil), "HTTP/1.1 100 Continue"}, {forged(t), "HTTP/1.1 401 Unauthorized"}} {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
		_, _ = io.WriteString(conn, "POST /tools HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+row.token+"\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		br := bufio.NewReader(conn)
		line, _ := br.ReadString('\n')
		if strings.TrimSpace(line) != row.want {
			t.Errorf("got %q, want %q", line, row.want)
		}
		if strings.Contains(line, "100") {
			_, _ = br.ReadString('\n')
			_, _ = io.WriteString(conn, "body")
			res, err := http.ReadResponse(br, nil)
			if err != nil || res.StatusCode != 200 || u.last(t).body != "body" {
				t.Errorf("after continue: %v %v", res, err)
			}
		}
		_ = conn.Close()
	}
}

func TestEarlyHintsPass(t *testing.T) {
	s := startSidecar(t, rawUpstream(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}))
	answers := s.rawAll("GET /tools HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer "+token(t, nil)+"\r\n\r\n", 2)
	if len(answers) != 2 || answers[0].res.StatusCode != 103 || answers[0].res.Header.Get("Link") != "</a.css>" || answers[1].body != "ok" {
		t.Errorf("%+v", answers)
	}
}

func TestBigBodiesBothWays(t *testing.T) {
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("b", 10<<20))
	})
	s := startSidecar(t, u.URL)
	for _, client := range []*http.Client{http.DefaultClient, h2cClient()} {
		request, _ := http.NewRequest("POST", "http://"+s.addr+"/tools", strings.NewReader(strings.Repeat("a", 10<<20)))
		request.Header.Set("Authorization", "Bearer "+token(t, nil))
		res, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || len(body) != 10<<20 || len(u.last(t).body) != 10<<20 {
			t.Errorf("%s: %d bytes back, %v", res.Proto, len(body), err)
		}
	}
}
