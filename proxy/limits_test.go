package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"envgate/authz"

	"pgregory.net/rapid"
)

func (s *sidecar) limited(limit string) string {
	return s.value(`envgate_limited_total{limit="` + limit + `"}`)
}

// idle opens a connection and shows that it is served, or not.
func idle(t testing.TB, s *sidecar) (conn net.Conn, served bool) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	return conn, err == nil && res.StatusCode == 200
}

// Connections over a limit are closed and counted; one that ends makes room, a WebSocket's, too.
func TestConnectionsAreBounded(t *testing.T) {
	for setting, limit := range map[string]string{"ENVGATE_MAX_CONNECTIONS": "connections", "ENVGATE_MAX_CONNECTIONS_PER_ADDRESS": "connections_per_address"} {
		t.Run(limit, func(t *testing.T) {
			s := startSidecar(t, newRecorder(t, nil).URL, setting+"=3")
			var open []net.Conn
			for i := range 5 {
				conn, served := idle(t, s)
				if open = append(open, conn); served != (i < 3) {
					t.Errorf("connection %d: served %t", i, served)
				}
			}
			if got := s.limited(limit); got != "2" {
				t.Errorf("counted %s", got)
			}
			for _, conn := range open {
				_ = conn.Close()
			}
			eventually(t, "there is room again", func() bool { _, served := idle(t, s); return served })
		})
	}
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	arrived, goOn := make(chan bool), make(chan bool)
	u := newRecorder(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- true
			<-goOn
		}
	})
	s := startSidecar(t, u.URL, "ENVGATE_MAX_REQUESTS=2")
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if res, _ := s.get("/slow", bearer(token(t, nil))); res.StatusCode != 200 {
				t.Errorf("one of two: %d", res.StatusCode)
			}
		})
		<-arrived
	}
	res, body := s.get("/health")
	if p := decodeProblem(t, body); res.StatusCode != 503 || p.Reason != authz.Limited || res.Header.Get("Retry-After") == "" {
		t.Errorf("the third: %d %s %v", res.StatusCode, body, res.Header)
	}
	close(goOn)
	wg.Wait()
	eventually(t, "none is under way", func() bool { return s.proxy.limits.under.Load() == 0 })
	if res, _ := s.get("/health"); res.StatusCode != 200 {
		t.Errorf("afterwards: %d", res.StatusCode)
	}
	if got := s.limited("requests"); got != "1" {
		t.Errorf("counted %s", got)
	}
	if got := s.value(`envgate_decisions_total{decision="refused",reason="limited"}`); got != "1" {
		t.Errorf("decided %s", got)
	}
}

func TestHeadersAreLimited(t *testing.T) {
	u := newRecorder(t, nil)
	for _, tt := range []struct {
		name, setting, lines string
		status               int
		limit                string
	}{
		{"as many lines as may be", "ENVGATE_MAX_HEADERS=16", strings.Repeat("X: y\r\n", 16), 200, ""},
		{"one line more", "ENVGATE_MAX_HEADERS=16", strings.Repeat("X: y\r\n", 17), 431, "headers"},
		{"the default", "ENVGATE_MODE=enforce", strings.Repeat("X: y\r\n", 257), 431, "headers"},
		{"no limit", "ENVGATE_MAX_HEADERS=0", strings.Repeat("X: y\r\n", 2000), 200, ""},
		{"too many bytes", "ENVGATE_MAX_HEADER_BYTES=4096", "X: " + strings.Repeat("y", 9000) + "\r\n", 431, "header_bytes"},
		{"as many bytes as may be", "ENVGATE_MAX_HEADER_BYTES=4096", "X: " + strings.Repeat("y", 4096-38) + "\r\n", 200, ""},
		{"one byte more", "ENVGATE_MAX_HEADER_BYTES=4096", "X: " + strings.Repeat("y", 4096-37) + "\r\n", 431, "header_bytes"},
		{"far too many bytes", "ENVGATE_MAX_HEADER_BYTES=4096", "X: " + strings.Repeat("y", 40000) + "\r\n", 431, "header_bytes"},
		{"more bytes than by default", "ENVGATE_MAX_HEADER_BYTES=200000", "X: " + strings.Repeat("y", 150000) + "\r\n", 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startSidecar(t, u.URL, tt.setting)
			res, _ := s.raw("GET /health HTTP/1.1\r\nHost: h\r\n" + tt.lines + "\r\n")
			if res.StatusCode != tt.status {
				t.Errorf("got %d, want %d", res.StatusCode, tt.status)
			}
			for _, limit := range []string{"headers", "header_bytes"} {
				want := "0"
				if limit == tt.limit {
					want = "1"
				}
				if got := s.limited(limit); got != want {
					t.Errorf("%s counted %s, want %s", limit, got, want)
				}
			}
		})
	}
}

