package authz

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Every fuzz target has seeds in the repository: without them a plain test run would run none.
func TestFuzzSeedsExist(t *testing.T) {
	for _, name := range []string{"FuzzCredentials", "FuzzCookies", "FuzzRoutes", "FuzzToken", "FuzzPolicy", "FuzzObject"} {
		seeds, err := filepath.Glob(filepath.Join("testdata/fuzz", name, "*"))
		if err != nil || len(seeds) < 3 {
			t.Errorf("%s: %d seeds (%v)", name, len(seeds), err)
		}
		for _, seed := range seeds {
			if b, err := os.ReadFile(seed); err != nil || !strings.HasPrefix(string(b), "go test fuzz v1\n") {
				t.Errorf("%s is no seed (%v)", seed, err)
			}
		}
	}
}

// fuzzed is the request of fuzzed credentials, with placeholders such as {good} filled in.
func fuzzed(t *testing.T, all map[string]string, path, query, header, cookie string) *http.Request {
	put := func(s string) string {
		for name, token := range all {
			s = strings.ReplaceAll(s, name, token)
		}
		return s
	}
	r := &http.Request{Method: "GET", Host: "gateway.example.com", URL: &url.URL{Path: path, RawQuery: put(query)}, Header: http.Header{}}
	for line := range strings.SplitSeq(put(header), "\n") {
		if line != "" {
			r.Header["Authorization"] = append(r.Header["Authorization"], line)
		}
	}
	for line := range strings.SplitSeq(put(cookie), "\n") {
		if line != "" {
			r.Header["Cookie"] = append(r.Header["Cookie"], line)
		}
	}
	return r
}

// good are the tokens of tokens that a plain guard accepts.
func good(all map[string]string) []string {
	return []string{all["{good}"], all["{good2}"], all["{envless}"]}
}

// Whatever goes on, the gateway reads no token in it that isn't good, and a protected request has one.
func FuzzCredentials(f *testing.F) {
	f.Add("Bearer {good}", "jwt_token={foreign}; a=b", "token={good2}")
	f.Add("Bearer {good}\nBearer {foreign}", "", "")
	f.Add("Basic x", `jwt_token="{forged}"; access_token={good}`, "%74oken={expired}")
	f.Add("", "\xa0jwt_token\x85={foreign};jwt_token={good}", "a&&token")
	g, all := newGuard(f), tokens(f)
	accepted := good(all)
	f.Fuzz(func(t *testing.T, header, cookie, query string) {
		for _, path := range []string{"/tools", "/health", "/ws"} {
			r := fuzzed(t, all, path, query, header, cookie)
			d := g.Check(r)
			consistent(t, d)
			if d.Outcome == Refused {
				continue
			}
			read := gatewayReads(forwarded(r, g.c, d), "Authorization", "")
			for _, candidate := range read {
				if !slices.Contains(accepted, candidate) {
					t.Errorf("%s %s goes on with %q", d.Outcome, path, candidate)
				}
			}
			if path != "/health" && len(read) == 0 {
				t.Errorf("%s %s goes on without a token", d.Outcome, path)
			}
		}
	})
}

// Every cookie that the gateway would read as a token is found, with the value that the gateway reads where it is plain;
// what is not a token's cookie keeps its bytes.
func FuzzCookies(f *testing.F) {
	f.Add("jwt_token=a; access_token=b;jwt_token=c")
	f.Add(`x=1;jwt_token ="a\056b"; jwt_token=`)
	f.Add("\xa0jwt_token\x85=\x1ca\x1f;;=;a")
	names := []string{"jwt_token", "access_token"}
	f.Fuzz(func(t *testing.T, line string) {
		pieces := cookieLines([]string{line}, names)[0]
		var found []string
		for i, p := range pieces {
			if p.carrier && p.drop {
				t.Errorf("%q is a token's cookie and an odd name", p.raw)
			}
			if p.carrier {
				value := p.token
				if !p.plain {
					value = unquote(value)
				}
				found = append(found, value)
			}
			pieces[i].drop = p.carrier || p.drop
		}
		want := gatewayReads(&http.Request{URL: &url.URL{}, Header: http.Header{"Cookie": {line}}}, "Authorization", "")
		if !slices.Equal(found, want) {
			t.Errorf("found %q, the gateway reads %q", found, want)
		}
		rest := joinPieces(pieces, ";")
		if left := gatewayReads(&http.Request{URL: &url.URL{}, Header: http.Header{"Cookie": {rest}}}, "Authorization", ""); len(left) > 0 {
			t.Errorf("with every token removed, %q still holds %q", rest, left)
		}
		if !edited(pieces) && rest != line {
			t.Errorf("nothing removed, but %q became %q", line, rest)
		}
		for _, p := range cookieLines([]string{rest}, names)[0] {
			if p.drop {
				t.Errorf("%q still holds an odd name", rest)
			}
		}
	})
}

