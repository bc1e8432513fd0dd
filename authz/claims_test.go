package authz

import (
	"encoding/json"
	"testing"
	"time"
)

// A claim of a wrong type makes a token malformed, before its signature is looked at.
func TestClaimTypes(t *testing.T) {
	types := map[string]string{ // value: its kind
		`"x"`: "string", `""`: "string", `7`: "number", `-1.5e3`: "number", `null`: "null", `true`: "boolean", `false`: "boolean",
		`[]`: "list", `["x"]`: "list of strings", `{}`: "object", `[null]`: "list of others", `["x",1]`: "list of others", `[["x"]]`: "list of others", `1e400`: "endless number",
	}
	right := map[string][]string{
		"iss": {"string"}, "sub": {"string"}, "jti": {"string"},
		"aud": {"string", "list", "list of strings"},
		"exp": {"number"}, "nbf": {"number"}, "iat": {"number"},
		"env":   {"string", "number", "null", "boolean", "list", "list of strings", "object", "list of others", "endless number"}, // a mismatch, never malformed
		"scope": {"string", "number", "null", "boolean", "list", "list of strings", "object", "list of others", "endless number"},
	}
	g := newGuard(t)
	for name, allowed := range right {
		for value, kind := range types {
			fine := false
			for _, a := range allowed {
				fine = fine || a == kind
			}
			v := g.v.verify(sign(t, `{"`+name+`":`+value+`}`))
			if (v.Reason != Malformed) != fine {
				t.Errorf("%s of %s: %s", name, value, v.Reason)
			}
		}
	}
}

// The env claim: an exact string passes, null and absence are absence, everything else is foreign.
func TestEnvironmentClaim(t *testing.T) {
	tests := []struct {
		claims           string
		foreign, unbound bool
		name             string
	}{
		{`{@base}`, false, true, ""},
		{`{@base,"env":null}`, false, true, ""},
		{`{@base,"env":"production"}`, false, false, "production"},
		{`{@base,"env":"pro\u0064uction"}`, false, false, "production"},
		{`{@base,"\u0065n\u0076":"staging"}`, true, false, "staging"},
		{`{@base,"env":"Production"}`, true, false, "Production"},
		{`{@base,"env":" production"}`, true, false, " production"},
		{`{@base,"env":"production\u0000"}`, true, false, "production\x00"},
		{`{@base,"env":"pr\u043eduction"}`, true, false, "prоduction"},
		{`{@base,"env":""}`, true, false, ""},
		{`{@base,"env":7}`, true, false, "7"},
		{`{@base,"env":0}`, true, false, "0"},
		{`{@base,"env":true}`, true, false, "true"},
		{`{@base,"env":false}`, true, false, "false"},
		{`{@base,"env":["production"]}`, true, false, `["production"]`},
		{`{@base,"env":{"production":1}}`, true, false, `{"production":1}`},
		{`{@base,"Env":"staging","ENV":1,"environment":"staging"}`, false, true, ""},
		{`{@base,"user":{"env":"staging","env":"x"}}`, false, true, ""},
	}
	enforce := newGuard(t, "ENVGATE_MISSING_ENVIRONMENT=deny")
	off := newGuard(t, "ENVGATE_ENVIRONMENT_RULE=off", "ENVGATE_MISSING_ENVIRONMENT=deny")
	for _, tt := range tests {
		t.Run(tt.claims, func(t *testing.T) {
			want := None
			if tt.foreign {
				want = Environment
			} else if tt.unbound {
				want = NoEnvironment
			}
			token := sign(t, tt.claims)
			if v := enforce.v.verify(token); v.Reason != want || v.Foreign != tt.foreign || v.Unbound != tt.unbound || v.Environment != tt.name {
				t.Errorf("%s, foreign %t, unbound %t, %q, want %s, %t, %t, %q", v.Reason, v.Foreign, v.Unbound, v.Environment, want, tt.foreign, tt.unbound, tt.name)
			}
			if v := off.v.verify(token); v.Reason != None || v.Foreign != tt.foreign || v.Unbound != tt.unbound {
				t.Errorf("rule off: %s, foreign %t, unbound %t", v.Reason, v.Foreign, v.Unbound)
			}
		})
	}
}

