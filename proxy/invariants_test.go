package proxy

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"
)

// octal undoes what Python's http.cookies would undo in a quoted value.
var octal = regexp.MustCompile(`\\[0-7]{3}|\\.`)

func pythonUnquote(s string) string {
	return octal.ReplaceAllStringFunc(s, func(e string) string {
		if len(e) == 4 {
			n, _ := strconv.ParseUint(e[1:], 8, 16)
			return string([]byte{byte(n)})
		}
		return e[1:]
	})
}

// TestNothingUnacceptedGetsThrough is invariant I1 over real sockets: whatever a client sends, no part of a token that
// must not be accepted is found in what the upstream saw as auth header, Cookie or (on /ws) query, in any spelling.
func TestNothingUnacceptedGetsThrough(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL, "ENVGATE_TRUSTED_PROXIES=private")
	good := []string{token(t, nil), token(t, jwt.MapClaims{"env": nil, "jti": "good-2"})}
	bad := []string{
		token(t, jwt.MapClaims{"env": "staging"}), token(t, jwt.MapClaims{"exp": 1}), token(t, jwt.MapClaims{"env": 7}), token(t, jwt.MapClaims{"aud": "x"}),
		forged(t), "opaque-token-of-somebody", token(t, jwt.MapClaims{"exp": nil}),
	}
	signature := func(tok string) string { return tok[strings.LastIndexByte(tok, '.')+1:] }

	rapid.Check(t, func(r *rapid.T) {
		tok := rapid.SampledFrom(append(append([]string{}, good...), bad...))
		spell := rapid.Custom(func(r *rapid.T) string {
			v := tok.Draw(r, "token")
			switch rapid.IntRange(0, 7).Draw(r, "spelling") {
			case 0:
				return `"` + v + `"`
			case 1:
				return `"` + strings.ReplaceAll(v, ".", `\056`) + `"`
			case 2:
				return "\xa0" + v + "\x85"
			case 3:
				return `"\145` + v[1:] + `"`
			}
			return v
		})
		cookie := rapid.Custom(func(r *rapid.T) string {
			name := rapid.SampledFrom([]string{"jwt_token", "access_token", "\xa0jwt_token", "jwt_token\x85", " jwt_token ", "theme", "jwt token", "\"jwt_token\"", "JWT_TOKEN", "", "jwt_token\t"}).Draw(r, "name")
			value := rapid.SampledFrom([]string{"dark", "", "a=b"}).Draw(r, "other")
			switch name {
			case "theme", "JWT_TOKEN", "": // not read by the gateway
			default:
				value = spell.Draw(r, "value")
			}
			return name + rapid.SampledFrom([]string{"=", " = ", "="}).Draw(r, "sign") + value
		})
		var b strings.Builder
		path := rapid.SampledFrom([]string{"/tools", "/ws", "/%77s", "/health", "/", "/admin/login", "/static/x", "/static/mcp", "/mcp/", "//ws", "/health/../tools"}).Draw(r, "path")
		if n := rapid.IntRange(0, 3).Draw(r, "parameters"); n > 0 {
			var q []string
			for range n {
				name := rapid.SampledFrom([]string{"token", "%74oken", "tok%65n", "x", "token;y"}).Draw(r, "parameter")
				q = append(q, name+"="+url.QueryEscape(tok.Draw(r, "value")))
			}
			path += "?" + strings.Join(q, rapid.SampledFrom([]string{"&", ";"}).Draw(r, "separator"))
		}
		method := rapid.SampledFrom([]string{"GET", "POST", "HEAD", "OPTIONS", "get", "DELETE"}).Draw(r, "method")
		b.WriteString(method + " " + path + " HTTP/1.1\r\nHost: h\r\nConnection: " + rapid.SampledFrom([]string{"close", "close, Authorization", "close, Cookie"}).Draw(r, "connection") + "\r\nContent-Length: 0\r\n")
		for range rapid.IntRange(0, 2).Draw(r, "headers") {
			b.WriteString(rapid.SampledFrom([]string{"Authorization", "authorization"}).Draw(r, "header") + ": " + rapid.SampledFrom([]string{"Bearer ", "bearer  ", "Basic ", "", "Token ", "Bearer\t"}).Draw(r, "scheme") + tok.Draw(r, "bearer") + "\r\n")
		}
		for range rapid.IntRange(0, 2).Draw(r, "cookie lines") {
			b.WriteString("Cookie: " + strings.Join(rapid.SliceOfN(cookie, 1, 4).Draw(r, "cookies"), rapid.SampledFrom([]string{";", "; ", " ;"}).Draw(r, "semicolon")) + "\r\n")
		}
		if rapid.Bool().Draw(r, "preflight") {
			b.WriteString("Origin: https://x\r\nAccess-Control-Request-Method: GET\r\n")
		}
		u.mu.Lock()
		u.seen = nil
		u.mu.Unlock()
		s.rawAll(b.String()+"\r\n", 1)

		for _, got := range u.requests() {
			places := append(append([]string{}, got.header["Authorization"]...), got.header["Cookie"]...)
			if p, q, _ := strings.Cut(got.uri, "?"); p == "/ws" || p == "/%77s" {
				for pair := range strings.SplitSeq(q, "&") {
					if name, value, _ := strings.Cut(pair, "="); name == "token" || name == "%74oken" || name == "tok%65n" {
						places = append(places, value)
					}
				}
			}
			for _, place := range places {
				for _, reading := range []string{place, pythonUnquote(place)} {
					for _, tok := range bad {
						if strings.Contains(reading, signature(tok)) {
							r.Fatalf("a token that must not be accepted arrived with\n%q\nas %q", b.String(), place)
						}
					}
				}
			}
			if n := len(got.header["Authorization"]); n > 1 {
				r.Fatalf("%d auth headers arrived", n)
			}
		}
	})
}
