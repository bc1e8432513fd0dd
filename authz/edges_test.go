package authz

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"envgate/authz/attacktest"
	"envgate/authz/jwks"

	"github.com/golang-jwt/jwt/v5"
)

// Rows at the edges of what is decided: where a slip by one, or a condition less, would pass all others.

func TestCharacterClasses(t *testing.T) {
	const token = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" // RFC 9110, section 5.6.2
	for i := range 256 {
		c := byte(i)
		if got, want := isToken(string([]byte{'a', c})), strings.IndexByte(token, c) >= 0; got != want {
			t.Errorf("%q in a token: %t", c, got)
		}
		if got, want := pythonSpace(c), strings.IndexByte("\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0", c) >= 0; got != want {
			t.Errorf("%q is white space: %t", c, got)
		}
	}
	if isToken("") {
		t.Error("a token has a character")
	}
}

func TestLenientEscapes(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", ""}, {"a", "a"}, {"a+b", "a b"}, {"+", " "}, {"%41", "A"}, {"a%41b", "aAb"}, {"%", "%"}, {"%4", "%4"}, {"a%4", "a%4"}, {"%zz", "%zz"}, {"%4g%41", "%4gA"}, {"%2541", "%41"}, {"100%+%20", "100%  "}, {"%%41", "%A"},
	} {
		if got := unescapeLeniently(row.text); got != row.want {
			t.Errorf("%q: got %q, want %q", row.text, got, row.want)
		}
	}
}

func TestOddMethodsAndUpgrades(t *testing.T) {
	g := newGuard(t)
	for _, method := range []string{"GET X", "", "GET\x00", "G\xc3\x89T", "CONNECT", "TRACE"} {
		r := request(t, "GET /tools | Authorization: Bearer {good}")
		r.Method = method
		if d := g.Check(r); d.Reason != MethodNotAllowed {
			t.Errorf("%q: %s", method, d.Reason)
		}
	}
	for upgrade, want := range map[string]bool{"websocket": true, "WebSocket": true, "web\u017focket": false, "websoc\u212aet": false, "websocket, h2c": false, "": false} {
		if WebSocket(http.Header{"Upgrade": {upgrade}}) != want {
			t.Errorf("%q: is a WebSocket: %t", upgrade, !want)
		}
	}
	if WebSocket(http.Header{"Upgrade": {"websocket", "websocket"}}) || WebSocket(http.Header{}) {
		t.Error("two, or none")
	}
}

func TestRoutesAtTheEdges(t *testing.T) {
	routes := newRoutes(&Policy{Routes: []Route{
		{Path: "/form", Methods: []string{"POST"}, Access: AccessPublic},
		{Path: "/page", Methods: []string{"GET"}, Access: AccessPublic},
		{Prefix: "/static/", Access: AccessPublic},
		{Suffix: ".secret", Methods: []string{"GET"}, Access: AccessProtected},
	}}, "/root")
	for _, row := range []struct {
		method, path string
		public       bool
	}{
		{"POST", "/form", true}, {"GET", "/form", false}, {"HEAD", "/form", false}, {"GET", "/page", true}, {"HEAD", "/page", true}, {"POST", "/page", false},
		{"GET", "/static/a", true}, {"GET", "/static/a.secret", false}, {"HEAD", "/static/a.secret", false}, {"POST", "/static/a.secret", true},
		{"GET", "/root/page", true}, {"GET", "/rootpage", false}, {"GET", "/roo/page", false}, {"GET", "/static/mcp", false}, {"GET", "/static/mcp/", false}, {"GET", "/static/mcpx", true},
	} {
		if _, public := routes.public(row.method, row.path, row.path); public != row.public {
			t.Errorf("%s %s: public %t", row.method, row.path, public)
		}
	}
	for served := range 2 {
		p := &Policy{ProtectedResource: &ProtectedResource{Path: "/mcp", ServedByGateway: served == 1}}
		if _, public := newRoutes(p, "").public("GET", wellKnownResource+"/mcp", wellKnownResource+"/mcp"); public != p.ProtectedResource.ServedByGateway {
			t.Errorf("the metadata that the gateway serves: %t, public: %t", p.ProtectedResource.ServedByGateway, public)
		}
	}
	for raw, want := range map[string]bool{
		"/": true, "/a": true, "/a/": true, "/a/b": true, "": false, "a": false, "//": false, "/a//b": false, "/a//": false, "/.": false, "/..": false, "/a/./b": false, "/...": true, "/.a": true, "/a;b": false, `/a\b`: false,
		"/%20": true, "/a%20b%20": true, "/%20.": true, "/%": false, "/%2": false, "/%zz": false, "/%1f": false, "/%7f": false, "/%7e": false, "/%80": true, "/%2f": false, "/%5C": false, "/%2e": false, "/%3B": false, "/%2d": false, "/%5f": false, "/%41": false, "/%25": false, "/%00": false,
	} {
		if canonicalPath(raw) != want {
			t.Errorf("%q: canonical %t", raw, !want)
		}
	}
}