// A path is public only where it is written in the one way that every parser reads alike, and Go sends it unchanged.
func FuzzRoutes(f *testing.F) {
	for _, path := range []string{"/health", "/static/a.css", "/static/../admin", "/static/%2e%2e/x", "/health;x", "//health", "/static/mcp/", "/gw/health", "/a|b", "/%e2%98%83", "/static/%2525", "http://h/health", "foo:bar://x"} {
		f.Add(path)
	}
	g := newGuard(f, "APP_ROOT_PATH=/gw")
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || strings.ContainsAny(target, " \r\n") {
			return
		}
		r := &http.Request{Method: "GET", Host: "h", URL: u, RequestURI: target, Header: http.Header{}}
		d := g.Check(r)
		if d.Outcome != Public {
			return
		}
		path := u.Path
		segments := strings.Split(path, "/")
		for i, s := range segments {
			if s == "." || s == ".." || s == "" && i > 0 && i < len(segments)-1 {
				t.Errorf("%q is public with segment %q", target, s)
			}
		}
		if strings.ContainsAny(path, ";\\\x00%") || strings.HasSuffix(strings.TrimSuffix(path, "/"), "/mcp") {
			t.Errorf("%q is public", target)
		}
		raw, _, _ := strings.Cut(target, "?")
		if !strings.HasSuffix(raw, u.EscapedPath()) {
			t.Errorf("%q is public, but sent as %q", target, u.EscapedPath())
		}
		if again, err := url.PathUnescape(path); err != nil || again != path {
			t.Errorf("%q is public, but decodes twice", target)
		}
		bare := strings.TrimPrefix(path, "/gw")
		listed := slices.ContainsFunc(g.c.Policy.Routes, func(r Route) bool {
			return slices.Contains(r.Methods, "GET") && (r.Path != "" && (path == r.Path || bare == r.Path || bare == "" && r.Path == "/") || r.Prefix != "" && (strings.HasPrefix(path, r.Prefix) || strings.HasPrefix(bare, r.Prefix)))
		})
		if !listed {
			t.Errorf("%q is public, but no route lists %q", target, path)
		}
	})
}

// No text but the signed ones is accepted, and reading one never depends on anything but the text.
func FuzzToken(f *testing.F) {
	g, all := newGuard(f), tokens(f)
	for _, token := range all {
		f.Add(token)
	}
	for _, s := range []string{"", ".", "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "e30.e30.e30", repeat(".", 100)} {
		f.Add(s)
	}
	accepted := good(all)
	f.Fuzz(func(t *testing.T, token string) {
		for name, text := range all {
			token = strings.ReplaceAll(token, name, text)
		}
		v := g.v.verify(token)
		if v.Reason == None && !slices.Contains(accepted, token) {
			t.Fatalf("%q is accepted", token)
		}
		if v.Verified && (v.Issuer == "" || v.Reason == Signature || v.Reason == Algorithm || v.Reason == Malformed) {
			t.Errorf("verified and %s", v.Reason)
		}
		if !v.Verified && (v.Subject != "" || v.Environment != "" || v.Foreign || v.Reason == None) {
			t.Errorf("not verified, yet something of it counts: %v", v)
		}
		// A text with a genuine signature is recognised by the lenient reader as well.
		if v.Verified && !g.v.underGatewayKey(token) {
			t.Errorf("verified, but not recognised as signed by the gateway")
		}
	})
}

// A policy that loads makes nothing public that is not canonical, and never every path.
func FuzzPolicy(f *testing.F) {
	builtin, err := PolicyText("contextforge")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(builtin))
	files, err := filepath.Glob("testdata/policies/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d policies (%v)", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy([]byte(text))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("a message of two lines: %q", err)
			}
			return
		}
		rs := newRoutes(p, "")
		for _, path := range []string{"/nowhere/../x", "//", "/x/mcp", "/x;y"} {
			if route, ok := rs.public("GET", path, path); ok {
				t.Errorf("%q is public by %q", path, route)
			}
		}
		for _, r := range p.Routes {
			if r.Access == AccessPublic && (r.Suffix != "" || len(r.Methods) == 0 || r.Prefix == "/" || !canonicalPath(r.Path+r.Prefix)) {
				t.Errorf("a route that is too wide: %+v", r)
			}
			if r.Path != "" && r.Access == AccessProtected && len(r.Methods) == 0 {
				if _, ok := rs.public("GET", r.Path, r.Path); ok {
					t.Errorf("%q is protected and public", r.Path)
				}
			}
		}
	})
}

// The strict reader agrees with encoding/json on what it reads, and refuses what either refuses.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":[{"c":"}"}]}`, `{"a":1,"a":2}`, `{"env":1,"\u0065nv":2}`, ` { "a" : "\"" } `, `[1]`, `null`, `{"a":1}x`, "{\"\xff\":1}", `{"\ud800":1}`, `{"a":1e400}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		agree(t, []byte(text))
		if o, err := parseObject([]byte(text), nil); err == nil {
			if !utf8.ValidString(text) {
				t.Errorf("%q is no text", text)
			}
			if c, ok := parseClaims(o); ok && c.hasExpiry && o.get("exp") == nil {
				t.Error("an expiry out of nowhere")
			}
		}
	})
}
