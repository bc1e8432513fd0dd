package authz

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"envgate/authz/attacktest"

	"github.com/golang-jwt/jwt/v5"
)

// "Which credential counts": what is decided, what goes on and what is taken off, byte for byte. forward is the auth
// header, the Cookie lines and the query that go on, joined by " | ".
func TestCredentials(t *testing.T) {
	tests := []struct{ name, request, want, forward, removed string }{
		{"the header decides", "GET /tools | Authorization: Bearer {good}", "accepted", "Bearer {good}", ""},
		{"the scheme matches in any case and goes on canonical", "GET /tools | Authorization: bEARER   {good}  ", "accepted", "Bearer {good}", ""},
		{"a good header beats a foreign cookie", "GET /tools | Authorization: Bearer {good} | Cookie: a=1; jwt_token={foreign}; b=2", "accepted", "Bearer {good} | a=1; b=2", "environment"},
		{"a failing header refuses beside a good cookie", "GET /tools | Authorization: Bearer {foreign} | Cookie: jwt_token={good}", "environment", "", ""},
		{"an accepted cookie beside an accepted header goes on", "GET /tools | Authorization: Bearer {good} | Cookie: jwt_token={good2}", "accepted", "Bearer {good} | jwt_token={good2}", ""},
		{"an empty header is removed and the cookie decides", "GET /tools | Authorization: | Cookie: jwt_token={good}", "accepted", "jwt_token={good}", ""},
		{"Bearer alone is removed and the cookie decides", "GET /tools | Authorization: Bearer | Cookie: jwt_token={good}", "accepted", "jwt_token={good}", ""},
		{"Bearer alone beside a failing cookie", "GET /tools | Authorization: Bearer | Cookie: jwt_token={expired}", "expired", "", ""},
		{"Basic is removed and the cookie decides", "GET /tools | Authorization: Basic YTpi | Cookie: jwt_token={good}", "accepted", "jwt_token={good}", "unsupported_scheme"},
		{"another scheme is removed and the cookie decides", "GET /tools | Authorization: Digest x | Cookie: access_token={good}", "accepted", "access_token={good}", "unsupported_scheme"},
		{"Basic beside a failing cookie", "GET /tools | Authorization: Basic YTpi | Cookie: jwt_token={forged}", "signature", "", ""},

		{"jwt_token is read", "GET /tools | Cookie: jwt_token={good}", "accepted", "jwt_token={good}", ""},
		{"access_token is read", "GET /tools | Cookie: access_token={good}", "accepted", "access_token={good}", ""},
		{"other cookies are left alone", "GET /tools | Cookie: a=\"b\\056\"; jwt_token={good};c ;=d; e=\xff", "accepted", "a=\"b\\056\"; jwt_token={good};c ;=d; e=\xff", ""},
		{"one good cookie of two is enough and the other goes", "GET /tools | Cookie: jwt_token={good}; jwt_token={foreign}", "accepted", "jwt_token={good}", "environment"},
		{"also where the good one comes last", "GET /tools | Cookie: jwt_token={foreign};  jwt_token={good}", "accepted", "jwt_token={good}", "environment"},
		{"a good access_token beside a foreign jwt_token", "GET /tools | Cookie: jwt_token={foreign}; access_token={good}", "accepted", "access_token={good}", "environment"},
		{"the last jwt_token gives the reason", "GET /tools | Cookie: jwt_token={foreign}; jwt_token={expired}; access_token={forged}", "expired", "", ""},
		{"over several Cookie lines too", "GET /tools | Cookie: jwt_token={expired} | Cookie: jwt_token={foreign}", "environment", "", ""},
		{"without jwt_token the last access_token gives the reason", "GET /tools | Cookie: access_token={foreign}; access_token={forged}", "signature", "", ""},
		{"lines without a token go on as they are", "GET /tools | Cookie: a=1 | Cookie: jwt_token={foreign} | Cookie: b=2; jwt_token={good}", "accepted", "a=1 | b=2; jwt_token={good}", "environment"},
		{"removal keeps every other byte", "GET /health | Cookie: a=1;b = \"2;  jwt_token={foreign} ;\tc=3;;d", "public", "a=1;b = \"2;\tc=3;;d", "environment"},
		{"the first pair goes with its separator", "GET /health | Cookie: jwt_token={foreign}; b=2", "public", "b=2", "environment"},
		{"the last pair goes with its separator", "GET /health | Cookie: a=1; jwt_token={foreign}", "public", "a=1", "environment"},
		{"a line of nothing else goes whole", "GET /health | Cookie: jwt_token={foreign}; access_token={forged}", "public", "", "environment, signature"},

		{"a quoted value is ambiguous", `GET /tools | Cookie: jwt_token="{good}"`, "ambiguous_credential", "", ""},
		{"an escaped value is ambiguous", `GET /tools | Cookie: jwt_token={good}\056`, "ambiguous_credential", "", ""},
		{"a quoted value beside a good one is removed", `GET /tools | Cookie: jwt_token={good}; jwt_token="x\056y"`, "accepted", "jwt_token={good}", "ambiguous_credential"},
		{"a quoted value beside a good header is removed", `GET /tools | Authorization: Bearer {good} | Cookie: jwt_token="x"; a=1`, "accepted", "Bearer {good} | a=1", "ambiguous_credential"},
		{"names are trimmed of A0", "GET /tools | Cookie: \xa0jwt_token\xa0={foreign}", "environment", "", ""},
		{"names are trimmed of 85", "GET /tools | Cookie: \x85jwt_token\x85={foreign}", "environment", "", ""},
		{"names are trimmed of control bytes", "GET /tools | Cookie: \t\v\f\x1c\x1d\x1e\x1f jwt_token\t\v\f\x1c\x1d\x1e\x1f ={foreign}", "environment", "", ""},
		{"an accepted cookie keeps its odd spelling", "GET /tools | Cookie: \xa0jwt_token\x85= {good}\xa0", "accepted", "\xa0jwt_token\x85= {good}\xa0", ""},
		{"a name with a foreign byte inside is removed", "GET /tools | Cookie: jwt\xa0token={good}; jwt_token={good}", "accepted", "jwt_token={good}", "ambiguous_credential"},
		{"a name with a quote is removed", `GET /tools | Cookie: "jwt_token"={good}; jwt_token={good}`, "accepted", "jwt_token={good}", "ambiguous_credential"},
		{"a name with a control byte inside is removed", "GET /tools | Cookie: a\x1cb=1; jwt_token={good}", "accepted", "jwt_token={good}", "ambiguous_credential"},
		{"nothing but odd names is no token", "GET /tools | Cookie: jwt token={good}", "no_token", "", ""},
		{"pairs end at ; only", "GET /tools | Cookie: a=1, jwt_token={good}", "no_token", "", ""},
		{"an empty token cookie is malformed", "GET /tools | Cookie: jwt_token=", "malformed", "", ""},
		{"names are case-sensitive", "GET /tools | Cookie: JWT_token={good}", "no_token", "", ""},

		{"a query token on /ws", "GET /ws?token={good}", "accepted", "?token={good}", ""},
		{"is not read elsewhere", "GET /tools?token={good}", "no_token", "", ""},
		{"nor on a longer path", "GET /ws/?token={good}", "no_token", "", ""},
		{"its path is decoded", "GET /%77s?token={foreign}", "environment", "", ""},
		{"its name is decoded", "GET /ws?%74oken={foreign} | Authorization: Bearer {good}", "environment", "", ""},
		{"and its value", "GET /ws?token=%65{foreign}", "malformed", "", ""},
		{"it must be accepted beside a good header", "GET /ws?token={expired} | Authorization: Bearer {good}", "expired", "", ""},
		{"and the header beside it", "GET /ws?token={good} | Authorization: Bearer {expired}", "expired", "", ""},
		{"every one of several must be", "GET /ws?token={good}&token={foreign}", "environment", "", ""},
		{"an empty one is malformed", "GET /ws?token= | Authorization: Bearer {good}", "malformed", "", ""},
		{"one without = too", "GET /ws?a&token&b | Authorization: Bearer {good}", "malformed", "", ""},
		{"; separates nothing", "GET /ws?a=1;token={foreign} | Authorization: Bearer {good}", "accepted", "Bearer {good} | ?a=1;token={foreign}", ""},
		{"a failing cookie beside it is removed", "GET /ws?token={good} | Cookie: jwt_token={foreign}; a=1", "accepted", "a=1 | ?token={good}", "environment"},
		{"the query goes on byte for byte", "GET /tools?a=%zz&&b;c=|&token=%20 | Authorization: Bearer {good}", "accepted", "Bearer {good} | ?a=%zz&&b;c=|&token=%20", ""},

		{"a public route strips a failing header", "GET /health | Authorization: Bearer {foreign}", "public", "", "environment"},
		{"a public route strips an ambiguous header", "GET /health | Authorization: Bearer {good} | Authorization: Bearer {good}", "public", "", "ambiguous_credential"},
		{"a public route strips a header named in Connection", "GET /health | Connection: authorization | Authorization: Bearer {good}", "public", "", "ambiguous_credential"},
		{"where only the name is in Connection nothing is counted", "GET /health | Connection: authorization", "public", "", ""},
		{"a public route strips another scheme", "GET /health | Authorization: Basic YTpi", "public", "", "unsupported_scheme"},
		{"a public route strips failing cookies", `POST /auth/login | Cookie: jwt_token={expired}; s=1; access_token="x"`, "public", "s=1", "ambiguous_credential, expired"},
		{"a public route keeps accepted ones", "GET /admin/login | Authorization: Bearer {good} | Cookie: jwt_token={good2}", "public", "Bearer {good} | jwt_token={good2}", ""},
		{"HEAD is as public as GET", "HEAD /health | Authorization: Bearer {forged}", "public", "", "signature"},
		{"a preflight strips", "OPTIONS /ws?a=1&token={foreign}&b | Origin: https://a.example | Access-Control-Request-Method: GET | Cookie: jwt_token={forged}", "public", "?a=1&b", "environment, signature"},
	}
	g := newGuard(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := g.Check(request(t, tt.request))
			consistent(t, d)
			if said(d) != tt.want {
				t.Errorf("got %s, want %s", said(d), tt.want)
			}
			if d.Outcome == Refused {
				return
			}
			if got, want := shownForward(d), fill(t, tt.forward); got != want {
				t.Errorf("forwards\n%q, want\n%q", got, want)
			}
			if got := reasons(d.Removed); got != tt.removed {
				t.Errorf("removed %q, want %q", got, tt.removed)
			}
		})
	}
}