// What is judged of an absolute form is its path, where it has the two slashes of one (RFC 9112, section 3.2.2).
func TestAbsoluteFormsAtTheEdges(t *testing.T) {
	for target, want := range map[string]string{"http://h/tools": "accepted", "http:///tools": "accepted", "http:/tools": "bad_path", "http:tools": "bad_path"} {
		if d := newGuard(t).Check(request(t, "GET "+target+" | Authorization: Bearer {good}")); said(d) != want {
			t.Errorf("%s: %s, want %s", target, said(d), want)
		}
	}
}

// signed is a token of these texts, as they stand.
func signed(t *testing.T, header, payload string) string {
	t.Helper()
	text := header + "." + payload
	signature, err := jwt.SigningMethodHS256.Sign(text, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// However good its signature is, a token is only taken apart in one way.
func TestTokensAreReadInOneWay(t *testing.T) {
	g := newGuard(t)
	good := sign(t, `{@base,"env":"production"}`)
	parts := strings.Split(good, ".")
	claims := claimsOf(t, good)
	whole := base64.RawURLEncoding.EncodeToString([]byte(claims + repeat(" ", 2-(len(claims)+2)%3))) // four characters for three bytes
	for _, row := range []struct {
		name, token string
		reason      Reason
	}{
		{"as it is", signed(t, parts[0], parts[1]), None},
		{"padding behind the payload", signed(t, parts[0], parts[1]+"="), Malformed},
		{"a foreign character behind the payload", signed(t, parts[0], parts[1]+"!"), Malformed},
		{"a dot behind the payload", signed(t, parts[0], parts[1]+"."), Malformed},
		{"a dot before the payload", signed(t, parts[0], "."+parts[1]), Malformed},
		{"padding behind the header", signed(t, parts[0]+"=", parts[1]), Malformed},
		{"no header", signed(t, "", parts[1]), Malformed},
		{"no payload", signed(t, parts[0], ""), Malformed},
		{"a carriage return first", signed(t, "\r"+parts[0], parts[1]), Malformed},
		{"a carriage return last", good + "\r", Malformed},
		{"a line end first", signed(t, "\n"+parts[0], parts[1]), Malformed},
		{"a line end last", good + "\n", Malformed},
		{"a line end within", signed(t, parts[0], parts[1][:8]+"\n"+parts[1][8:]), Malformed},
		{"one character more", good + "A", Signature},
		{"two characters more: base64 of no length", good + "AA", Malformed},
		{"a foreign character behind a payload of whole groups", signed(t, parts[0], whole+"!"), Malformed},
		{"padding behind such a payload", signed(t, parts[0], whole+"="), Malformed},
		{"such a payload as it is", signed(t, parts[0], whole), None},
		{"no dots", strings.ReplaceAll(good, ".", ""), Malformed},
		{"one dot", parts[0] + "." + parts[1], Malformed},
		{"a dot alone", ".", Malformed},
		{"two dots alone", "..", Malformed},
	} {
		if v := g.v.verify(row.token); v.Reason != row.reason {
			t.Errorf("%s: %s, want %s", row.name, v.Reason, row.reason)
		}
	}
}

func TestTheIssuerCheckCanBeOff(t *testing.T) {
	for _, row := range []struct {
		claims string
		off    bool
		reason Reason
	}{
		{`{@names,"iss":"somebody-else","exp":@future}`, false, Malformed}, // iss twice
		{`{"aud":"mcpgateway-api","iss":"somebody-else","exp":@future}`, false, Issuer},
		{`{"aud":"mcpgateway-api","iss":"somebody-else","exp":@future}`, true, None},
		{`{"aud":"mcpgateway-api","exp":@future}`, true, None},
		{`{"aud":"mcpgateway-api","exp":@future}`, false, Issuer},
	} {
		settings := []string{"JWT_AUDIENCE=mcpgateway-api"}
		if row.off {
			settings = append(settings, "JWT_ISSUER_VERIFICATION=false")
		}
		if v := newGuard(t, settings...).v.verify(sign(t, row.claims)); v.Reason != row.reason {
			t.Errorf("%s, off %t: %s, want %s", row.claims, row.off, v.Reason, row.reason)
		}
	}
}

// An expiry that no clock reaches is none to a stream's timer.
func TestExpiriesFitATime(t *testing.T) {
	g := newGuard(t, "REQUIRE_TOKEN_EXPIRATION=false")
	for _, row := range []struct {
		exp  string
		want time.Time
	}{
		{`,"exp":@future`, time.Time{}}, {`,"exp":9007199254740991`, time.Unix(1<<53-1, 0)}, {`,"exp":9007199254740992`, time.Time{}}, {`,"exp":1e300`, time.Time{}}, {``, time.Time{}}, {`,"exp":0`, time.Time{}}, {`,"exp":-5`, time.Time{}},
	} {
		v := g.v.verify(sign(t, `{@names`+row.exp+`}`))
		if !v.Verified || row.exp != `,"exp":@future` && !v.Expiry.Equal(row.want) || row.exp == `,"exp":@future` && !v.Expiry.After(clock) {
			t.Errorf("exp %q: %v, %s", row.exp, v.Expiry, v.Reason)
		}
	}
}

// Two tokens whose quick hash is the same are told apart by their SHA-256.
func TestAQuickHashDecidesNothing(t *testing.T) {
	cache := NewCache(1 << 20)
	k := newCacheKey("a", 1)
	cache.put(k, "a", &remembered{verdict: Verdict{Subject: "a"}, until: 10})
	if v, found := cache.get(k, "a", 5); !found || v.Subject != "a" {
		t.Errorf("its own: %t", found)
	}
	if _, found := cache.get(k, "b", 5); found {
		t.Error("another token's verdict was served")
	}
	if s := cache.Stats(); s.Hits != 1 || s.Misses != 1 {
		t.Errorf("counted %+v", s)
	}
	if a, b := hashToken("a"), hashToken("b"); a == b {
		t.Error("the same SHA-256")
	}
	cache.empty()
	for range 2 { // a lock that stays held would show
		if size := cache.Size(); size != 0 {
			t.Errorf("%d bytes are left", size)
		}
	}
}

// What is remembered holds from its first moment on, and takes the last byte.
func TestTheCacheAtTheEdges(t *testing.T) {
	sized := func(size int) *remembered {
		return &remembered{verdict: Verdict{Detail: repeat("d", size-500)}, after: 5, until: 10}
	}
	cache := NewCache(1000 * cacheShards)
	for now, want := range map[float64]bool{4.9: false, 5: true, 9.9: true, 10: false} {
		cache.put(cacheKey{}, "a", sized(1000))
		if _, found := cache.get(cacheKey{}, "a", now); found != want {
			t.Errorf("at %g: %t", now, found)
		}
	}
	for _, row := range []struct{ first, second, left, evicted int }{
		{500, 500, 1000, 0}, {500, 501, 501, 1}, {1000, 1000, 1000, 1}, {600, 1001, 600, 0},
	} {
		cache := NewCache(1000 * cacheShards)
		cache.put(cacheKey{quick: 0}, "a", sized(row.first))
		cache.put(cacheKey{quick: cacheShards}, "b", sized(row.second))
		if got, s := cache.Size(), cache.Stats(); got != row.left || int(s.Evictions) != row.evicted {
			t.Errorf("%+v: %d bytes, %d evicted", row, got, s.Evictions)
		}
	}
	cache = NewCache(1 << 20)
	cache.put(cacheKey{}, "a", &remembered{verdict: Verdict{Detail: "d", Environment: "ee", Subject: "sss", ID: "iiii", forward: "fffff"}})
	if got := cache.Size(); got != 500+1+2+3+4+5 {
		t.Errorf("%d bytes of one entry", got)
	}
}

func TestDenyListAtTheEdges(t *testing.T) {
	for _, row := range []struct {
		line string
		ok   bool
	}{
		{"jti a", true}, {"jti\ta", true}, {"jti  a  # why", true}, {`jti "a" # why`, true}, {"jti \"a\"\t# why", true}, {`jti "a"b`, false}, {" jti", false}, {"\tjti a", true},
		{"sub a before 1", true}, {"sub a before 0", false}, {"sub a before -1", false}, {"sub a before +1", false}, {"sub a before 253402300799", true}, {"sub a before 253402300800", false},
		{"sub a before 1970-01-01T00:00:01Z", true}, {"sub a before 1970-01-01T00:00:00Z", false}, {"sub a before 1969-12-31T23:59:59Z", false}, {"sub a before tomorrow", false}, {"sub a before ", false},
		{"jti eyJ.b", false}, {"jti eyJb", true}, {"jti a.b", true},
	} {
		l := &DenyList{}
		line := strings.Trim(row.line, " \t\r")
		if err := l.add([]byte(line)); (err == nil) != row.ok {
			t.Errorf("%q: %v", row.line, err)
		}
	}
	l := &DenyList{}
	if err := l.add([]byte("sub a before 2026-01-01T00:00:00.5Z")); err != nil || l.deniedBefore("a") != float64(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix())+0.5 {
		t.Errorf("%v, %v", err, l.deniedBefore("a"))
	}
	ids, subjects, err := countDenied(strings.NewReader("jti a\nsub b before 1\njti c\n# x\n"), 3)
	if ids != 2 || subjects != 1 || err != nil {
		t.Errorf("%d, %d, %v", ids, subjects, err)
	}
	for _, text := range []string{"jti a\njti b\n", "sub a\nsub b\n", "jti a\nsub b\n"} {
		if _, _, err := countDenied(strings.NewReader(text), 1); err == nil || err.Error() != "line 2: want at most 1 entries" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// grown is a file that is another one when it is read again.
type grown struct {
	*strings.Reader
	then string
}

func (g *grown) Seek(int64, int) (int64, error) { g.Reset(g.then); return 0, nil }

// So many entries fit, and not one more, whether it is there at once or comes while the list is read.
func TestDenyListsAreBounded(t *testing.T) {
	for _, row := range []struct {
		text, then string
		want       string
	}{
		{"jti a\nsub b before 1\n# x\n", "", ""},
		{"jti a\n# x\nsub b before 1\nsub c before 1\n", "", "line 4: want at most 2 entries"},
		{"sub a before 1\nsub b before 1\nsub c before 1\n", "", "line 3: want at most 2 entries"},
		{"jti a\n", "jti a\nsub b before 1\n# x\n", ""},
		{"jti a\n", "jti a\n# x\nsub b before 1\nsub c before 1\n", "line 4: want at most 2 entries"},
		{"jti a\n", "jti a\njti b\njti c\n", "line 3: want at most 2 entries"},
	} {
		if row.then == "" {
			row.then = row.text
		}
		l, err := readDenyList(&grown{strings.NewReader(row.text), row.then}, 2)
		if row.want == "" && (err != nil || len(l.ids)+len(l.subjects) != 2) || row.want != "" && (err == nil || err.Error() != row.want) {
			t.Errorf("%q, then %q: %v", row.text, row.then, err)
		}
	}
}

func TestDenyListFindings(t *testing.T) {
	l, err := readDenyList(strings.NewReader("jti a\nsub bob before 1906542000\n"), maxDenied)
	if err != nil {
		t.Fatal(err)
	}
	const neither = "neither jti nor sub is on the deny-list"
	for _, row := range []struct {
		list   *DenyList
		claims claims
		want   string
	}{
		{nil, claims{id: "a", hasID: true}, "no ENVGATE_DENY_LIST"}, {l, claims{id: "a", hasID: true}, "jti is on the deny-list"},
		{l, claims{}, neither}, {l, claims{id: "a"}, neither}, {l, claims{id: "b", hasID: true}, neither}, {l, claims{subject: "carol", issuedAt: 5}, neither},
		{l, claims{subject: "bob"}, "sub is on the deny-list before 2030-06-01T11:00:00Z, iat is absent"}, {l, claims{subject: "bob", issuedAt: 5}, "sub is on the deny-list before 2030-06-01T11:00:00Z, iat is 1970-01-01T00:00:05Z"},
	} {
		if got := row.list.finding(&row.claims); got != row.want {
			t.Errorf("%+v: %s, want %s", row.claims, got, row.want)
		}
	}
}

// Where several tokens must be accepted, what is reported is found of the first.
func TestTheFirstFindingIsReported(t *testing.T) {
	for _, row := range []struct {
		line string
		want Reason
	}{
		{"GET /ws?token={foreign} | X-Mcp-Auth: Bearer {envless}", NoEnvironment},
		{"GET /ws?token={envless} | X-Mcp-Auth: Bearer {foreign}", Environment},
		{"GET /tools | Authorization: Bearer {foreign} | Cookie: jwt_token={envless}", Environment},
		{"GET /tools | Authorization: Bearer {envless} | Cookie: jwt_token={foreign}", NoEnvironment},
	} {
		g := newGuard(t, "AUTH_HEADER_NAME=X-Mcp-Auth", "ENVGATE_ENVIRONMENT_RULE=report", "ENVGATE_MISSING_ENVIRONMENT=deny")
		if d := g.Check(request(t, row.line)); d.Outcome != Reported || d.Reason != row.want {
			t.Errorf("%s: %s, want %s", row.line, said(d), row.want)
		}
	}
}

func TestReportedCookies(t *testing.T) {
	for _, row := range []struct {
		line     string
		reported bool
	}{
		{"Cookie: jwt_token={foreign}", true},
		{"Cookie: jwt_token={good}", false},
		{"Cookie: jwt_token={foreign}; access_token={good}", false},
		{"Cookie: jwt_token={good}; access_token={foreign}", false},
		{"Authorization: Bearer {good} | Cookie: jwt_token={foreign}", false},
		{"Authorization: Bearer {foreign} | Cookie: jwt_token={good}", true},
		{"Authorization: Bearer {foreign} | Cookie: jwt_token={foreign}", true},
	} {
		d := newGuard(t, "ENVGATE_ENVIRONMENT_RULE=report").Check(request(t, "GET /tools | "+row.line))
		if got := d.Outcome == Reported; got != row.reported || d.Outcome == Refused {
			t.Errorf("%s: %s", row.line, d.Outcome)
		}
	}
	if d := newGuard(t, "ENVGATE_ENVIRONMENT_RULE=report").Check(request(t, "GET /ws?token={good} | Cookie: jwt_token={foreign}")); d.Outcome != Accepted {
		t.Errorf("beside a token in the query: %s", d.Outcome)
	}
}

// What is bound to this environment may be handed a token that is.
func TestWhatIsBoundAtTheEdges(t *testing.T) {
	for _, row := range []struct {
		settings, line string
		bound          bool
	}{
		{"", "Authorization: Bearer {good}", true}, {"", "Authorization: Bearer {envless}", false}, {"", "Cookie: jwt_token={envless}; access_token={good}", false},
		{"ENVGATE_ENVIRONMENT_RULE=report", "Authorization: Bearer {foreign}", false}, {"ENVGATE_ENVIRONMENT_RULE=report", "Authorization: Bearer {good}", true},
		{"ENVGATE_ENVIRONMENT_RULE=off ENVIRONMENT=7", "Authorization: Bearer " + sign(t, `{@base,"env":"7"}`), true}, {"ENVGATE_ENVIRONMENT_RULE=off ENVIRONMENT=7", "Authorization: Bearer " + sign(t, `{@base,"env":7}`), false},
	} {
		if d := newGuard(t, strings.Fields(row.settings)...).Check(request(t, "GET /tools | "+row.line)); d.Bound != row.bound {
			t.Errorf("%s %s: bound %t", row.settings, row.line, d.Bound)
		}
	}
}

// The form of what goes on is the documented one, whatever came.
func TestWhatGoesOnAtTheEdges(t *testing.T) {
	good := sign(t, `{@base,"env":"production"}`)
	for _, row := range []struct{ value, want string }{
		{"Bearer " + good, "Bearer " + good}, {"bearer " + good, "Bearer " + good}, {"Bearer  " + good, "Bearer " + good}, {"BEARER " + good, "Bearer " + good},
	} {
		d := newGuard(t).Check(request(t, "GET /tools | Authorization: "+row.value))
		if got := d.Forward.AuthHeader; len(got) != 1 || got[0] != row.want {
			t.Errorf("%q: %q", row.value[:8], got)
		}
	}
	d := newGuard(t, "ENVGATE_MODE=report", "ENVGATE_ADDITIONAL_SECRET_KEY="+attacktest.Additional).Check(request(t, "GET /tools | Authorization: Bearer {extra}"))
	if got := d.Forward.AuthHeader; len(got) != 1 || got[0] != "Bearer "+good {
		t.Errorf("in report mode, too, the gateway gets what it knows: %s", said(d))
	}
	spaced := request(t, "GET /tools | Authorization: Bearer {good}")
	spaced.Header["Cookie"] = []string{" a=1; jwt_token=bad"}
	if got := newGuard(t).Check(spaced).Forward.Cookie; len(got) != 1 || got[0] != " a=1" {
		t.Errorf("a blank at the start: %q", got)
	}
	for _, row := range []struct{ line, want string }{
		{"jwt_token=bad", ""}, {"jwt_token=bad; a=1", "a=1"}, {"a=1; jwt_token=bad", "a=1"}, {"a=1; jwt_token=bad; b=2", "a=1; b=2"}, {"jwt_token=bad; ; ", ""}, {"jwt_token=bad;", ""},
	} {
		d := newGuard(t).Check(request(t, "GET /tools | Authorization: Bearer {good} | Cookie: "+row.line))
		if got := strings.Join(d.Forward.Cookie, "|"); got != row.want {
			t.Errorf("%q: %q, want %q", row.line, got, row.want)
		}
	}
	if s := fmt.Sprintf("%v %s", Credentials{Cookie: []string{good}}, Credentials{AuthHeader: []string{good}}); strings.Contains(s, good) || !strings.Contains(s, credential) {
		t.Errorf("printed %q", s)
	}
	if s := fmt.Sprintf("%v", newGuard(t).c.keys); s != redacted {
		t.Errorf("keys are printed as %q", s)
	}
}

// A public route stays anonymous, also where Basic would do beside tokens.
func TestAPublicRouteTakesNoBasic(t *testing.T) {
	g := newGuard(t)
	g.c.Policy.Basic = []string{"/health"}
	if d := g.Check(request(t, "GET /health | Authorization: Basic YTpi")); d.Outcome != Public || d.Forward.AuthHeader != nil || d.Route == "protected" {
		t.Errorf("%s by %s, forwards %d", d.Outcome, d.Route, len(d.Forward.AuthHeader))
	}
}

// The texts are read as PyJWT reads them, which adds padding and then calls base64.urlsafe_b64decode: at least.
func TestLenientBase64(t *testing.T) {
	for _, row := range []struct {
		text, want string
		ok         bool
	}{
		{"", "", true},
		{"YWJj", "abc", true},
		{"YW Jj", "abc", true},
		{"Y.W!J~j", "abc", true},
		{"-_-_", "\xfb\xff\xbf", true},
		{"+/+/", "\xfb\xff\xbf", true},
		{"-/+_", "\xfb\xff\xbf", true},
		{"YQ==", "a", true},
		{"YQ=", "a", true},
		{"YQ", "a", true},
		{"YWI=", "ab", true},
		{"YWI", "ab", true},
		{"Y", "", false},
		{"Y===", "", false},
		{"YQ==YWJj", "a", true},
		{"Y=Q==", "a", true},
		{"YW=Jj", "abc", true},
		{"=YQ==", "a", true},
		{"YWJjZA", "abcd", true},
		{"YWJjZGU", "abcde", true},
		{"YWJjZ", "", false},
		{"Y=WJj", "abc", true},
		{"YQ=.=", "a", true},
	} {
		if got, err := lenientBase64(row.text); (err == nil) != row.ok || row.ok && string(got) != row.want {
			t.Errorf("%q: got %q, %v", row.text, got, err)
		}
	}
}

// A reload goes on with a set of fetched keys only where it is fetched just as before, from the same address.
func TestWhichKeySetsAReloadKeeps(t *testing.T) {
	former := func() *trusted {
		return &trusted{TrustedIssuer: TrustedIssuer{JWKSURL: "https://a/jwks", DiscoveryURL: "https://a/discovery", Algorithms: []string{"RS256"}, InsecureHTTP: true, refresh: time.Hour, cooldown: time.Minute}, roots: "a", keys: &jwks.Set{}}
	}
	for _, row := range []struct {
		name   string
		change func(now, former *trusted)
		kept   bool
	}{
		{"as before", func(_, _ *trusted) {}, true},
		{"another address", func(now, _ *trusted) { now.JWKSURL = "https://b/jwks" }, false},
		{"another discovery document", func(now, _ *trusted) { now.DiscoveryURL = "https://b/discovery" }, false},
		{"other algorithms", func(now, _ *trusted) { now.Algorithms = []string{"ES256"} }, false},
		{"over http no longer", func(now, _ *trusted) { now.InsecureHTTP = false }, false},
		{"another refresh", func(now, _ *trusted) { now.refresh++ }, false},
		{"another cooldown", func(now, _ *trusted) { now.cooldown++ }, false},
		{"other roots", func(now, _ *trusted) { now.roots = "b" }, false},
		{"keys from files before", func(_, former *trusted) { former.keys = &pemKeys{} }, false},
		{"keys from files now", func(now, _ *trusted) { now.keys = &pemKeys{} }, false},
	} {
		before, now := former(), former()
		row.change(now, before)
		own := now.keys
		now.adoptKeys(before)
		if kept := now.keys == before.keys; kept != row.kept || !kept && now.keys != own {
			t.Errorf("%s: kept %t", row.name, kept)
		}
	}
}
