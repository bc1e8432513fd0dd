package proxy

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

const embedding = "EMBED_ENVIRONMENT_IN_TOKENS=true"

// env is a token's env claim, or why there is none.
func env(t testing.TB, token, key string) string {
	t.Helper()
	parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte(key), nil })
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(parsed.Claims.(jwt.MapClaims)["env"])
}

func compressed(t testing.TB, coding, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if coding == "deflate" {
		w = zlib.NewWriter(&b)
	}
	_, err := io.WriteString(w, text)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Answers of the upstream, and what the client gets of them. TOKEN is one without env.
func TestTokensInAnswersAreEmbedded(t *testing.T) {
	fresh := token(t, jwt.MapClaims{"env": nil})
	login := `{"access_token":"` + fresh + `","expires_in":3600,"user":{"id":12345678901234567890}}`
	long := `{"access_token":"` + fresh + `","x":"` + strings.Repeat("x", issuanceLimit) + `"}`
	jsonAnswer := func(status int, text string, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for i := 0; i < len(headers); i += 2 {
				w.Header().Add(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}
	}
	cookie := func(status int, lines ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for _, line := range lines {
				w.Header().Add("Set-Cookie", strings.ReplaceAll(line, "TOKEN", fresh))
			}
			w.Header().Set("Location", "/admin?token="+fresh)
			w.WriteHeader(status)
		}
	}
	partial := jsonAnswer(206, login, "Content-Range", "bytes 0-99/100")
	big := token(t, jwt.MapClaims{"env": nil, "x": strings.Repeat("x", 2870)}) // a cookie of it is just short enough for a browser
	if n := len("jwt_token=" + big); n > cookieLimit || n < cookieLimit-20 {
		t.Fatalf("%d bytes", n)
	}
	gz, zl := string(compressed(t, "gzip", login)), string(compressed(t, "deflate", login))
	bomb := string(compressed(t, "gzip", long))
	for _, row := range []struct {
		name, method, path string
		answer             http.HandlerFunc
		lines              []string
		result             string // of envgate_tokens_embedded_total; empty: nothing is counted
	}{
		{"a login", "POST", "/auth/login", jsonAnswer(200, login), nil, "embedded"},
		{"an API token", "POST", "/tokens", jsonAnswer(201, login), []string{bearer(token(t, nil))}, "embedded"},
		{"a team's API token", "POST", "/tokens/teams/7", jsonAnswer(201, login), []string{"Cookie: jwt_token=" + token(t, nil)}, "embedded"},
		{"compressed all the same", "POST", "/auth/login", jsonAnswer(200, gz, "Content-Encoding", "gzip"), nil, "embedded"},
		{"deflated all the same", "POST", "/auth/login", jsonAnswer(200, zl, "Content-Encoding", "deflate"), nil, "embedded"},
		{"asked for with an unbound token", "POST", "/tokens", jsonAnswer(201, login), []string{bearer(fresh)}, "unbound_request"},
		{"of an unknown coding", "POST", "/auth/login", jsonAnswer(200, login, "Content-Encoding", "br"), nil, "unreadable"},
		{"broken compression", "POST", "/auth/login", jsonAnswer(200, gz[:20], "Content-Encoding", "gzip"), nil, "unreadable"},
		{"no JSON", "POST", "/auth/login", jsonAnswer(200, login[:40]), nil, "unreadable"},
		{"a name twice", "POST", "/auth/login", jsonAnswer(200, `{"access_token":"a","access_token":"`+fresh+`"}`), nil, "unreadable"},
		{"too long", "POST", "/auth/login", jsonAnswer(200, long), nil, "too_large"},
		{"too long once it is unpacked", "POST", "/auth/login", jsonAnswer(200, bomb, "Content-Encoding", "gzip"), nil, "too_large"},
		{"a part of an answer", "POST", "/auth/login", partial, nil, ""},
		{"a cookie that a browser would drop if it became longer", "POST", "/admin/login", cookie(303, "jwt_token="+big+"; Path=/"), nil, "too_large"},
		{"bound already", "POST", "/auth/login", jsonAnswer(200, `{"access_token":"`+token(t, nil)+`"}`), nil, "already_bound"},
		{"of another environment", "POST", "/auth/login", jsonAnswer(200, `{"access_token":"`+token(t, jwt.MapClaims{"env": "staging"})+`"}`), nil, "foreign"},
		{"opaque", "POST", "/auth/login", jsonAnswer(200, `{"access_token":"abc"}`), nil, "not_ours"},
		{"a failed login", "POST", "/auth/login", jsonAnswer(401, login), nil, ""},
		{"a redirect that repeats the request", "POST", "/auth/login", jsonAnswer(307, login), nil, ""},
		{"another route", "GET", "/tools", jsonAnswer(200, login), []string{bearer(token(t, nil))}, ""},
		{"another media type", "POST", "/auth/login", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, login)
		}, nil, ""},
		{"an admin's login", "POST", "/admin/login", cookie(303, "jwt_token=TOKEN; HttpOnly; Max-Age=3600; Path=/; SameSite=lax"), nil, "embedded"},
		{"a view of the admin page", "GET", "/admin/", cookie(200, "csrf=1; Path=/", `jwt_token=TOKEN;Path=/gw`), []string{bearer(token(t, nil))}, "embedded"},
		{"the same with an unbound cookie", "GET", "/admin/", cookie(200, "jwt_token=TOKEN"), []string{"Cookie: jwt_token=" + fresh}, "unbound_request"},
		{"a cookie that is taken away", "POST", "/admin/logout", cookie(303, `jwt_token=""; Max-Age=0; Path=/`), nil, ""},
		{"another cookie", "POST", "/admin/login", cookie(303, "session=TOKEN"), nil, ""},
		{"a cookie on a repeating redirect", "POST", "/admin/login", cookie(308, "jwt_token=TOKEN"), nil, ""},
		{"a cookie of an error", "POST", "/admin/login", cookie(500, "jwt_token=TOKEN"), nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := newRecorder(t, row.answer)
			s, plain := startSidecar(t, u.URL, embedding), startSidecar(t, u.URL)
			want, wantBody := plain.send(row.method, row.path, "", append(row.lines, "Accept-Encoding: gzip, br")...)
			if accepts := u.last(t).header.Get("Accept-Encoding"); accepts != "gzip, br" {
				t.Errorf("without embedding the upstream is asked for %q", accepts)
			}
			got, body := s.send(row.method, row.path, "", append(row.lines, "Accept-Encoding: gzip, br")...)
			issuing := s.proxy.rules.Load().guard.Issuance(row.method, row.path) != nil
			if accepts := u.last(t).header.Get("Accept-Encoding"); accepts != map[bool]string{true: "identity", false: "gzip, br"}[issuing] {
				t.Errorf("the upstream is asked for %q", accepts)
			}
			for _, result := range []string{"embedded", "already_bound", "unbound_request", "foreign", "not_ours", "unreadable", "too_large"} {
				count := map[bool]string{true: "1", false: "0"}[result == row.result]
				if n := s.value(`envgate_tokens_embedded_total{result="` + result + `"}`); n != count {
					t.Errorf("%s: %s, want %s", result, n, count)
				}
			}
			if got.StatusCode != want.StatusCode || got.Header.Get("Location") != want.Header.Get("Location") {
				t.Errorf("%d %s", got.StatusCode, got.Header.Get("Location"))
			}
			if row.result != "embedded" {
				if body != wantBody || fmt.Sprint(got.Header["Set-Cookie"], got.Header["Content-Length"], got.Header["Content-Encoding"]) != fmt.Sprint(want.Header["Set-Cookie"], want.Header["Content-Length"], want.Header["Content-Encoding"]) {
					t.Errorf("changed: %.200q\n%v", body, got.Header)
				}
				return
			}
			if strings.Contains(body+fmt.Sprint(got.Header["Set-Cookie"]), fresh) {
				t.Error("the token without env is still there")
			}
			if lines := want.Header["Set-Cookie"]; lines != nil {
				for i, line := range lines {
					name, rest, _ := strings.Cut(line, fresh)
					now := got.Header["Set-Cookie"][i]
					value := strings.TrimSuffix(strings.TrimPrefix(now, name), rest)
					if strings.HasPrefix(line, "jwt_token") && (env(t, value, testSecret) != "production" || name+value+rest != now) || !strings.HasPrefix(line, "jwt_token") && now != line {
						t.Errorf("%s became %s", line, now)
					}
				}
				return
			}
			before, after, _ := strings.Cut(login, fresh)
			value := strings.TrimSuffix(strings.TrimPrefix(body, before), after)
			if env(t, value, testSecret) != "production" || before+value+after != body {
				t.Errorf("%q", body)
			}
			if got.ContentLength != int64(len(body)) || got.Header.Get("Content-Encoding") != "" {
				t.Errorf("%d bytes, said to be %d, %v", len(body), got.ContentLength, got.Header)
			}
		})
	}
}