// shownForward joins what goes on.
func shownForward(d Decision) string {
	parts := slices.Concat(d.Forward.Authorization, d.Forward.AuthHeader, d.Forward.Cookie)
	if d.Forward.RawQuery != "" {
		parts = append(parts, "?"+d.Forward.RawQuery)
	}
	return strings.Join(parts, " | ")
}

// AUTH_HEADER_NAME moves the bearer token; a legacy gateway goes on reading Authorization.
func TestOtherAuthHeader(t *testing.T) {
	tests := []struct{ name, request, want, forward, removed string }{
		{"it is read", "GET /tools | X-Mcp-Auth: bearer {good}", "accepted", "Bearer {good}", ""},
		{"Authorization alone is none", "GET /tools | Authorization: Bearer {good}", "no_token", "", ""},
		{"a foreign Authorization refuses", "GET /tools | X-Mcp-Auth: Bearer {good} | Authorization: Bearer {foreign}", "environment", "", ""},
		{"so does an expired one behind another", "GET /tools | X-Mcp-Auth: Bearer {good} | Authorization: Bearer x | Authorization: bearer {expired}", "expired", "", ""},
		{"and one that only a lenient parser verifies", "GET /tools | X-Mcp-Auth: Bearer {good} | Authorization: Bearer {foreign}==", "malformed", "", ""},
		{"and one between bytes that a lenient parser trims", "GET /tools | X-Mcp-Auth: Bearer {good} | Authorization: Bearer \xa0{foreign}\x85", "environment", "", ""},
		{"beside a cookie too", "GET /tools | Cookie: jwt_token={good} | Authorization: Bearer {foreign}", "environment", "", ""},
		{"a good one goes on beside it", "GET /tools | X-Mcp-Auth: Bearer {good} | Authorization: Bearer {good2}", "accepted", "Bearer {good2} | Bearer {good}", ""},
		{"another key's is the upstream's", "GET /tools | X-Mcp-Auth: Bearer {good} | Authorization: Bearer {forged}", "accepted", "Bearer {forged} | Bearer {good}", ""},
		{"so is Basic", "GET /tools | X-Mcp-Auth: Bearer {good} | Authorization: Basic YTpi", "accepted", "Basic YTpi | Bearer {good}", ""},
		{"and several values", "GET /tools | X-Mcp-Auth: Bearer {good} | Authorization: Basic YTpi | Authorization: x", "accepted", "Basic YTpi | x | Bearer {good}", ""},
		{"a public route strips a foreign Authorization", "GET /health | Authorization: Bearer {foreign}", "public", "", "environment"},
		{"and keeps what is not the gateway's", "GET /health | Authorization: Basic YTpi | Authorization: Bearer {expired}", "public", "Basic YTpi", "expired"},
		{"a public route strips a failing header of that name", "GET /health | X-Mcp-Auth: Bearer {foreign} | Authorization: Bearer {good}", "public", "Bearer {good}", "environment"},
		{"twice is ambiguous", "GET /tools | X-Mcp-Auth: Bearer {good} | X-Mcp-Auth: Bearer {good}", "ambiguous_credential", "", ""},
		{"named in Connection is ambiguous", "GET /tools | Connection: x-mcp-auth | X-Mcp-Auth: Bearer {good}", "ambiguous_credential", "", ""},
	}
	g := newGuard(t, "AUTH_HEADER_NAME=x-mcp-auth")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := g.Check(request(t, tt.request))
			consistent(t, d)
			if said(d) != tt.want {
				t.Errorf("got %s, want %s", said(d), tt.want)
			}
			if d.Outcome == Refused {
				return
			}
			if got, want := shownForward(d), fill(t, tt.forward); got != want {
				t.Errorf("forwards\n%q, want\n%q", got, want)
			}
			if got := reasons(d.Removed); got != tt.removed {
				t.Errorf("removed %q, want %q", got, tt.removed)
			}
		})
	}
}

