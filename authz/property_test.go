package authz

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"envgate/authz/attacktest"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"
)

// pool are tokens of every kind; the first ones are acceptable to the guards below.
type pool struct {
	tokens     []string
	acceptable map[string]bool // as they may reach the gateway
	old        string          // good, of the additional key
}

func newPool(t testing.TB) pool {
	t.Helper()
	extra := signing{key: []byte(attacktest.Additional)}
	good := []string{
		sign(t, `{@base,"env":"production"}`), sign(t, `{@base,"env":"production","n":2}`), sign(t, `{@base}`), sign(t, `{@base,"env":null}`),
		sign(t, `{@base,"env":"production"}`, signing{header: `{"kid":"x","alg":"HS256"}`}),
	}
	p := pool{acceptable: map[string]bool{}}
	for _, token := range good {
		p.acceptable[token] = true
	}
	// Signed again for the gateway, a token of the additional key is the same text as one of the current key.
	p.acceptable[sign(t, `{@base,"env":"production","old":1}`)] = true
	p.old = sign(t, `{@base,"env":"production","old":1}`, extra)
	last := strings.LastIndexByte(good[0], '.')
	p.tokens = append(good,
		p.old, sign(t, `{@base,"env":"staging"}`, extra),
		sign(t, `{@base,"env":"staging"}`), sign(t, `{@base,"env":7}`), sign(t, `{@base,"env":"","Env":"production"}`),
		sign(t, `{@names,"exp":@past,"env":"production"}`), sign(t, `{@names,"env":"production"}`), sign(t, `{@base,"nbf":@future}`),
		sign(t, `{"iss":"x","aud":"mcpgateway-api","exp":@future}`), sign(t, `{"iss":"mcpgateway","aud":"x","exp":@future}`),
		sign(t, `{@base,"env":"production","env":"production"}`),
		sign(t, `{@base,"env":"production"}`, signing{key: []byte(otherSecret)}),
		sign(t, `{@base,"env":"production"}`, signing{header: `{"alg":"none"}`}),
		sign(t, `{@base,"env":"production"}`, signing{method: jwt.SigningMethodHS512}),
		sign(t, `{@base,"env":"production"}`, signing{header: `{"alg":"HS256","crit":["x"]}`}),
		good[0][:last], good[0][:last+1], good[0]+"=", good[0]+".", strings.Replace(good[0], ".", "..", 1), "", "junk", "a.b.c", "..",
	)
	return p
}

// anyToken draws a token, sometimes changed as an attacker would.
func (p pool) anyToken(t *rapid.T) string {
	token := rapid.SampledFrom(p.tokens).Draw(t, "token")
	change := rapid.SampledFrom([]string{"", "", "", "", "quote", "octal", "space", "nbsp", "percent", "half"}).Draw(t, "change")
	switch change {
	case "quote":
		return `"` + token + `"`
	case "octal":
		return `"` + strings.ReplaceAll(token, ".", `\056`) + `"`
	case "space":
		return " " + token + " "
	case "nbsp":
		return "\xa0" + token + "\x85"
	case "percent":
		return strings.ReplaceAll(token, ".", "%2E")
	case "half":
		return token[:len(token)/2]
	}
	return token
}

