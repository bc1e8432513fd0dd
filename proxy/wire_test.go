package proxy

import (
	"net"
	"strings"
	"testing"
	"time"
)

// TestSmuggling sends bytes that two servers could cut into requests differently. Expected: one request upstream that is
// the whole of what was meant, or a clean refusal; a smuggled /evil never arrives.
func TestSmuggling(t *testing.T) {
	good := token(t, nil)
	head := "POST /tools HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + good + "\r\n"
	smuggled := "GET /evil HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + good + "\r\n\r\n"
	for _, row := range []struct {
		name     string
		request  string
		statuses string // of the answers, in order
	}{
		{"content length and chunked", head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, "200"},
		{"chunked, spelt oddly", head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled, "501"},
		{"chunked twice", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, "400|501"},
		{"chunked with a space before the colon", head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled, "400"},
		{"two different content lengths", head + "Content-Length: 4\r\nContent-Length: 0\r\n\r\nabcd" + smuggled, "400"},
		{"content lengths in a list", head + "Content-Length: 4, 0\r\n\r\nabcd" + smuggled, "400"},
		{"a signed content length", head + "Content-Length: +4\r\n\r\nabcd" + smuggled, "400"},
		{"a negative content length", head + "Content-Length: -1\r\n\r\n" + smuggled, "400"},
		{"a bare LF inside a chunk size line", head + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n4;x\nabcd\r\n0\r\n\r\n" + smuggled, "400"},
		{"an oversized chunk size", head + "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabcd\r\n0\r\n\r\n" + smuggled, "400"},
		{"a header folded over two lines", head + "X-A: b\r\n Transfer-Encoding: chunked\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "200"},
		{"a NUL in a header", head + "X-A: b\x00c\r\nContent-Length: 0\r\n\r\n", "400"},
		{"a header without a colon", head + "Nonsense\r\n\r\n", "400"},
		{"a header with an odd name", head + "X A: b\r\nContent-Length: 0\r\n\r\n", "400"},
		{"two Host headers", "GET /tools HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		{"no Host header", "GET /tools HTTP/1.1\r\n\r\n", "400"},
		{"a Host with quotes", "GET /tools HTTP/1.1\r\nHost: a\"b\r\n\r\n", "400"},
		{"a control character in the target", "GET /to\x01ols HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
		{"HTTP/0.9", "GET /tools\r\n\r\n", "400"},
		{"HTTP/3.0", "GET /tools HTTP/3.0\r\nHost: h\r\n\r\n", "505"},
		{"CONNECT", "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\nConnection: close\r\n\r\n", "405"},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := newRecorder(t, nil)
			s := startSidecar(t, u.URL)
			answers := s.rawAll(row.request, 3)
			var got []string
			for _, a := range answers {
				got = append(got, itoa(a.res.StatusCode))
			}
			if first := append(got, "none")[0]; !strings.Contains(row.statuses, first) {
				t.Errorf("answers %v, want %s", got, row.statuses)
			}
			for _, r := range u.requests() {
				if r.uri == "/evil" {
					t.Errorf("the smuggled request arrived; answers %v", got)
				}
			}
		})
	}
}

func TestPipelinedRequestsGetTheirOwnAnswers(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	auth := "Host: h\r\nAuthorization: Bearer " + token(t, nil) + "\r\n"
	answers := s.rawAll("GET /a HTTP/1.1\r\n"+auth+"\r\nTRACE /b HTTP/1.1\r\n"+auth+"\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\nGET /d HTTP/1.1\r\n"+auth+"Connection: close\r\n\r\n", 4)
	var got []string
	for _, a := range answers {
		got = append(got, itoa(a.res.StatusCode))
	}
	if strings.Join(got, " ") != "200 405 401 200" {
		t.Errorf("answers %v", got)
	}
	var uris []string
	for _, r := range u.requests() {
		uris = append(uris, r.uri)
	}
	if strings.Join(uris, " ") != "/a /d" {
		t.Errorf("the upstream saw %v", uris)
	}
}

func TestTargetFormsAreJudgedByTheirPath(t *testing.T) {
	good := bearer(token(t, nil))
	for _, row := range []struct {
		name, request string
		status        int
		uri           string
	}{
		{"absolute form, public", "GET http://other.example.com/health HTTP/1.1\r\nHost: h\r\n", 200, "/health"},
		{"absolute form, protected", "GET http://other.example.com/tools HTTP/1.1\r\nHost: h\r\n", 401, ""},
		{"absolute form with a token", "GET http://other.example.com/tools?a=b HTTP/1.1\r\nHost: h\r\n" + good + "\r\n", 200, "/tools?a=b"},
		{"absolute form without a path", "GET http://other.example.com HTTP/1.1\r\nHost: h\r\n", 200, "/"},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: h\r\n", 401, ""},
		{"HTTP/1.0", "GET /tools HTTP/1.0\r\n" + good + "\r\n", 200, "/tools"},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := newRecorder(t, nil)
			s := startSidecar(t, u.URL)
			res, body := s.raw(row.request + "Connection: close\r\n\r\n")
			if res.StatusCode != row.status {
				t.Fatalf("%d %s", res.StatusCode, body)
			}
			if row.uri != "" && u.last(t).uri != row.uri {
				t.Error("another target arrived")
			} else if row.uri == "" && len(u.requests()) != 0 {
				t.Error("the upstream saw it")
			}
		})
	}
}

func TestHeadersAreBounded(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	for name, lines := range map[string]string{
		"one giant header":    "X-Big: " + strings.Repeat("a", 200<<10) + "\r\n",
		"thousands of them":   strings.Repeat("X-Many: abcdefghijklmnop\r\n", 20000),
		"a megabyte of dots":  "Authorization: Bearer " + strings.Repeat(".", 1<<20) + "\r\n",
		"thousands of tokens": "Cookie: " + strings.Repeat("jwt_token=a.b.c; ", 20000) + "\r\n",
	} {
		conn, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
		_, _ = conn.Write([]byte("GET /tools HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n"))
		answer := make([]byte, 12)
		n, _ := conn.Read(answer)
		_ = conn.Close()
		if got := string(answer[:n]); n > 0 && got != "HTTP/1.1 431" { // a reset is an answer, too
			t.Errorf("%s: %q", name, got)
		}
	}
	if len(u.requests()) != 0 {
		t.Error("the upstream saw something")
	}
}