// A genuine signature is recognised in every spelling that the gateway's lenient decoder accepts.
func TestLenientSignatures(t *testing.T) {
	g := newGuard(t, "AUTH_HEADER_NAME=X-Mcp-Auth")
	token := sign(t, `{@base,"env":"staging"}`)
	dot := strings.LastIndexByte(token, '.')
	head, s := token[:dot+1], token[dot+1:]
	empty, err := jwt.SigningMethodHS256.Sign("", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, token string }{
		{"as signed", head + s},
		{"padded", head + s + "="},
		{"padded twice", head + s + "=="},
		{"junk behind the padding", head + s + "=" + "AAAA"},
		{"padding behind two characters", head + s[:2] + "=" + s[2:]},
		{"padding behind one character", head + s[:1] + "==" + s[1:]},
		{"padding behind four characters", head + s[:4] + "====" + s[4:]},
		{"padding at the start", head + "=" + s},
		{"foreign characters", head + s[:9] + "!$ " + s[9:]},
		{"the other alphabet", head + strings.NewReplacer("-", "+", "_", "/").Replace(s)},
		{"of an empty text", "." + base64.RawURLEncoding.EncodeToString(empty)},
		{"bytes beyond ASCII", head + "\xa0" + s + "\x85"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request(t, "GET /tools | X-Mcp-Auth: Bearer {good} | Authorization: Bearer "+tt.token)
			if d := g.Check(r); d.Outcome != Refused {
				t.Errorf("goes on as %s", said(d))
			}
		})
	}
	for _, other := range []string{sign(t, `{@base}`, signing{key: []byte(otherSecret)}), "opaque", "a.b", "a.b.c", "...", head, head + "A"} {
		if g.v.underGatewayKey(other) {
			t.Errorf("%.20q counts as signed by the gateway", other)
		}
	}
}

