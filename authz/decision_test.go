package authz

import (
	"net/http"
	"os"
	"regexp"
	"testing"
)

// The decision table, one row or more for each reason, in its order.
func TestDecisions(t *testing.T) {
	deny := "ENVGATE_MISSING_ENVIRONMENT=deny"
	tests := []struct {
		name, request, setting, want string
		status                       int
	}{
		{"CONNECT is not forwarded", "CONNECT gateway.example.com:443", "", "method_not_allowed", 405},
		{"TRACE is not forwarded", "TRACE /health", "", "method_not_allowed", 405},
		{"TRACE comes before the path", "TRACE /a|b", "", "method_not_allowed", 405},
		{"a path that would be re-encoded is refused", "GET /a%2fb|c | Authorization: Bearer {good}", "", "bad_path", 400},
		{"the path comes before the credential", "GET /a|b | Authorization: Bearer {forged}", "", "bad_path", 400},
		{"a protected route needs a candidate", "GET /tools", "", "no_token", 401},
		{"an empty auth header is no candidate", "GET /tools | Authorization: ", "", "no_token", 401},
		{"Bearer alone is no candidate", "GET /tools | Authorization: Bearer", "", "no_token", 401},
		{"the auth header twice is ambiguous", "GET /tools | Authorization: Bearer {good} | Authorization: Bearer {good}", "", "ambiguous_credential", 400},
		{"the auth header named in Connection is ambiguous", "GET /tools | Connection: Authorization | Authorization: Bearer {good}", "", "ambiguous_credential", 400},
		{"a quoted cookie alone is ambiguous", `GET /tools | Cookie: jwt_token="{good}"`, "", "ambiguous_credential", 401},
		{"another scheme alone is unsupported", "GET /tools | Authorization: Basic YTpi", "", "unsupported_scheme", 401},
		{"a long token is not parsed", "GET /tools | Authorization: Bearer {good}", "ENVGATE_MAX_TOKEN_BYTES=512", "accepted", 0},
		{"junk is malformed", "GET /tools | Authorization: Bearer junk", "", "malformed", 401},
		{"another algorithm is refused", "GET /tools | Authorization: Bearer {good}", "JWT_ALGORITHM=HS512", "algorithm", 401},
		{"another key does not verify", "GET /tools | Authorization: Bearer {forged}", "", "signature", 401},
		{"another issuer is refused", "GET /tools | Authorization: Bearer {good}", "JWT_ISSUER=elsewhere", "issuer", 401},
		{"another issuer passes where the check is off", "GET /tools | Authorization: Bearer {good}", "JWT_ISSUER_VERIFICATION=off", "accepted", 0},
		{"another audience is refused", "GET /tools | Authorization: Bearer {good}", "JWT_AUDIENCE=elsewhere", "audience", 401},
		{"an expired token is refused", "GET /tools | Authorization: Bearer {expired}", "", "expired", 401},
		{"a foreign token is refused", "GET /tools | Authorization: Bearer {foreign}", "", "environment", 401},
		{"a token without env passes", "GET /tools | Authorization: Bearer {envless}", "", "accepted", 0},
		{"a token without env is refused where the setting says so", "GET /tools | Authorization: Bearer {envless}", deny, "no_environment", 401},
		{"a good token is accepted", "GET /tools | Authorization: Bearer {good}", deny, "accepted", 0},
		{"a public route needs none", "GET /health", "", "public", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var settings []string
			if tt.setting != "" {
				settings = append(settings, tt.setting)
			}
			d := newGuard(t, settings...).Check(request(t, tt.request))
			consistent(t, d)
			if said(d) != tt.want || d.Status != tt.status {
				t.Errorf("got %s %d, want %s %d", said(d), d.Status, tt.want, tt.status)
			}
		})
	}
}

// Tokens that break more than one rule show the order of the rules.
func TestFirstFailureIsTheReason(t *testing.T) {
	// Every token breaks its own rule and all later ones.
	tests := []struct {
		claims string
		want   Reason
	}{
		{`{"iss":"x","aud":"x","exp":@past,"nbf":@future,"env":"staging"}`, Issuer},
		{`{"iss":"mcpgateway","aud":"x","exp":@past,"nbf":@future,"env":"staging"}`, Audience},
		{`{"iss":"mcpgateway","aud":"mcpgateway-api","sub":"mallory","nbf":@future,"env":"staging"}`, Revoked},
		{`{"iss":"mcpgateway","aud":"mcpgateway-api","nbf":@future,"env":"staging"}`, NoExpiry},
		{`{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@past,"nbf":@future,"env":"staging"}`, Expired},
		{`{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future,"nbf":@future,"env":"staging"}`, NotYetValid},
		{`{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future,"env":"staging"}`, NoJTI},
		{`{@base,"env":"staging"}`, Environment},
		{`{@base}`, NoEnvironment},
		{`{@base,"env":"production"}`, None},
	}
	g := newGuard(t, "REQUIRE_JTI=true", "ENVGATE_MISSING_ENVIRONMENT=deny", denying(t, "sub mallory before 2030-06-01T12:00:00Z"))
	for _, tt := range tests {
		t.Run(string(tt.want), func(t *testing.T) {
			v := g.v.verify(sign(t, tt.claims))
			if v.Reason != tt.want || !v.Verified {
				t.Errorf("got %s, verified %t, want %s", v.Reason, v.Verified, tt.want)
			}
			if forged := g.v.verify(sign(t, tt.claims, signing{key: []byte(otherSecret)})); forged.Reason != Signature || forged.Subject != "" {
				t.Errorf("under another key: got %s %q, want signature and nothing of its claims", forged.Reason, forged.Subject)
			}
		})
	}
}