// Over HTTP/2 the limit is the same, and the connection goes on.
func TestHeadersAreLimitedOverHTTP2(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL, "ENVGATE_MAX_HEADER_BYTES=4096")
	client := h2cClient()
	for n, row := range []struct{ bytes, status int }{{3000, 200}, {4096, 431}, {9000, 431}, {3000, 200}} {
		r, _ := http.NewRequest(http.MethodGet, "http://"+s.addr+"/health", nil)
		r.Header.Set("X", strings.Repeat("y", row.bytes))
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != row.status {
			t.Errorf("request %d of %d bytes: %d", n, row.bytes, res.StatusCode)
		}
	}
	if got := s.limited("header_bytes"); got != "2" {
		t.Errorf("counted %s", got)
	}
}

// An upstream's own 431 is not taken for one of ours.
func TestAnUpstreamsOwn431IsNotCounted(t *testing.T) {
	u := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(431)
		_, _ = io.WriteString(w, "431 Request Header Fields Too Large")
	})
	s := startSidecar(t, u.URL)
	if res, _ := s.get("/health"); res.StatusCode != 431 || s.limited("header_bytes") != "0" {
		t.Errorf("got %d, counted %s", res.StatusCode, s.limited("header_bytes"))
	}
}

func TestBodiesAreLimited(t *testing.T) {
	chunks := func(n int) string { return strings.Repeat("64\r\n"+strings.Repeat("x", 100)+"\r\n", n) + "0\r\n\r\n" }
	for _, tt := range []struct {
		name, framing, body string
		status              int
		whole               bool // the upstream sees it whole
	}{
		{"declared, of the limit", "Content-Length: 1000", strings.Repeat("x", 1000), 200, true},
		{"declared, over it", "Content-Length: 1001", "", 413, false},
		{"declared, far over it", "Content-Length: 9223372036854775807", "", 413, false},
		{"chunked, of the limit", "Transfer-Encoding: chunked", chunks(10), 200, true},
		{"chunked, over it", "Transfer-Encoding: chunked", chunks(11), 413, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole := make(chan bool, 1)
			u := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				whole <- err == nil
			}))
			defer u.Close()
			s := startSidecar(t, u.URL, "ENVGATE_MAX_BODY_BYTES=1000")
			res, body := s.raw("POST /tools HTTP/1.1\r\nHost: h\r\n" + bearer(token(t, nil)) + "\r\n" + tt.framing + "\r\n\r\n" + tt.body)
			if res.StatusCode != tt.status {
				t.Fatalf("got %d %s, want %d", res.StatusCode, body, tt.status)
			}
			want := "0"
			if tt.status == 413 {
				if want = "1"; decodeProblem(t, body).Reason != authz.Limited || !res.Close {
					t.Errorf("got %s, the connection goes on: %t", body, !res.Close)
				}
			}
			if got := s.limited("body_bytes"); got != want {
				t.Errorf("counted %s, want %s", got, want)
			}
			select {
			case got := <-whole:
				if got != tt.whole {
					t.Errorf("the upstream saw it whole: %t", got)
				}
			case <-time.After(100 * time.Millisecond):
				if tt.whole {
					t.Error("the upstream saw nothing")
				}
			}
		})
	}
}