// So is one under a public key.
func TestOtherAuthHeaderUnderAPublicKey(t *testing.T) {
	g := newGuard(t, "AUTH_HEADER_NAME=X-Mcp-Auth", "JWT_ALGORITHM=RS256", "JWT_PUBLIC_KEY_PATH="+publicFile(t, "RSA"))
	how := signing{method: jwt.SigningMethodRS256, key: testKeys()["RSA"]}
	for env, want := range map[string]string{"production": "accepted", "staging": "environment"} {
		line := "GET /tools | X-Mcp-Auth: Bearer " + sign(t, `{@base,"env":"production"}`, how) + " | Authorization: Bearer " + sign(t, `{@base,"env":"`+env+`"}`, how)
		if d := g.Check(request(t, line)); said(d) != want {
			t.Errorf("%s beside a good one: %s, want %s", env, said(d), want)
		}
	}
}

func TestBasicPaths(t *testing.T) {
	tests := []struct {
		name, request, want, forward, removed string
		basic                                 bool
	}{
		{"a lone Basic header passes", "GET /docs | Authorization: Basic YTpi", "public", "Basic YTpi", "", false},
		{"in any case", "GET /docs | Authorization: bASIC YTpi", "public", "bASIC YTpi", "", false},
		{"a failing cookie beside it is removed", "GET /docs | Authorization: Basic YTpi | Cookie: jwt_token={foreign}", "public", "Basic YTpi", "environment", false},
		{"beside an accepted cookie it is removed", "GET /docs | Authorization: Basic YTpi | Cookie: jwt_token={good}", "accepted", "jwt_token={good}", "unsupported_scheme", false},
		{"nothing is refused and offers Basic", "GET /docs", "no_token", "", "", true},
		{"a foreign token is refused", "GET /docs | Authorization: Bearer {foreign}", "environment", "", "", true},
		{"Basic twice is refused", "GET /docs | Authorization: Basic YTpi | Authorization: Basic YTpi", "ambiguous_credential", "", "", true},
		{"another scheme is refused", "GET /docs | Authorization: Digest x", "unsupported_scheme", "", "", true},
		{"a browser is not sent to the login page", "GET /docs | Accept: text/html", "no_token", "", "", true},
		{"other paths don't take Basic", "GET /docs/ | Authorization: Basic YTpi", "unsupported_scheme", "", "", false},
	}
	g := newGuard(t, "ENVGATE_POLICY=testdata/policies/with-basic.yaml")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := g.Check(request(t, tt.request))
			consistent(t, d)
			if said(d) != tt.want || d.Basic != tt.basic || d.LoginPage != "" {
				t.Errorf("got %s, basic %t, login page %q, want %s, basic %t, none", said(d), d.Basic, d.LoginPage, tt.want, tt.basic)
			}
			if d.Outcome != Refused && (shownForward(d) != fill(t, tt.forward) || reasons(d.Removed) != tt.removed) {
				t.Errorf("forwards %q, removed %q", shownForward(d), reasons(d.Removed))
			}
		})
	}
	rooted := newGuard(t, "ENVGATE_POLICY=testdata/policies/with-basic.yaml", "APP_ROOT_PATH=/gw")
	if d := rooted.Check(request(t, "GET /gw/docs | Authorization: Basic YTpi")); d.Outcome != Public {
		t.Errorf("below the root path: %s", said(d))
	}
	rooted.c.Policy.LoginPage = ""
	if d := rooted.Check(request(t, "GET /gw/tools | Accept: text/html")); d.Outcome != Refused || d.LoginPage != "" {
		t.Errorf("where the policy has no login page: %s, %q", said(d), d.LoginPage)
	}
}