// anyRequest draws a request: methods, paths, headers, cookies and queries, plain and odd.
func (p pool) anyRequest(t *rapid.T) string {
	pick := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	some := func(label string, most int) int { return rapid.IntRange(0, most).Draw(t, label) }
	path := pick("path", "/tools", "/tools", "/", "/health", "/ws", "/ws", "/gw/ws", "/%77s", "/docs", "/admin/login", "/static/x.css", "/static/mcp", "/static/../tools", "/mcp", "/a|b", "/health;x")
	var query []string
	for range some("queries", 3) {
		query = append(query, pick("query name", "token=", "token=", "%74oken=", "to%6ben=", "Token=", "token", "a=", "a;token=")+p.anyToken(t))
	}
	line := pick("method", "GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "TRACE", "get") + " " + path
	if len(query) > 0 {
		line += "?" + strings.ReplaceAll(strings.Join(query, pick("separator", "&", "&&", ";")), " ", "+")
	}
	lines := []string{line + " HTTP/1.1", "Host: gateway.example.com"}
	for range some("auth headers", 2) {
		lines = append(lines, pick("header", "Authorization", "authorization", "X-Mcp-Auth", "X_Authorization")+": "+
			pick("scheme", "Bearer ", "Bearer ", "bearer ", "BEARER  ", "Bearer", "Bearer\t", "Basic ", "Token ", "", "\xa0Bearer ")+p.anyToken(t))
	}
	for range some("cookie lines", 3) {
		var pairs []string
		for range some("pairs", 4) {
			pairs = append(pairs, pick("before", "", " ", "\t", "\xa0", "\x85", "\x1c", "x\xa0", `"`)+
				pick("cookie", "jwt_token", "jwt_token", "access_token", "JWT_TOKEN", "theme", "jwt token", "$jwt_token")+
				pick("behind", "", "", " ", "\x85", "\x1f", "=")+pick("equals", "=", "=", "= ", "")+p.anyToken(t))
		}
		lines = append(lines, "Cookie: "+strings.Join(pairs, pick("joint", ";", "; ", ";;", ",", " ; ")))
	}
	for range some("others", 2) {
		lines = append(lines, pick("other", "Connection: Authorization", "Connection: close", "Upgrade: websocket", "Origin: https://a.example", "Access-Control-Request-Method: GET",
			"Accept: text/html", "Hx-Request: true", "X-Forwarded-Uri: /health", "User-Agent: kube-probe/1.31"))
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// guards are the configurations that the properties hold under.
func guards(t testing.TB, more ...string) []*Guard {
	t.Helper()
	policy := "ENVGATE_POLICY=testdata/policies/with-basic.yaml"
	var all []*Guard
	for _, settings := range [][]string{
		nil, {policy}, {"APP_ROOT_PATH=/gw"}, {"AUTH_HEADER_NAME=X-Mcp-Auth"}, {"ENVGATE_ADDITIONAL_SECRET_KEY=" + attacktest.Additional},
		{"AUTH_HEADER_NAME=X-Mcp-Auth", "APP_ROOT_PATH=/gw", policy, "ENVGATE_ADDITIONAL_SECRET_KEY=" + attacktest.Additional},
	} {
		all = append(all, newGuard(t, append(settings, more...)...))
	}
	return all
}

// Invariants 1 to 3: nothing that was not accepted reaches the gateway, as the gateway would read it; a protected path
// without an accepted token reaches it never; and no decision prints a credential.
func TestNothingUnacceptedGetsThrough(t *testing.T) {
	p, all := newPool(t), guards(t)
	outcomes := map[Outcome]int{}
	rapid.Check(t, func(t *rapid.T) {
		raw := p.anyRequest(t)
		g := rapid.SampledFrom(all).Draw(t, "guard")
		r := readRequest(t, []byte(raw))
		d := g.Check(r)
		outcomes[d.Outcome]++
		consistent(t, d)
		hides(t, []string{fmt.Sprintf("%v %+v", d, d), fmt.Sprintf("%#v", d), asJSON(d)}, p.tokens...)
		if d.Outcome == Refused {
			return
		}
		out := forwarded(r, g.c, d)
		candidates := gatewayReads(out, g.c.AuthHeader, g.c.RootPath)
		for _, candidate := range candidates {
			if !p.acceptable[candidate] && !p.upstreams(g, out, candidate) {
				t.Errorf("%s goes on with %.200q in\n%q", d.Outcome, candidate, out.Header)
			}
		}
		// Fail closed: without an accepted token only what is public goes on.
		accepted := slices.ContainsFunc(d.Tokens, func(v Verdict) bool { return v.Reason == None })
		if d.Outcome == Accepted && (!accepted || len(candidates) == 0) {
			t.Errorf("accepted without an accepted token")
		}
		if d.Outcome == Public && d.Route == "protected" && !slices.Contains(g.c.Policy.Basic, r.URL.Path) {
			t.Errorf("%s is public, but no route says so", r.URL.Path)
		}
		// What remains, judged again, is accepted and left as it is.
		again := g.Check(out)
		if again.Outcome != d.Outcome || len(again.Removed) != 0 || shownForward(again) != shownForward(d) {
			t.Errorf("judged again: %s (%s), removed %v", again.Outcome, again.Reason, again.Removed)
		}
	})
	for _, o := range []Outcome{Accepted, Public, Refused} {
		if outcomes[o] == 0 {
			t.Errorf("no request was %s: the generator is too narrow", o)
		}
	}
}

// upstreams tells whether a candidate is no business of this gateway: a bearer token in Authorization that none of its
// keys signed, or a good one of the additional key, where the token is read from another header.
func (p pool) upstreams(g *Guard, r *http.Request, candidate string) bool {
	if g.c.AuthHeader == "Authorization" || !strings.Contains(strings.Join(r.Header["Authorization"], " "), candidate) {
		return false
	}
	if candidate == p.old {
		return true
	}
	keys := []string{secret, attacktest.Additional}
	if !g.c.AdditionalSecret.IsSet() {
		keys = keys[:1]
	}
	for _, key := range keys {
		if _, err := jwt.Parse(candidate, func(*jwt.Token) (any, error) { return []byte(key), nil }, jwt.WithValidMethods([]string{"HS256"}), jwt.WithoutClaimsValidation()); err == nil {
			return false
		}
	}
	return true
}

// In mode report the same requests go on unchanged, and nothing but a method or a path is refused.
func TestReportModeChangesNothing(t *testing.T) {
	p, enforcing, reporting := newPool(t), guards(t), guards(t, "ENVGATE_MODE=report")
	rapid.Check(t, func(t *rapid.T) {
		raw := []byte(p.anyRequest(t))
		i := rapid.IntRange(0, len(reporting)-1).Draw(t, "guard")
		r := readRequest(t, raw)
		d, strict := reporting[i].Check(r), enforcing[i].Check(r)
		consistent(t, d)
		hides(t, []string{fmt.Sprintf("%+v", d), asJSON(d)}, p.tokens...)
		if d.Reason != strict.Reason || d.Status != strict.Status {
			t.Errorf("report says %s, enforce %s", d.Reason, strict.Reason)
		}
		if d.Outcome == Refused {
			if d.Reason != MethodNotAllowed && d.Reason != BadPath {
				t.Errorf("refused: %s", d.Reason)
			}
			return
		}
		additional := slices.ContainsFunc(d.Tokens, func(v Verdict) bool { return v.Additional })
		out := forwarded(r, reporting[i].c, d)
		if !additional && (!sameHeaders(out.Header, r.Header) || out.URL.RawQuery != r.URL.RawQuery || d.Removed != nil) {
			t.Errorf("changed:\n%q\n%q", r.Header, out.Header)
		}
	})
}

func sameHeaders(a, b http.Header) bool {
	for _, name := range []string{"Authorization", "X-Mcp-Auth", "Cookie"} {
		if len(a[name])+len(b[name]) > 0 && !reflect.DeepEqual(a[name], b[name]) {
			return false
		}
	}
	return true
}

// Whatever this package accepts, the library's own full parser accepts too.
func TestAcceptedTokensAreAcceptedByTheLibrary(t *testing.T) {
	g := newGuard(t)
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		token := attacktest.Sign(t, anyObject(t, `"alg":"HS256"`, `"typ":"JWT"`, `"kid":"x"`, `"alg":"none"`, `"al\u0067":"HS256"`, `"crit":["x"]`),
			attacktest.Claims(anyObject(t, `"iss":"mcpgateway"`, `"aud":"mcpgateway-api"`, `"exp":@future`, `"iss":"mcpgateway"`, `"aud":["x","mcpgateway-api"]`, `"exp":@future.5`, `"exp":@past`, `"nbf":@past`,
				`"nbf":@future`, `"iat":@now`, `"iat":@future`, `"env":"production"`, `"env":"staging"`, `"env":null`, `"jti":"x"`, `"jti":7`, `"Exp":1`, `"e\u0078p":1`, `"sub":"x"`, `"aud":[]`, `"x":{"y":[1,"}"]}`), clock),
			jwt.SigningMethodHS256, rapid.SampledFrom([][]byte{[]byte(secret), []byte(secret), []byte(secret), []byte(otherSecret)}).Draw(t, "key"))
		v := g.v.verify(token)
		parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte(secret), nil },
			jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("mcpgateway"), jwt.WithAudience("mcpgateway-api"), jwt.WithExpirationRequired(),
			jwt.WithIssuedAt(), jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return clock }))
		if v.Reason == None {
			if accepted++; err != nil {
				t.Fatalf("accepted, but the library says %v: %s", err, token)
			}
			if env := parsed.Claims.(jwt.MapClaims)["env"]; env != nil && env != "production" {
				t.Fatalf("accepted with env %v", env)
			}
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted: the generator is too narrow")
	}
}

