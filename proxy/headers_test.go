package proxy

import (
	"net/http"
	"strings"
	"testing"
)

func TestProtectedHeadersNeverReachTheUpstream(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL, "PROXY_USER_HEADER=X-Authenticated-User")
	good := bearer(token(t, nil))
	for _, name := range []string{
		"X-Authenticated-User", "x-authenticated-user", "X_Authenticated_User", "X.Authenticated.User", "X-Authenticated_User", "x_AUTHENTICATED-user",
		"X-Forwarded-Internally", "X_Forwarded_Internally", "X-Contextforge-Internal", "X-ContextForge-MCP-Runtime", "X_Contextforge_Anything",
		"X-Real-IP", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X_Forwarded_For", "Forwarded",
	} {
		if res, body := s.get("/tools", good, name+": evil"); res.StatusCode != 200 {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
			continue
		}
		for got, values := range u.last(t).header {
			if strings.Contains(strings.Join(values, " "), "evil") {
				t.Errorf("%s arrived as %s: %q", name, got, values)
			}
		}
	}
}

func TestProtectedHeadersAreRemovedOnEveryBranch(t *testing.T) {
	for _, row := range []struct {
		name     string
		target   string
		settings []string
		lines    []string
	}{
		{"a public route", "/health", nil, nil},
		{"report mode", "/tools", []string{"ENVGATE_MODE=report"}, nil},
		{"the rule off", "/tools", []string{"ENVGATE_ENVIRONMENT_RULE=off"}, []string{bearer(token(t, nil))}},
		{"named in Connection", "/tools", nil, []string{bearer(token(t, nil)), "Connection: close, X-Forwarded-For"}},
		{"a trusted proxy", "/tools", []string{"ENVGATE_TRUSTED_PROXIES=private"}, []string{bearer(token(t, nil))}},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := newRecorder(t, nil)
			s := startSidecar(t, u.URL, row.settings...)
			s.get(row.target, append(row.lines, "X-Authenticated-User: evil", "X_Authenticated_User: evil", "X-Contextforge-Trust: evil")...)
			got := u.last(t).header
			for name, values := range got {
				if strings.Contains(strings.Join(values, " "), "evil") {
					t.Errorf("%s arrived", name)
				}
			}
			if got.Get("X-Forwarded-For") != "127.0.0.1" {
				t.Errorf("X-Forwarded-For: %q", got.Get("X-Forwarded-For"))
			}
		})
	}
}

func TestForwardingHeaders(t *testing.T) {
	for _, row := range []struct {
		name     string
		settings []string
		lines    []string
		want     [4]string // for, proto, host, port
	}{
		{"a stranger's are replaced", nil, []string{"X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1"}, [4]string{"127.0.0.1", "http", "gateway.example.com", ""}},
		{"another network is a stranger", []string{"ENVGATE_TRUSTED_PROXIES=10.0.0.0/8"}, []string{"X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https"}, [4]string{"127.0.0.1", "http", "gateway.example.com", ""}},
		{"a trusted proxy's are kept and appended to", []string{"ENVGATE_TRUSTED_PROXIES=private"}, []string{"X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: public.example.com", "X-Forwarded-Port: 443"}, [4]string{"9.9.9.9, 127.0.0.1", "https", "public.example.com", "443"}},
		{"two lines of a trusted proxy are joined", []string{"ENVGATE_TRUSTED_PROXIES=127.0.0.1/32"}, []string{"X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 8.8.8.8"}, [4]string{"9.9.9.9, 8.8.8.8, 127.0.0.1", "http", "gateway.example.com", ""}},
		{"the public URL wins", []string{"ENVGATE_TRUSTED_PROXIES=private", "ENVGATE_PUBLIC_URL=https://gw.example.com:8443"}, []string{"X-Forwarded-Proto: http", "X-Forwarded-Host: other"}, [4]string{"127.0.0.1", "https", "gw.example.com:8443", ""}},
		{"named in Connection they are set all the same", nil, []string{"Connection: X-Forwarded-For, X-Forwarded-Proto", "X-Forwarded-For: 9.9.9.9"}, [4]string{"127.0.0.1", "http", "gateway.example.com", ""}},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := newRecorder(t, nil)
			s := startSidecar(t, u.URL, row.settings...)
			s.get("/tools", append(row.lines, bearer(token(t, nil)))...)
			h := u.last(t).header
			got := [4]string{strings.Join(h["X-Forwarded-For"], "|"), strings.Join(h["X-Forwarded-Proto"], "|"), strings.Join(h["X-Forwarded-Host"], "|"), strings.Join(h["X-Forwarded-Port"], "|")}
			if got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestTrailersPassAndProtectedOnesDoNot(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	good := token(t, nil)
	request := "POST /tools HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + good + "\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n" +
		"Trailer: X-Sum, X-Authenticated-User\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\nX-Authenticated-User: evil\r\nX_Authenticated_User: evil\r\n" +
		"X-Forwarded-For: evil\r\nAuthorization: Bearer evil\r\nCookie: jwt_token=evil\r\nX-Undeclared: 7\r\n\r\n"
	res, _ := s.raw(request)
	if res.StatusCode != 200 {
		t.Fatal(res.StatusCode)
	}
	got := u.last(t)
	if got.body != "abc" || got.trailer.Get("X-Sum") != "42" || got.trailer.Get("X-Undeclared") != "7" {
		t.Errorf("body %q, trailers %q", got.body, got.trailer)
	}
	for name, values := range got.trailer {
		if strings.Contains(strings.Join(values, " "), "evil") {
			t.Errorf("trailer %s arrived", name)
		}
	}
}

func TestTrailersOverHTTP2(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	request, _ := http.NewRequest("POST", "http://"+s.addr+"/tools", struct{ *strings.Reader }{strings.NewReader("abc")})
	request.ContentLength = -1
	request.Header.Set("Authorization", "Bearer "+token(t, nil))
	request.Trailer = http.Header{"X-Sum": {"42"}, "X-Authenticated-User": {"evil"}}
	res, err := h2cClient().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := u.last(t); res.ProtoMajor != 2 || got.trailer.Get("X-Sum") != "42" || got.trailer.Get("X-Authenticated-User") != "" || got.body != "abc" {
		t.Errorf("%s: body %q, trailers %q", res.Proto, got.body, got.trailer)
	}
}

func h2cClient() *http.Client {
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: p, DisableCompression: true}}
}

