package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
)

const ending = "ENVGATE_STREAMS_END_AT_EXPIRY=true"

// expiring is a token that expires in so many seconds, and when that is.
func expiring(t testing.TB, seconds int64) (string, time.Time) {
	exp := time.Now().Unix() + seconds
	return token(t, jwt.MapClaims{"exp": exp}), time.Unix(exp, 0)
}

// openEvents opens an event stream, and gives it behind its first event.
func openEvents(t testing.TB, s *sidecar, header http.Header) *bufio.Reader {
	t.Helper()
	request, _ := http.NewRequest("GET", "http://"+s.addr+"/sse", nil)
	request.Header = header
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	r := bufio.NewReader(res.Body)
	if line, _ := r.ReadString('\n'); line != "data: first\n" {
		t.Fatalf("got %q", line)
	}
	return r
}

// endOf waits for the end of an event stream; it must be a proper one.
func endOf(t testing.TB, r io.Reader) time.Time {
	t.Helper()
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("the stream ended with %v, want a clean end", err)
	}
	return time.Now()
}

func (ls *leases) count() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.open)
}

// An event stream lives exactly as long as the token that expires first.
func TestEventStreamsEndAtExpiry(t *testing.T) {
	for _, tt := range []struct {
		name, authorization, cookie string
		leeway                      time.Duration
	}{
		{"in the header", "Bearer SHORT", "", 0},
		{"with leeway", "Bearer SHORT", "", time.Second},
		{"in a cookie", "", "jwt_token=SHORT", 0},
		{"in a cookie beside a longer one", "", "jwt_token=GOOD; access_token=SHORT", 0},
		{"in a cookie beside a longer header", "Bearer GOOD", "jwt_token=SHORT", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startSidecar(t, eventUpstream(t, nil).URL, ending, "ENVGATE_LEEWAY="+tt.leeway.String())
			good := token(t, nil)
			short, at := expiring(t, 3)
			fill := strings.NewReplacer("SHORT", short, "GOOD", good)
			r := openEvents(t, s, http.Header{"Authorization": {fill.Replace(tt.authorization)}, "Cookie": {fill.Replace(tt.cookie)}})
			if early := at.Add(tt.leeway).Sub(endOf(t, r)); early > 0 {
				t.Errorf("ended %s before its time", early)
			}
			if got := s.value(`envgate_streams_ended_total{cause="expiry",kind="sse"}`); got != "1" {
				t.Errorf("counted %q", got)
			}
			eventually(t, "nothing is left", func() bool { return s.proxy.leases.count() == 0 && s.proxy.streams.count() == 0 })
			for _, secret := range []string{short, good} {
				if strings.Contains(s.logs.String()+s.adminGet("/api/status")+s.adminGet("/metrics"), secret) {
					t.Error("an output holds a token")
				}
			}
		})
	}
}

func TestWebSocketsEndAtExpiry(t *testing.T) {
	closed := make(chan websocket.StatusCode, 1)
	s := startSidecar(t, echoUpstream(t, closed).URL, ending)
	short, at := expiring(t, 3)
	c, err := dialWebSocket(t, s, http.Header{"Authorization": {"Bearer " + short}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(context.Background(), websocket.MessageText, []byte("x")); err != nil {
		t.Fatal(err)
	}
	_, _, first := c.Read(context.Background())
	_, _, err = c.Read(context.Background())
	if first != nil || websocket.CloseStatus(err) != websocket.StatusPolicyViolation || time.Now().Before(at) {
		t.Errorf("the client saw %v and %v %s before its time, want an echo and 1008", first, err, time.Until(at))
	}
	if status := <-closed; status != websocket.StatusPolicyViolation {
		t.Errorf("the upstream saw %v, want 1008", status)
	}
	if got := s.value(`envgate_streams_ended_total{cause="expiry",kind="websocket"}`); got != "1" {
		t.Errorf("counted %q", got)
	}
	eventually(t, "nothing is left", func() bool { return s.proxy.leases.count() == 0 && s.proxy.streams.count() == 0 })
}

// Streams outlive the token by default, in report mode, and without exp.
func TestStreamsThatOutliveTheirToken(t *testing.T) {
	for _, tt := range []struct {
		name     string
		settings []string
		expires  bool
	}{
		{"by default", nil, true},
		{"in report mode", []string{ending, "ENVGATE_MODE=report"}, true},
		{"without exp", []string{ending, "REQUIRE_TOKEN_EXPIRATION=false"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			next := make(chan string)
			s := startSidecar(t, eventUpstream(t, next).URL, tt.settings...)
			held, at := expiring(t, 3)
			if !tt.expires {
				held = token(t, jwt.MapClaims{"exp": nil})
			}
			r := openEvents(t, s, http.Header{"Authorization": {"Bearer " + held}})
			time.Sleep(time.Until(at) + 200*time.Millisecond)
			next <- "second"
			_, _ = r.ReadString('\n')
			if line, err := r.ReadString('\n'); line != "data: second\n" {
				t.Errorf("got %q, %v", line, err)
			}
		})
	}
}

// A reload that makes a token unacceptable ends its streams, and no others.
func TestStreamsEndWhenAReloadWouldRefuseThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "denied")
	write(t, file, "")
	next := make(chan string)
	events, echo := eventUpstream(t, next), echoUpstream(t, nil)
	s, _ := startReloading(t, events.URL, ending, "ENVGATE_DENY_LIST="+file)
	ws, _ := startReloading(t, echo.URL, ending, "ENVGATE_DENY_LIST="+file)
	stolen := token(t, jwt.MapClaims{"jti": "stolen"})
	bad := openEvents(t, s, http.Header{"Authorization": {"Bearer " + stolen}})
	beside := openEvents(t, s, http.Header{"Authorization": {"Bearer " + token(t, nil)}, "Cookie": {"jwt_token=" + stolen}})
	c, err := dialWebSocket(t, ws, http.Header{"Cookie": {"jwt_token=" + stolen}})
	if err != nil {
		t.Fatal(err)
	}
	good := openEvents(t, s, http.Header{"Authorization": {"Bearer " + token(t, nil)}, "Cookie": {"jwt_token=" + forged(t)}})

	write(t, file, "jti stolen\n")
	endOf(t, bad)
	endOf(t, beside) // the gateway got that token, too
	if _, _, err := c.Read(context.Background()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("the client saw %v, want 1008", err)
	}
	eventually(t, "the upstream knows", func() bool { return events.underWay.Load() == 1 }) // else one that ended takes what comes next
	next <- "second"
	_, _ = good.ReadString('\n')
	if line, err := good.ReadString('\n'); line != "data: second\n" {
		t.Errorf("the good one got %q, %v", line, err)
	}
	if got := s.value(`envgate_streams_ended_total{cause="refused",kind="sse"}`); got != "2" {
		t.Errorf("counted %q", got)
	}
	if got := ws.value(`envgate_streams_ended_total{cause="refused",kind="websocket"}`); got != "1" {
		t.Errorf("counted %q", got)
	}
	if strings.Contains(s.logs.String(), stolen) || strings.Contains(ws.logs.String(), stolen) {
		t.Error("a log holds a token")
	}
}