func TestBrowsersAreSentToTheLoginPage(t *testing.T) {
	tests := []struct{ name, request, page string }{
		{"a page view", "GET /admin/ | Accept: text/html,*/*;q=0.8", "/admin/login"},
		{"in any case", "GET /admin/ | Accept: Text/HTML", "/admin/login"},
		{"over two lines", "GET /admin/ | Accept: */* | Accept: text/html", "/admin/login"},
		{"any method", "POST /admin/tools | Accept: text/html", "/admin/login"},
		{"htmx", "GET /admin/tools | Hx-Request: true | Accept: */*", "/admin/login"},
		{"htmx must be true", "GET /admin/tools | Hx-Request: 1", ""},
		{"with a failing cookie", "GET /admin/ | Accept: text/html | Cookie: jwt_token={expired}", "/admin/login"},
		{"with a failing header", "GET /admin/ | Accept: text/html | Authorization: Bearer {foreign}", "/admin/login"},
		{"an API client is not", "GET /tools | Accept: application/json", ""},
		{"a client without Accept is not", "GET /tools", ""},
		{"a 400 is not", "GET /tools | Accept: text/html | Authorization: Bearer {good} | Authorization: Bearer {good}", ""},
		{"a bad path is not", "GET /a|b | Accept: text/html", ""},
		{"TRACE is not", "TRACE /tools | Accept: text/html", ""},
		{"an MCP endpoint is not", "GET /mcp | Accept: text/html", ""},
		{"nor with a slash", "GET /servers/1/mcp/ | Accept: text/html", ""},
		{"nor escaped", "GET /%6dcp | Accept: text/html", ""},
	}
	for root, g := range map[string]*Guard{"": newGuard(t), "/gw": newGuard(t, "APP_ROOT_PATH=/gw/")} {
		for _, tt := range tests {
			t.Run(tt.name+" "+root, func(t *testing.T) {
				want := tt.page
				if want != "" {
					want = root + want
				}
				if d := g.Check(request(t, tt.request)); d.Outcome != Refused || d.LoginPage != want {
					t.Errorf("%s: login page %q, want %q", said(d), d.LoginPage, want)
				}
			})
		}
	}
}