// anyObject draws a JSON object of some of the members, in any order, most often all different.
func anyObject(t *rapid.T, members ...string) string {
	most := len(members)
	list := rapid.SliceOfNDistinct(rapid.IntRange(0, most-1), 0, most, rapid.ID[int]).Draw(t, "members")
	if rapid.IntRange(0, 2).Draw(t, "usual") > 0 { // else hardly any token would be good
		list = append([]int{0, 1, 2}[:min(3, most)], list[:min(2, len(list))]...)
		list = slices.Compact(slices.Sorted(slices.Values(list)))
	}
	space := rapid.SampledFrom([]string{"", " ", "\n\t"}).Draw(t, "space")
	parts := make([]string, len(list))
	for i, n := range list {
		parts[i] = members[n]
	}
	return "{" + space + strings.Join(parts, space+","+space) + space + "}"
}

// On valid objects without duplicates, the strict reader and encoding/json find the same members.
func TestParseObjectAgreesWithEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.String(), 0, 40, rapid.ID[string]).Draw(t, "names")
		value := rapid.SampledFrom([]string{`1`, `-0.5e3`, `"x"`, `"\"},\\"`, `null`, `true`, `[]`, `[1, {"a":"]"}]`, `{}`, `{"a" : {"b":[ ]}}`, `"\u00e9"`})
		var b strings.Builder
		b.WriteString("{ ")
		for i, name := range names {
			if i > 0 {
				b.WriteString(" ,\n")
			}
			quoted, _ := json.Marshal(name)
			if rapid.Bool().Draw(t, "escaped") && len(name) > 0 && name[0] < 0x80 {
				quoted = []byte(fmt.Sprintf(`"\u%04x%s`, name[0], mustJSON(name[1:])[1:]))
			}
			b.Write(quoted)
			b.WriteString("\t: " + value.Draw(t, "value"))
		}
		agree(t, []byte(b.String()+"}"))
	})
}

// agree compares parseObject with encoding/json.
func agree(t rapid.TB, text []byte) {
	t.Helper()
	var want map[string]json.RawMessage
	werr := json.Unmarshal(text, &want)
	o, err := parseObject(text, nil)
	if err != nil {
		if errors.Is(err, errNotObject) && werr == nil && want != nil && utf8.Valid(text) {
			t.Fatalf("%q: %v, but encoding/json reads it", text, err)
		}
		return
	}
	if werr != nil || want == nil {
		t.Fatalf("%q: read, but encoding/json says %v", text, werr)
	}
	if len(o) != len(want) {
		t.Fatalf("%q: %d members, want %d", text, len(o), len(want))
	}
	for _, m := range o {
		if raw, ok := want[string(m.name)]; !ok || string(raw) != string(m.value) {
			t.Fatalf("%q: member %q is %q, want %q", text, m.name, m.value, raw)
		}
		if string(o.get(string(m.name))) != string(m.value) {
			t.Fatalf("%q: get(%q) differs", text, m.name)
		}
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func asJSON(v any) string { return string(mustJSON(v)) }