// A request that was judged before a reload opens its stream after it: it is judged again.
func TestAStreamThatOpensDuringAReloadIsJudgedAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "denied")
	write(t, file, "")
	arrived, goOn := make(chan bool), make(chan bool)
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		<-goOn
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprint(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	s, _ := startReloading(t, u.URL, ending, "ENVGATE_DENY_LIST="+file)
	ended := make(chan error, 1)
	go func() {
		request, _ := http.NewRequest("GET", "http://"+s.addr+"/sse", nil)
		request.Header.Set("Authorization", "Bearer "+token(t, nil))
		res, err := http.DefaultClient.Do(request)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		ended <- err
	}()
	<-arrived
	write(t, file, "jti test-id\n")
	eventually(t, "reloaded", func() bool { return s.value(`envgate_deny_list_entries{kind="jti"}`) == "1" })
	close(goOn)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An upstream that stops in the middle of a frame doesn't keep the connection open.
func TestAWebSocketInTheMiddleOfAFrameIsBrokenOff(t *testing.T) {
	u := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x82\x7eab")
		t.Cleanup(func() { _ = conn.Close() })
	})
	s := startSidecar(t, u.URL, ending)
	s.proxy.leases.grace = 100 * time.Millisecond
	short, _ := expiring(t, 3)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer "+short+"\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	all, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(all), "\x82\x7eab") {
		t.Errorf("got %q, %v: want the end behind the half frame", all, err)
	}
}

// A client that takes nothing doesn't keep its event stream open.
func TestAnEventStreamThatNobodyReadsIsBrokenOff(t *testing.T) {
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			if _, err := fmt.Fprintf(w, "data: %s\n\n", strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
	})
	s := startSidecar(t, u.URL, ending)
	s.proxy.leases.grace = 100 * time.Millisecond
	short, _ := expiring(t, 3)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET /sse HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+short+"\r\n\r\n")
	eventually(t, "the stream is open", func() bool { return s.proxy.streams.count() == 1 })
	eventually(t, "the stream is over", func() bool { return s.proxy.streams.count() == 0 })
}

// Streams that come and go under reloads, with tokens of which every other one is revoked: nothing is left over, and each
// is counted at most once.
func TestLeasesAreReleased(t *testing.T) {
	file := filepath.Join(t.TempDir(), "denied")
	write(t, file, "")
	s, _ := startReloading(t, eventUpstream(t, nil).URL, ending, "ENVGATE_DENY_LIST="+file)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 10 {
				ctx, cancel := context.WithCancel(context.Background())
				request, _ := http.NewRequestWithContext(ctx, "GET", "http://"+s.addr+"/sse", nil)
				request.Header.Set("Authorization", "Bearer "+token(t, jwt.MapClaims{"jti": fmt.Sprint("id-", i%2)}))
				res, err := http.DefaultClient.Do(request)
				if err == nil {
					if n%2 == 0 && i%2 == 0 && res.StatusCode == 200 {
						_, _ = io.ReadAll(res.Body) // until the reload ends it
					}
					_ = res.Body.Close()
				}
				cancel()
			}
		})
	}
	write(t, file, "jti id-0\n")
	wg.Wait()
	eventually(t, "nothing is left", func() bool { return s.proxy.leases.count() == 0 && s.proxy.streams.count() == 0 })
}
