package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// exchangeSlowly sends a head, and a part of a body each half second, and reads until the connection ends.
func exchangeSlowly(t *testing.T, address, head string, parts []string) (answer []byte, took time.Duration) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	began := time.Now()
	fmt.Fprint(conn, head+"Host: h\r\n\r\n")
	go func() {
		for n, part := range parts {
			if n > 0 {
				time.Sleep(500 * time.Millisecond)
			}
			fmt.Fprint(conn, part)
		}
	}()
	answer, err = io.ReadAll(conn)
	if err != nil {
		t.Errorf("the connection doesn't end, or is reset: %v", err)
	}
	return answer, time.Since(began)
}

// A body that doesn't come holds no place: it is waited for as long as is configured, and longer only while it comes.
func TestBodiesHaveTime(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL, "ENVGATE_BODY_TIMEOUT=1s")
	good := "Authorization: Bearer " + token(t, nil) + "\r\n"
	part := strings.Repeat("x", 300)
	t.Run("each", func(t *testing.T) {
		for _, row := range []struct {
			name, head string
			parts      []string
			status     string
		}{
			{"a public route, and nothing", "POST /auth/login HTTP/1.1\r\nContent-Length: 10\r\n", nil, "408"},
			{"a token, and nothing", "POST /tools HTTP/1.1\r\nContent-Length: 10\r\n" + good, nil, "408"},
			{"one byte and no more", "POST /tools HTTP/1.1\r\nContent-Length: 10\r\n" + good, []string{"x"}, "408"},
			{"a byte now and then", "POST /tools HTTP/1.1\r\nContent-Length: 10\r\n" + good, []string{"x", "x", "x", "x", "x", "x"}, "408"},
			{"a chunk, and nothing", "POST /tools HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + good, []string{"1\r\nx\r\n"}, "408"},
			{"much at once is no credit", "POST /tools HTTP/1.1\r\nContent-Length: 100000\r\n" + good, []string{strings.Repeat("x", 99990), "", "", "", "x"}, "408"},
			{"600 bytes a second", "POST /tools HTTP/1.1\r\nConnection: close\r\nContent-Length: 1500\r\n" + good, []string{part, part, part, part, part}, "200"},
			{"refused, and nothing", "POST /tools HTTP/1.1\r\nContent-Length: 10\r\n", nil, "401"},
		} {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				if answer, took := exchangeSlowly(t, s.addr, row.head, row.parts); !bytes.HasPrefix(answer, []byte("HTTP/1.1 "+row.status)) || took > 5*time.Second {
					t.Errorf("after %v: %s", took, answer)
				}
			})
		}
	})
	if got := s.value(`envgate_limited_total{limit="body_time"}`); got != "6" {
		t.Errorf("%s are counted", got)
	}
}

// Over HTTP/2, where a connection goes on, a body that doesn't come ends its stream alone.
func TestBodiesHaveTimeOverHTTP2(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL, "ENVGATE_BODY_TIMEOUT=1s")
	client := h2cClient()
	for _, row := range []struct {
		name   string
		pause  time.Duration
		status int
	}{{"in time", 300 * time.Millisecond, 200}, {"late", 3 * time.Second, 408}, {"in time again", 0, 200}} {
		in, out := io.Pipe()
		go func() {
			_, _ = out.Write([]byte("a"))
			time.Sleep(row.pause)
			_, _ = out.Write([]byte("b"))
			_ = out.Close()
		}()
		r, _ := http.NewRequest(http.MethodPost, "http://"+s.addr+"/tools", in)
		r.Header.Set("Authorization", "Bearer "+token(t, nil))
		res, err := client.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		_ = res.Body.Close()
		if res.StatusCode != row.status {
			t.Errorf("%s: %d", row.name, res.StatusCode)
		}
	}
}

// earlyUpstream answers before it reads a body.
func earlyUpstream(t *testing.T) (address string) {
	t.Helper()
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		http.Error(w, "no", http.StatusForbidden)
	}))
	t.Cleanup(u.Close)
	return u.URL
}

// The gateway may answer before the body is there: the client has the answer at once, whole, and the connection ends.
func TestAnEarlyAnswerArrives(t *testing.T) {
	s := startSidecar(t, earlyUpstream(t))
	good := "Authorization: Bearer " + token(t, nil) + "\r\n"
	for _, row := range []struct {
		name, head string
		parts      []string
	}{
		{"of some bytes two", "POST /early HTTP/1.1\r\nContent-Length: 5\r\n" + good, []string{"ab"}},
		{"nothing yet", "POST /early HTTP/1.1\r\nContent-Length: 5\r\n" + good, nil},
		{"half of a long one", "POST /early HTTP/1.1\r\nContent-Length: 2000000\r\n" + good, []string{strings.Repeat("x", 1_000_000)}},
		{"a chunk", "POST /early HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + good, []string{"2\r\nab\r\n"}},
		{"on a public route", "POST /auth/login HTTP/1.1\r\nContent-Length: 5\r\n", []string{"ab"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if answer, took := exchangeSlowly(t, s.addr, row.head, row.parts); !bytes.HasPrefix(answer, []byte("HTTP/1.1 403")) || !bytes.HasSuffix(answer, []byte("\r\n\r\nno\n")) || took > 3*time.Second {
				t.Errorf("after %v: %s", took, answer)
			}
		})
	}
}

// Whoever goes on sending has the answer all the same: nothing is reset before it is read.
func TestAnEarlyAnswerArrivesWhileTheClientSends(t *testing.T) {
	s := startSidecar(t, earlyUpstream(t))
	for _, row := range []struct {
		name, head, status string
		length             int
	}{
		{"refused", "POST /tools HTTP/1.1\r\n", "401", 8 << 20}, {"refused, little", "POST /tools HTTP/1.1\r\n", "401", 200 << 10},
		{"to the login page", "POST /tools HTTP/1.1\r\nAccept: text/html\r\n", "303", 8 << 20},
		{"by the gateway", "POST /auth/login HTTP/1.1\r\n", "403", 8 << 20},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for range 5 {
				conn, err := net.Dial("tcp", s.addr)
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				fmt.Fprintf(conn, "%sHost: h\r\nContent-Length: %d\r\n\r\n", row.head, row.length)
				_, _ = conn.Write(make([]byte, row.length)) // all of it, before the answer is looked at
				answer, err := io.ReadAll(conn)
				_ = conn.Close()
				if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 "+row.status)) || bytes.Contains(answer, []byte("chunked")) {
					t.Fatalf("%v: %s", err, answer)
				}
			}
		})
	}
}