func TestTokenLengthIsBounded(t *testing.T) {
	g := newGuard(t, "ENVGATE_MAX_TOKEN_BYTES=600")
	token := sign(t, `{@base,"env":"production"}`)
	pad := func(n int) string { // a good token of n bytes or just more
		for i := 0; ; i++ {
			s := sign(t, `{@base,"env":"production","pad":"`+repeat("x", i)+`"}`)
			if len(s) >= n {
				return s
			}
		}
	}
	for _, tt := range []struct {
		token string
		want  Reason
	}{{token, None}, {pad(590), None}, {pad(601), TooLarge}, {repeat(".", 601), TooLarge}, {repeat(".", 600), Malformed}} {
		if v := g.v.verify(tt.token); v.Reason != tt.want {
			t.Errorf("%d bytes: got %s, want %s", len(tt.token), v.Reason, tt.want)
		}
	}
}

// The list of reasons is closed, ordered as the decision table is, and worded for clients.
func TestReasonTexts(t *testing.T) {
	seen := map[Reason]bool{}
	for _, r := range Reasons {
		if seen[r.Reason] || r.When == "" || r.Status < 400 {
			t.Errorf("%s: twice, or without a status or a description", r.Reason)
		}
		seen[r.Reason] = true
		if r.Detail == "" && r.Reason != Environment {
			t.Errorf("%s: no detail", r.Reason)
		}
		if (r.Description == "") != (r.Reason == NoToken) {
			t.Errorf("%s: error_description %q: only a request without a token has none (RFC 6750, section 3.1)", r.Reason, r.Description)
		}
		if regexp.MustCompile(`[^\x20-\x7e]|["\\]`).MatchString(r.Description) {
			t.Errorf("%s: description %q can't be quoted in a header", r.Reason, r.Description)
		}
	}
	if seen[None] || None.Text() != (ReasonText{}) {
		t.Error("none is no refusal")
	}
}

// Every reason that this package can give is reached by a request of the corpus.
func TestCorpusReachesEveryReason(t *testing.T) {
	reached := map[string]bool{}
	entries, err := os.ReadDir("testdata/attacks")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile("testdata/attacks/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`(?m)^expect: (\S+)$`).FindSubmatch(b); m != nil {
			reached[string(m[1])] = true
		}
	}
	for _, r := range Reasons {
		fetched := r.Reason == KeysUnavailable || r.Reason == UnknownKey   // only of fetched key sets
		if !reached[string(r.Reason)] && !fetched && r.Reason != Limited { // which the proxy decides
			t.Errorf("no attack file expects %s", r.Reason)
		}
	}
}

func TestMismatchIsWordedAsTheGatewayDoes(t *testing.T) {
	d := newGuard(t).Check(request(t, "GET /tools | Authorization: Bearer {foreign}"))
	if want := "Token environment mismatch: token is for 'staging', server is 'production'"; d.Detail != want {
		t.Errorf("got %q, want %q", d.Detail, want)
	}
	if len(d.Tokens) != 1 || !d.Tokens[0].Foreign || d.Tokens[0].Environment != "staging" || d.Tokens[0].Subject != "a@example.com" || d.Tokens[0].ID != "7d1c" {
		t.Errorf("the verdict lacks facts: %v", d.Tokens)
	}
	if d.Status != http.StatusUnauthorized {
		t.Errorf("status %d", d.Status)
	}
}

// Text of a token is made printable before it is answered.
func TestMismatchShowsNoControlCharacters(t *testing.T) {
	g := newGuard(t)
	for _, env := range []string{`"a\r\nb"`, `"<script>"`, `"\u202e"`, `{"a":1}`, `["x"]`, `"a\\b"`, `"` + repeat("y", 5000) + `"`, `"'; drop"`} {
		v := g.v.verify(sign(t, `{@base,"env":`+env+`}`))
		if v.Reason != Environment || !regexp.MustCompile(`^Token environment mismatch: token is for '[^'<>"\\\x00-\x1f\x7f-\xff]{0,67}', server is 'production'$`).MatchString(v.Detail) {
			t.Errorf("env %.20s: %s, detail %q", env, v.Reason, v.Detail)
		}
	}
	const whole = " !#~[]{}"
	if got := Printable(whole + "\x1f\x7f\\\"'<>"); got != whole+"???????" {
		t.Errorf("got %q", got)
	}
}