// The time to the answer's headers is bounded, that of a stream is not.
func TestTheUpstreamsResponseTimeIsLimited(t *testing.T) {
	next := make(chan string)
	events := eventUpstream(t, next)
	s := startSidecar(t, events.URL, "ENVGATE_UPSTREAM_RESPONSE_TIMEOUT=300ms")
	r := openEvents(t, s, http.Header{"Authorization": {"Bearer " + token(t, nil)}})
	time.Sleep(600 * time.Millisecond)
	next <- "second"
	_, _ = r.ReadString('\n')
	if line, err := r.ReadString('\n'); line != "data: second\n" {
		t.Errorf("the stream got %q, %v", line, err)
	}

	silent := startSidecar(t, rawUpstream(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), "ENVGATE_UPSTREAM_RESPONSE_TIMEOUT=300ms")
	res, body := silent.get("/tools", bearer(token(t, nil)))
	if res.StatusCode != 504 || decodeProblem(t, body).Kind != "timeout" || silent.value(`envgate_upstream_errors_total{kind="timeout"}`) != "1" {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

// A client that was refused too often gets 429, with a good token what it asks for, and its neighbours what they deserve.
func TestRefusalsAreLimited(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL, "ENVGATE_REFUSALS_PER_MINUTE=3", "ENVGATE_TRUSTED_PROXIES=127.0.0.1/32,10.0.0.0/8")
	from := func(client string) []string {
		return []string{"X-Forwarded-For: " + client, "Accept: text/html", bearer(forged(t))}
	}
	for i, want := range []int{303, 303, 303, 429, 429} {
		res, body := s.get("/admin/", from("192.0.2.1")...)
		if res.StatusCode != want {
			t.Fatalf("refusal %d: %d, want %d", i, res.StatusCode, want)
		}
		if want == 429 && (decodeProblem(t, body).Reason != authz.Limited || res.Header.Get("Retry-After") != "20" || res.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("got %s, %v", body, res.Header)
		}
	}
	for _, tt := range []struct {
		name   string
		lines  []string
		status int
	}{
		{"the same client behind another trusted proxy", from("192.0.2.1, 10.1.1.1"), 429},
		{"what the client says of itself counts nothing", from("192.0.2.9, 192.0.2.1"), 429},
		{"the same client with a good token", []string{"X-Forwarded-For: 192.0.2.1", bearer(token(t, nil))}, 200},
		{"its neighbour", from("192.0.2.2"), 303},
		{"one who says nothing", []string{"Accept: text/html", bearer(forged(t))}, 303},
	} {
		if res, _ := s.get("/admin/", tt.lines...); res.StatusCode != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, res.StatusCode, tt.status)
		}
	}
	if res, _ := s.get("/health", "X-Forwarded-For: 192.0.2.1"); res.StatusCode != 200 {
		t.Errorf("a public route: %d", res.StatusCode)
	}
	if s.limited("refusals") != "4" || s.value(`envgate_decisions_total{decision="refused",reason="limited"}`) != "4" {
		t.Errorf("counted %s", s.limited("refusals"))
	}
}