// The additional key is for tokens of before a rotation: accepted, and signed again, as the gateway knows just one key.
func TestAdditionalKey(t *testing.T) {
	g := newGuard(t, "ENVGATE_ADDITIONAL_SECRET_KEY="+attacktest.Additional)
	claims := `{@base, "env":"production",  "n":1.50, "user":{"a":[1 ,2]}, "\u0078":"\u00e9" }`
	old := sign(t, claims, signing{key: []byte(attacktest.Additional)})
	fresh := sign(t, claims)
	for _, line := range []string{"GET /tools | Authorization: Bearer " + old, "GET /tools | Cookie: a=1; \xa0jwt_token\x85=" + old + "; b", "GET /ws?a&%74oken=" + old + "&b"} {
		d := g.Check(request(t, line))
		_, credential, _ := strings.Cut(strings.ReplaceAll(line, "GET /ws?", "GET | ?"), " | ")
		want := strings.Replace(strings.TrimPrefix(strings.TrimPrefix(credential, "Authorization: "), "Cookie: "), old, fresh, 1)
		if d.Outcome != Accepted || shownForward(d) != want {
			t.Errorf("%.30s: %s forwards\n%q, want\n%q", line, said(d), shownForward(d), want)
		}
		if len(d.Tokens) != 1 || !d.Tokens[0].Additional {
			t.Errorf("%.30s: not counted as of the additional key", line)
		}
	}
	without := newGuard(t)
	if v := without.v.verify(fresh); v.Reason != None || v.Additional {
		t.Errorf("signed again: %s under the current key alone", v.Reason)
	}
	if d := g.Check(request(t, "GET /tools | Authorization: Bearer {good}")); d.Tokens[0].Additional || shownForward(d) != fill(t, "Bearer {good}") {
		t.Error("a token of the current key was signed again")
	}
	if v := g.v.verify(sign(t, `{@base,"env":"staging"}`, signing{key: []byte(attacktest.Additional)})); v.Reason != Environment || v.forward == "" {
		t.Errorf("foreign under the additional key: %s", v.Reason)
	}
	if d := g.Check(request(t, "GET /tools | Authorization: Bearer {extraold}")); said(d) != "expired" {
		t.Errorf("expired under the additional key: %s", said(d))
	}
	if without.Config().KeyCount() != 1 || g.Config().KeyCount() != 2 {
		t.Errorf("keys: %d and %d, want 1 and 2", without.Config().KeyCount(), g.Config().KeyCount())
	}
}