func TestAnswerTrailersComeBack(t *testing.T) {
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Declared")
		_, _ = w.Write([]byte("body"))
		w.Header().Set("X-Declared", "1")
		w.Header().Set(http.TrailerPrefix+"X-Undeclared", "2")
	})
	s := startSidecar(t, u.URL)
	res, body := s.get("/tools", bearer(token(t, nil)))
	if body != "body" || res.Trailer.Get("X-Declared") != "1" || res.Trailer.Get("X-Undeclared") != "2" {
		t.Errorf("body %q, trailers %q", body, res.Trailer)
	}
}

func TestForwardedIgnoredIsRaisedByTraffic(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	series := `envgate_configuration_warnings{check="forwarded_ignored"}`
	s.get("/health", "X-Forwarded-Proto: http")
	if s.value(series) != "0" {
		t.Error("raised by http")
	}
	s.get("/health", "X-Forwarded-Proto: https")
	s.get("/health", "X-Forwarded-Proto: https")
	if s.value(series) != "1" || strings.Count(s.logs.String(), `"check":"forwarded_ignored"`) != 1 {
		t.Error("not raised once")
	}
	quiet := startSidecar(t, u.URL, "ENVGATE_TRUSTED_PROXIES=private")
	quiet.get("/health", "X-Forwarded-Proto: https")
	if quiet.value(series) != "0" {
		t.Error("raised although the proxy is trusted")
	}
}

func TestWhatIsLeftOfACookieLine(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	good, bad := token(t, nil), forged(t)
	for _, row := range []struct{ sent, want string }{
		{"jwt_token=" + bad, ""},
		{"jwt_token=" + bad + ";", ""},
		{"; jwt_token=" + bad + " ; ", ""},
		{"jwt_token=" + bad + "; theme=dark", "theme=dark"},
		{"theme=dark;jwt_token=" + bad + ";lang=en", "theme=dark;lang=en"},
		{"a=1; access_token=" + good + "; jwt_token=" + bad, "a=1; access_token=" + good},
		{"a=1;  b=2 ;;c", "a=1;  b=2 ;;c"},
	} {
		if res, body := s.get("/tools", bearer(good), "Cookie: "+row.sent); res.StatusCode != 200 {
			t.Errorf("%d %s", res.StatusCode, body)
			continue
		}
		if got := strings.Join(u.last(t).header["Cookie"], "|"); got != row.want {
			t.Errorf("%q became %q, want %q", row.sent, got, row.want)
		}
	}
}
