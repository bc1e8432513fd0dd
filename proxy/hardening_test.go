package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAProtectedHeaderIsProtectedInWhateverSpellingItIsConfigured(t *testing.T) {
	policy := writeFile(t, "policy.yaml", "strip_headers: [X_Secret_Id, X_Int_*]\n")
	for _, configured := range []string{"X_Authenticated_User", "X-Authenticated_User", "X.Authenticated.User", "x-authenticated-user"} {
		u := newRecorder(t, nil)
		s := startSidecar(t, u.URL, "PROXY_USER_HEADER="+configured, "ENVGATE_POLICY="+policy)
		for _, sent := range []string{"X-Authenticated-User", "X_Authenticated_User", "X.Authenticated.User", "X-Secret-Id", "X_Secret_Id", "X-Int-A", "X_Int_A"} {
			s.get("/tools", bearer(token(t, nil)), sent+": evil")
			for name, values := range u.last(t).header {
				if strings.Contains(strings.Join(values, " "), "evil") {
					t.Errorf("configured %s: %s arrived", configured, name)
				}
			}
		}
	}
}

// TestARefusalDoesNotWaitForABody: who announces a body and never sends it gets the answer at once.
func TestARefusalDoesNotWaitForABody(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	_, _ = io.WriteString(conn, "POST /tools HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != 401 || !res.Close {
		t.Errorf("%v %v", res, err)
	}
}

func TestAnOddUpgradeIsServedAsPlainHTTP(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	for _, upgrade := range []string{"\xff", "web\xc5\xbfocket", "websoc\xe2\x84\xaaet"} {
		res, body := s.raw("GET /health HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: " + upgrade + "\r\n\r\n")
		if res.StatusCode != 200 || u.last(t).header.Get("Upgrade") != "" {
			t.Errorf("%q: %d %s", upgrade, res.StatusCode, body)
		}
	}
	if s.value(`envgate_upstream_errors_total{kind="reset"}`) != "0" {
		t.Error("the upstream is blamed")
	}
}

// TestAfter1xxNothingIsAddedAndTheConnectionStillCloses: ReverseProxy empties the header map at each 1xx.
func TestAfter1xxNothingIsAddedAndTheConnectionStillCloses(t *testing.T) {
	s := startSidecar(t, rawUpstream(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
	}))
	answers := s.rawAll("POST /tools HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer "+token(t, nil)+"\r\n\r\n0\r\n\r\n", 2)
	if len(answers) != 2 {
		t.Fatalf("%d answers", len(answers))
	}
	if h := answers[1].res.Header; h.Get("Content-Type") != "" || h.Get("Date") != "" || !answers[1].res.Close {
		t.Errorf("%v, close %v", h, answers[1].res.Close)
	}
}

func TestPartsOfAnAnswerOfKnownLengthAreNotHeldBack(t *testing.T) {
	release := make(chan struct{})
	u := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "a")
		_ = http.NewResponseController(w).Flush()
		<-release
		_, _ = io.WriteString(w, "b")
	})
	s := startSidecar(t, u.URL)
	request, _ := http.NewRequest("GET", "http://"+s.addr+"/tools", nil)
	request.Header.Set("Authorization", "Bearer "+token(t, nil))
	timer := time.AfterFunc(5*time.Second, func() { close(release) })
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(res.Body, first); err != nil || first[0] != 'a' {
		t.Error(err)
	}
	if !timer.Stop() {
		t.Fatal("the first part came with the last")
	}
	close(release)
}

func TestAStreamThatOpensWhileStoppingIsEnded(t *testing.T) {
	opened := make(chan struct{})
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		close(opened)
		time.Sleep(300 * time.Millisecond)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: x\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	s := startSidecar(t, u.URL, "ENVGATE_DRAIN_TIMEOUT=10s")
	ended := make(chan error, 1)
	go func() {
		request, _ := http.NewRequest("GET", "http://"+s.addr+"/sse", nil)
		request.Header.Set("Authorization", "Bearer "+token(t, nil))
		res, err := http.DefaultClient.Do(request)
		if err == nil {
			_, err = io.ReadAll(res.Body)
		}
		ended <- err
	}()
	<-opened
	started := time.Now()
	s.Stop()
	if err := <-ended; err != nil || time.Since(started) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(started))
	}
}

func TestTheAccessLogHasAbortedStreams(t *testing.T) {
	u := eventUpstream(t, nil)
	s := startSidecar(t, u.URL, "ENVGATE_ACCESS_LOG=true")
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "GET /sse HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "+token(t, nil)+"\r\n\r\n")
	_, _ = bufio.NewReader(conn).ReadString('\n')
	_ = conn.Close()
	eventually(t, "the access line", func() bool { return strings.Contains(s.logs.String(), `"msg":"request"`) })
}

func TestFramesUnderWayAreFollowedToTheirEnd(t *testing.T) {
	wire := append([]byte{0x82, 3}, "abc"...)
	wire = append(wire, 0x82, 1, 'x')
	for cut := range len(wire) {
		var f frames
		f.follow(wire[:cut])
		n := f.followFrame(wire[cut:])
		want := 0
		switch {
		case cut > 0 && cut < 5:
			want = 5 - cut
		case cut > 5:
			want = len(wire) - cut
		}
		if n != want || !f.between() {
			t.Errorf("cut at %d: %d bytes, want %d", cut, n, want)
		}
	}
}