// A number is a mismatch even where the environment's name reads the same.
func TestEnvironmentNamesAreStrings(t *testing.T) {
	for name, env := range map[string]string{"7": "7", "true": "true", "null": `"null"`} {
		g := newGuard(t, "ENVIRONMENT="+name)
		if v := g.v.verify(sign(t, `{@base,"env":"`+name+`"}`)); v.Reason != None {
			t.Errorf("env %q in environment %s: %s", name, name, v.Reason)
		}
		if v := g.v.verify(sign(t, `{@base,"env":`+env+`}`)); (v.Reason == Environment) != (env == name) {
			t.Errorf("env %s in environment %s: %s", env, name, v.Reason)
		}
	}
}

func TestDuplicateNames(t *testing.T) {
	g := newGuard(t)
	for claims, want := range map[string]Reason{
		`{@base,"env":"production","env":"production"}`:      Malformed,
		`{@base,"env":null,"env":"production"}`:              Malformed,
		`{@base,"env":"production","\u0065nv":"production"}`: Malformed,
		`{@base,"x":1,"x":1}`:                                Malformed,
		`{@base,"sub":"b@example.com"}`:                      Malformed,
		`{@base,"x":{"y":1,"y":2}}`:                          None, // no claim of the token itself
		`{@base,"x":1,"X":1}`:                                None,
	} {
		if v := g.v.verify(sign(t, claims)); v.Reason != want {
			t.Errorf("%s: %s, want %s", claims, v.Reason, want)
		}
	}
	header := signing{header: `{"alg":"HS256","typ":"JWT","typ":"JWT"}`}
	if v := g.v.verify(sign(t, `{@base}`, header)); v.Reason != Malformed {
		t.Errorf("in the header: %s", v.Reason)
	}
	many := `{@base`
	for i := range 100 { // long objects take another way
		many += `,"n` + string(rune('A'+i%26)) + string(rune('A'+i/26)) + `":1`
	}
	if v := g.v.verify(sign(t, many+`}`)); v.Reason != None {
		t.Errorf("a hundred names: %s", v.Reason)
	}
	if v := g.v.verify(sign(t, many+`,"exp":1}`)); v.Reason != Malformed {
		t.Errorf("a hundred names and a duplicate: %s", v.Reason)
	}
}