func TestClientAddresses(t *testing.T) {
	h := headerRules{trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for _, tt := range []struct{ name, peer, forwarded, want string }{
		{"a stranger", "192.0.2.1:5", "", "192.0.2.1/32"},
		{"a stranger who says it is another", "192.0.2.1:5", "192.0.2.2", "192.0.2.1/32"},
		{"through a trusted proxy", "10.0.0.1:5", "192.0.2.2", "192.0.2.2/32"},
		{"through two, on two lines", "10.0.0.1:5", "192.0.2.9,192.0.2.2|10.0.0.2", "192.0.2.2/32"},
		{"a trusted proxy that says nothing", "10.0.0.1:5", "", "10.0.0.1/32"},
		{"nothing but trusted ones", "10.0.0.1:5", "10.0.0.3, 10.0.0.2", "10.0.0.3/32"},
		{"behind what is no address", "10.0.0.1:5", "192.0.2.2, unknown", "10.0.0.1/32"},
		{"an empty element", "10.0.0.1:5", "192.0.2.2,", "10.0.0.1/32"},
		{"IPv6 counts by its network", "[fd00::1]:5", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:5", "", "192.0.2.1/32"},
	} {
		r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{}}
		if tt.forwarded != "" {
			r.Header["X-Forwarded-For"] = strings.Split(tt.forwarded, "|")
		}
		if got := addressBlock(h.clientAddress(r)).String(); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Within any minute a client is refused at most twice its number before 429, and one that waits gets all of it again.
func TestAllowancesFillUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 10).Draw(t, "per minute")
		f := newRefusals(&authz.Config{Limits: authz.Limits{RefusalsPerMinute: n}}, nil)
		client := netip.MustParsePrefix("192.0.2.1/32")
		now := time.Unix(1e9, 0)
		var taken []time.Time
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, 30), 1, 60).Draw(t, "seconds between") {
			now = now.Add(time.Duration(step) * time.Second)
			if f.take(client, now) {
				taken = append(taken, now)
			}
			lately := slices.DeleteFunc(slices.Clone(taken), func(at time.Time) bool { return now.Sub(at) > time.Minute })
			if len(lately) > 2*n {
				t.Fatalf("%d refusals within a minute, of %d", len(lately), n)
			}
		}
		now = now.Add(61 * time.Second)
		for i := range n + 1 {
			if f.take(client, now) != (i < n) {
				t.Fatalf("after a minute's rest, refusal %d of %d", i+1, n)
			}
		}
	})
}

// However many addresses there are, no more than so many are known.
func TestClientsAreBounded(t *testing.T) {
	f := newRefusals(&authz.Config{Limits: authz.Limits{RefusalsPerMinute: 1}}, nil)
	for i := range 3 * maxClients {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if !f.take(addressBlock(a), time.Unix(1e9, 0)) {
			t.Fatalf("the first refusal of %s is one too many", a)
		}
	}
	if n := f.clients.Len(); n != maxClients {
		t.Errorf("%d clients are known, want %d", n, maxClients)
	}
}

// Whatever comes and goes: what is counted is what is open, never over a limit, and nothing is left of what is closed.
func TestConnectionsAreCountedRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := admit(nil, &authz.Config{Limits: authz.Limits{
			MaxConnections: rapid.IntRange(0, 6).Draw(t, "most"), MaxConnectionsPerAddress: rapid.IntRange(0, 3).Draw(t, "share"),
		}}, nil)
		var open []netip.Prefix
		of := func(source netip.Prefix) (n int) {
			for _, o := range open {
				if o == source {
					n++
				}
			}
			return n
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(open) > 0 && rapid.Bool().Draw(t, "close") {
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				l.leave(open[i])
				open = slices.Delete(open, i, i+1)
				continue
			}
			source := netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", rapid.IntRange(1, 3).Draw(t, "source")))
			over := l.most > 0 && len(open) >= l.most || l.share > 0 && of(source) >= l.share
			if got := l.enter(source) != ""; got != over {
				t.Fatalf("%d open, %d of this address: over a limit %t, want %t", len(open), of(source), got, over)
			}
			if !over {
				open = append(open, source)
			}
			if l.open != len(open) {
				t.Fatalf("%d are counted, %d are open", l.open, len(open))
			}
		}
		for _, source := range open {
			l.leave(source)
		}
		if l.open != 0 || len(l.sources) != 0 {
			t.Fatalf("%d and %v are left", l.open, l.sources)
		}
	})
}

// BenchmarkLimits is what the limits take of one request: off, and by default.
func BenchmarkLimits(b *testing.B) {
	r := &http.Request{Header: http.Header{}}
	for i := range 12 {
		r.Header.Set(fmt.Sprint("Header-", i), "x")
	}
	for name, c := range map[string]authz.Limits{"off": {}, "on": {MaxHeaders: 256, MaxBodyBytes: 1}} {
		b.Run(name, func(b *testing.B) {
			l := newLimits(&authz.Config{Limits: c}, nil)
			var d authz.Decision
			b.ReportAllocs()
			for b.Loop() {
				if l.enter(r, &d) {
					b.Fatal("over a limit")
				}
				l.leave()
			}
		})
	}
}