// What is computed over the former bytes does not go on; everything else does.
func TestHeadersStayTrue(t *testing.T) {
	fresh := token(t, jwt.MapClaims{"env": nil})
	u := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Content-Type"], h["Etag"], h["X-Other"], h["Cache-Control"] = []string{"application/json; charset=utf-8"}, []string{`"abc"`}, []string{"a", "b"}, []string{"private"}
		h["Content-Digest"] = []string{"sha-256=:x:"}
		_, _ = io.WriteString(w, `{"access_token":"`+fresh+`"}`)
	})
	res, _ := startSidecar(t, u.URL, embedding).send("POST", "/auth/login", "{}")
	if res.Header.Get("Etag")+res.Header.Get("Content-Digest") != "" || strings.Join(res.Header["X-Other"], "") != "ab" || res.Header.Get("Cache-Control") != "private" || res.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%v", res.Header)
	}
}

// A token of another environment that shares the secret can't buy itself a bound one, in any way that the gateway offers.
func TestNoLaundering(t *testing.T) {
	fresh := token(t, jwt.MapClaims{"env": nil})
	u := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) { // a gateway that serves whoever it sees
		w.Header().Add("Set-Cookie", "jwt_token="+fresh)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"`+fresh+`"}`)
	})
	staging := token(t, jwt.MapClaims{"env": nil, "sub": "staging@example.com"}) // legacy: no env
	s := startSidecar(t, u.URL, embedding)
	for _, row := range []struct{ method, path, line string }{
		{"GET", "/admin/", bearer(staging)}, {"GET", "/admin/", "Cookie: jwt_token=" + staging}, {"GET", "/admin/", "Cookie: access_token=" + staging},
		{"POST", "/tokens", bearer(staging)}, {"POST", "/tokens", "Cookie: a=b; jwt_token=" + staging}, {"POST", "/auth/login", bearer(staging)},
		{"POST", "/auth/email/register", "Cookie: jwt_token=" + staging}, {"GET", "/", bearer(staging)},
	} {
		res, body := s.send(row.method, row.path, "", row.line)
		if !strings.Contains(body, fresh) || res.Header.Get("Set-Cookie") != "jwt_token="+fresh {
			t.Errorf("%s %s with %.20s: bound", row.method, row.path, row.line)
		}
	}
	if n := s.value(`envgate_tokens_embedded_total{result="embedded"}`); n != "0" {
		t.Errorf("%s embedded", n)
	}
}

// Translation end to end: the gateway knows the base secret, clients the derived one.
func TestKeysAreTranslated(t *testing.T) {
	base := token(t, jwt.MapClaims{"env": nil})
	u := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"`+base+`"}`)
	})
	settings := []string{embedding, "DERIVE_KEY_PER_ENVIRONMENT=true", "ENVGATE_TRANSLATE_KEYS=issue", "ENVGATE_ACCEPT_BASE_KEY=false"}
	production := startSidecar(t, u.URL, settings...)
	staging := startSidecar(t, u.URL, append(settings, "ENVGATE_ENVIRONMENT=staging")...)
	_, body := production.send("POST", "/auth/login", "{}")
	issued := strings.TrimSuffix(strings.TrimPrefix(body, `{"access_token":"`), `"}`)
	if env(t, issued, testSecret) == "production" {
		t.Error("the issued token is under the base secret")
	}
	u.last(t)
	if res, _ := production.get("/tools", bearer(issued)); res.StatusCode != 200 {
		t.Errorf("its own token: %d", res.StatusCode)
	}
	seen := strings.TrimPrefix(u.last(t).header.Get("Authorization"), "Bearer ")
	if env(t, seen, testSecret) != "production" {
		t.Error("the gateway doesn't get it under the base secret")
	}
	if res, _ := staging.get("/tools", bearer(issued)); res.StatusCode != 401 {
		t.Errorf("at staging: %d", res.StatusCode)
	}
	if res, body := production.get("/tools", bearer(base)); res.StatusCode != 401 || !strings.Contains(body, "signature") {
		t.Errorf("a base-key token: %d %s", res.StatusCode, body)
	}
	if logs := production.logs.String(); !strings.Contains(logs, "signed with the base secret, which is not accepted: ENVGATE_ACCEPT_BASE_KEY is false") {
		t.Errorf("the log has no hint: %s", logs)
	}
	for series, want := range map[string]string{
		`envgate_translated_tokens_total{direction="inbound"}`: "1", `envgate_translated_tokens_total{direction="outbound"}`: "1",
		"envgate_tokens_verified_by_base_key_total": "0", `envgate_configuration_warnings{check="base_key_seen"}`: "0", // as was asked for
	} {
		if got := production.value(series); got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
	migrating := startSidecar(t, u.URL, embedding, "DERIVE_KEY_PER_ENVIRONMENT=true", "ENVGATE_TRANSLATE_KEYS=issue")
	if res, _ := migrating.get("/tools", bearer(base)); res.StatusCode != 200 {
		t.Errorf("a base-key token while migrating: %d", res.StatusCode)
	}
	if migrating.value("envgate_tokens_verified_by_base_key_total") != "1" || !strings.Contains(migrating.logs.String(), "derived keys separate nothing yet") {
		t.Error("it is not counted and warned about")
	}
}
