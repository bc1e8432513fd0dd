package proxy

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

func itoa(n int) string { return strconv.Itoa(n) }

func TestPathAndQueryArriveByteForByte(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	good := bearer(token(t, nil))
	for _, target := range []string{
		"/tools", "/tools/", "/%74ools", "/a%2fb", "/a%2Fb", "/x/../y", "//tools", "/tools;x=1", "/tools?", "/tools?a=1&b=2",
		"/tools?a=%zz&b=%", "/tools?a;b&c=d+e%20f", "/tools?q=" + strings.Repeat("a&", 12000), "/caf%C3%A9", "/a%20b", "/tools?x=ü", "/a'b(c)*!", "/tools?a=b?c=/d",
		"/.well-known/x", "/%E2%82%AC?%E2%82%AC=1", "/a:b@c$d,e", "/tools?token=abc", "/a%25b", "/a[%2f]",
	} {
		res, body := s.get(target, good)
		if res.StatusCode != 200 {
			t.Errorf("%.60s: status %d %s", target, res.StatusCode, body)
			continue
		}
		if got := u.last(t); got.uri != target {
			t.Errorf("%.60s arrived as %.60s", target, got.uri)
		}
	}
}

func TestPathsThatGoWouldReencodeAreRefused(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	for _, target := range []string{"/a%2fb|c", "/a|b%2f", "/ü", "/a#b", "/a%2f\"", "/a%2f<x>"} {
		res, body := s.get(target, bearer(token(t, nil)))
		if res.StatusCode != 400 || decodeProblem(t, body).Reason != "bad_path" {
			t.Errorf("%s: status %d %s", target, res.StatusCode, body)
		}
	}
	if n := len(u.requests()); n != 0 {
		t.Errorf("the upstream saw %d requests", n)
	}
}

func TestHeadersBodyAndHostArriveUnchanged(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	good := token(t, nil)
	res, _ := s.send("PATCH", "/tools/1", "exactly this\x00\xff", bearer(good), "X-Odd: a, b", "X-Odd: c", "Accept-Encoding: br", "X-Empty:", "Cookie: theme=dark; lang=\"x y\"; =v; novalue", "User-Agent: test/1")
	if res.StatusCode != 200 {
		t.Fatal(res.StatusCode)
	}
	got := u.last(t)
	for _, row := range []struct{ what, got, want string }{
		{"method", got.method, "PATCH"},
		{"body", got.body, "exactly this\x00\xff"},
		{"host", got.host, "gateway.example.com"},
		{"authorization", strings.Join(got.header["Authorization"], "|"), "Bearer " + good},
		{"repeated header", strings.Join(got.header["X-Odd"], "|"), "a, b|c"},
		{"accept-encoding", strings.Join(got.header["Accept-Encoding"], "|"), "br"},
		{"cookie", strings.Join(got.header["Cookie"], "|"), "theme=dark; lang=\"x y\"; =v; novalue"},
		{"user agent", got.header.Get("User-Agent"), "test/1"},
		{"forwarded for", got.header.Get("X-Forwarded-For"), "127.0.0.1"},
		{"forwarded proto", got.header.Get("X-Forwarded-Proto"), "http"},
		{"forwarded host", got.header.Get("X-Forwarded-Host"), "gateway.example.com"},
	} {
		if row.got != row.want {
			t.Errorf("%s: %q, want %q", row.what, row.got, row.want)
		}
	}
	if _, ok := got.header["X-Empty"]; !ok {
		t.Error("an empty header was lost")
	}
}

func TestNothingIsAddedToARequest(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	s.get("/tools", bearer(token(t, nil)))
	got := u.last(t)
	for name := range got.header {
		switch name {
		case "Authorization", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host":
		default:
			t.Errorf("added: %s: %q", name, got.header[name])
		}
	}
}

func TestTheCanonicalAuthHeaderGoesOn(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	good := token(t, nil)
	for _, line := range []string{"Authorization: bearer " + good, "authorization: BEARER   " + good + "  ", "AUTHORIZATION:\tBearer " + good} {
		if res, body := s.get("/tools", line); res.StatusCode != 200 {
			t.Errorf("%q: %d %s", line[:20], res.StatusCode, body)
			continue
		}
		if got := u.last(t).header["Authorization"]; len(got) != 1 || got[0] != "Bearer "+good {
			t.Errorf("%q did not arrive in canonical form", line[:20])
		}
	}
}

func TestAnswersComeBackUnchanged(t *testing.T) {
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Date"], h["Content-Type"] = nil, nil
		h.Add("Set-Cookie", "a=1; Path=/")
		h.Add("Set-Cookie", "b=2; Path=/")
		h.Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "\x1f\x8b not really gzip <html>")
	})
	s := startSidecar(t, u.URL)
	res, body := s.get("/tools", bearer(token(t, nil)))
	if res.StatusCode != http.StatusTeapot || body != "\x1f\x8b not really gzip <html>" {
		t.Errorf("status %d, body %q", res.StatusCode, body)
	}
	for name := range res.Header {
		switch name {
		case "Set-Cookie", "Content-Encoding", "Content-Length", "Connection":
		default:
			t.Errorf("added: %s: %q", name, res.Header[name])
		}
	}
	if got := res.Header["Set-Cookie"]; len(got) != 2 {
		t.Errorf("cookies: %q", got)
	}
}

func TestEveryStatusComesBack(t *testing.T) {
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/status/"))
		w.WriteHeader(n)
	})
	s := startSidecar(t, u.URL)
	for _, n := range []int{200, 201, 202, 204, 301, 304, 307, 400, 401, 403, 404, 405, 409, 422, 429, 500, 502, 503, 599} {
		if res, _ := s.get("/status/"+itoa(n), bearer(token(t, nil))); res.StatusCode != n {
			t.Errorf("status %d came back as %d", n, res.StatusCode)
		}
	}
	if got := s.value(`envgate_http_requests_total{code="401",method="GET",source="upstream"}`); got != "1" {
		t.Errorf("the upstream's own 401 is counted as %q", got)
	}
	if got := s.value(`envgate_http_requests_total{code="401",method="GET",source="envgate"}`); got != "0" {
		t.Errorf("our 401 is counted as %q", got)
	}
}