// Times, with and without leeway, to the second. Tokens are judged at noon; @future is 13:00 and @past 11:00.
func TestTimes(t *testing.T) {
	at := func(d time.Duration) string { b, _ := json.Marshal(clock.Add(d).Unix()); return string(b) }
	claims := func(s string) string {
		return `{"iss":"mcpgateway","aud":"mcpgateway-api","env":"production",` + s + `}`
	}
	tests := []struct {
		name, claims  string
		want, lenient Reason // without leeway, and with one of 30 s
	}{
		{"exp in a second", claims(`"exp":` + at(time.Second)), None, None},
		{"exp now", claims(`"exp":` + at(0)), Expired, None},
		{"exp half a second from now", claims(`"exp":` + at(0) + `.5`), None, None},
		{"exp 29 seconds ago", claims(`"exp":` + at(-29*time.Second)), Expired, None},
		{"exp 30 seconds ago", claims(`"exp":` + at(-30*time.Second)), Expired, Expired},
		{"exp of zero", claims(`"exp":0`), Expired, Expired},
		{"exp of minus zero", claims(`"exp":-0`), Expired, Expired},
		{"exp below zero", claims(`"exp":-1e9`), Expired, Expired},
		{"exp far away", claims(`"exp":99999999999`), None, None},
		{"no exp", claims(`"x":0`), NoExpiry, NoExpiry},
		{"nbf now", claims(`"exp":@future,"nbf":` + at(0)), None, None},
		{"nbf in a second", claims(`"exp":@future,"nbf":` + at(time.Second)), NotYetValid, None},
		{"nbf in 31 seconds", claims(`"exp":@future,"nbf":` + at(31*time.Second)), NotYetValid, NotYetValid},
		{"iat in a second", claims(`"exp":@future,"iat":` + at(time.Second)), NotYetValid, None},
		{"iat in 31 seconds", claims(`"exp":@future,"iat":` + at(31*time.Second)), NotYetValid, NotYetValid},
		{"nbf and iat of zero", claims(`"exp":@future,"nbf":0,"iat":-5`), None, None},
	}
	g, lenient := newGuard(t), newGuard(t, "ENVGATE_LEEWAY=30s")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := sign(t, tt.claims)
			if v := g.v.verify(token); v.Reason != tt.want {
				t.Errorf("%s, want %s", v.Reason, tt.want)
			}
			if v := lenient.v.verify(token); v.Reason != tt.lenient {
				t.Errorf("with leeway %s, want %s", v.Reason, tt.lenient)
			}
		})
	}
	optional := newGuard(t, "REQUIRE_TOKEN_EXPIRATION=false")
	if v := optional.v.verify(sign(t, claims(`"x":0`))); v.Reason != None || !v.Expiry.IsZero() {
		t.Errorf("without exp, where none is required: %s, expiry %s", v.Reason, v.Expiry)
	}
	if v := optional.v.verify(sign(t, claims(`"exp":@past`))); v.Reason != Expired {
		t.Errorf("with a past exp, where none is required: %s", v.Reason)
	}
	if v := g.v.verify(sign(t, claims(`"exp":@future`))); !v.Expiry.Equal(clock.Add(time.Hour)) {
		t.Errorf("expiry %s", v.Expiry)
	}
}

func TestAudiences(t *testing.T) {
	for aud, want := range map[string]Reason{
		`"mcpgateway-api"`: None, `["mcpgateway-api"]`: None, `["x","mcpgateway-api","y"]`: None, `"mcpgatewa\u0079-api"`: None,
		`"Mcpgateway-api"`: Audience, `"mcpgateway-api "`: Audience, `""`: Audience, `[]`: Audience, `[""]`: Audience, `"x"`: Audience,
	} {
		token := sign(t, `{"iss":"mcpgateway","exp":@future,"env":"production","aud":`+aud+`}`)
		if v := newGuard(t).v.verify(token); v.Reason != want {
			t.Errorf("aud %s: %s, want %s", aud, v.Reason, want)
		}
		if v := newGuard(t, "JWT_AUDIENCE_VERIFICATION=0").v.verify(token); v.Reason != None {
			t.Errorf("aud %s with the check off: %s", aud, v.Reason)
		}
	}
}

func TestIDs(t *testing.T) {
	g := newGuard(t, "REQUIRE_JTI=1")
	for claims, want := range map[string]Reason{
		`{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future}`:           NoJTI,
		`{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future,"jti":"x"}`: None,
		`{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future,"JTI":"x"}`: NoJTI,
		`{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future,"jti":""}`:  None, // present, as the gateway sees it
	} {
		if v := g.v.verify(sign(t, claims)); v.Reason != want {
			t.Errorf("%s: %s, want %s", claims, v.Reason, want)
		}
	}
}

// Claims of another spelling of a registered name are not that claim.
func TestClaimNamesAreCaseSensitive(t *testing.T) {
	g := newGuard(t)
	for claims, want := range map[string]Reason{
		`{"Iss":"mcpgateway","aud":"mcpgateway-api","exp":@future}`: Issuer,
		`{"iss":"mcpgateway","Aud":"mcpgateway-api","exp":@future}`: Audience,
		`{"iss":"mcpgateway","aud":"mcpgateway-api","Exp":@future}`: NoExpiry,
		`{@base,"NBF":@future,"Iat":@future,"EXP":1}`:               None,
		`{@base,"env":"development","Env":"production"}`:            Environment,
	} {
		if v := g.v.verify(sign(t, claims)); v.Reason != want {
			t.Errorf("%s: %s, want %s", claims, v.Reason, want)
		}
	}
}
