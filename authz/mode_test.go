package authz

import (
	"reflect"
	"testing"
)

// Mode and rule: what is decided is the same, what becomes of it differs.
func TestModesAndRules(t *testing.T) {
	const (
		report = "ENVGATE_MODE=report"
		watch  = "ENVGATE_ENVIRONMENT_RULE=report"
		off    = "ENVGATE_ENVIRONMENT_RULE=off"
		deny   = "ENVGATE_MISSING_ENVIRONMENT=deny"
	)
	tests := []struct {
		name, request string
		settings      []string
		want          string
		status        int
	}{
		{"report reports a foreign token", "GET /tools | Authorization: Bearer {foreign}", []string{report}, "reported environment", 401},
		{"report reports a missing token", "GET /tools", []string{report}, "reported no_token", 401},
		{"report reports an ambiguous header", "GET /tools | Authorization: Bearer {good} | Authorization: Bearer {good}", []string{report}, "reported ambiguous_credential", 400},
		{"report reports a forged token", "GET /tools | Cookie: jwt_token={forged}", []string{report}, "reported signature", 401},
		{"report accepts a good token", "GET /tools | Authorization: Bearer {good}", []string{report}, "accepted", 0},
		{"report leaves public routes public", "GET /health | Cookie: jwt_token={forged}", []string{report}, "public", 0},
		{"report still refuses methods", "TRACE /tools", []string{report}, "method_not_allowed", 405},
		{"report still refuses paths", "GET /a|b", []string{report}, "bad_path", 400},

		{"the rule alone reports a foreign token", "GET /tools | Authorization: Bearer {foreign}", []string{watch}, "reported environment", 0},
		{"the rule alone reports a missing env", "GET /tools | Authorization: Bearer {envless}", []string{watch, deny}, "reported no_environment", 0},
		{"the rule alone still refuses others", "GET /tools | Authorization: Bearer {expired}", []string{watch}, "expired", 401},
		{"the rule alone reports a foreign cookie", "GET /tools | Cookie: jwt_token={foreign}", []string{watch}, "reported environment", 0},
		{"the rule alone reports a foreign query token", "GET /ws?token={foreign}", []string{watch}, "reported environment", 0},
		{"a clean cookie beside it is enough", "GET /tools | Cookie: jwt_token={foreign}; access_token={good}", []string{watch}, "accepted", 0},
		{"a clean header beside it is enough", "GET /tools | Authorization: Bearer {good} | Cookie: jwt_token={foreign}", []string{watch}, "accepted", 0},

		{"off accepts a foreign token", "GET /tools | Authorization: Bearer {foreign}", []string{off}, "accepted", 0},
		{"off accepts a missing env", "GET /tools | Authorization: Bearer {envless}", []string{off, deny}, "accepted", 0},
		{"off still refuses others", "GET /tools | Authorization: Bearer {forged}", []string{off}, "signature", 401},
		{"the gateway's switch turns it off", "GET /tools | Authorization: Bearer {foreign}", []string{"VALIDATE_TOKEN_ENVIRONMENT=false"}, "accepted", 0},
		{"the own setting wins over the gateway's", "GET /tools | Authorization: Bearer {foreign}", []string{"VALIDATE_TOKEN_ENVIRONMENT=false", "ENVGATE_ENVIRONMENT_RULE=enforce"}, "environment", 401},
		{"also to turn it off", "GET /tools | Authorization: Bearer {foreign}", []string{"VALIDATE_TOKEN_ENVIRONMENT=true", off}, "accepted", 0},
		{"the own environment wins over the gateway's", "GET /tools | Authorization: Bearer {foreign}", []string{"ENVGATE_ENVIRONMENT=staging"}, "accepted", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newGuard(t, tt.settings...).Check(request(t, tt.request))
			consistent(t, d)
			if said(d) != tt.want || d.Status != tt.status {
				t.Errorf("got %s %d, want %s %d", said(d), d.Status, tt.want, tt.status)
			}
		})
	}
}

// Foreign tokens are found wherever they turn up, also where they can't change the decision: they are counted.
func TestForeignTokensAreAlwaysSeen(t *testing.T) {
	tests := []struct {
		request string
		foreign int
	}{
		{"GET /tools | Authorization: Bearer {foreign}", 1},
		{"GET /tools | Authorization: Bearer {good} | Cookie: jwt_token={foreign}; access_token={foreign}", 2},
		{"GET /tools | Authorization: Bearer {forged} | Cookie: jwt_token={foreign}", 1},
		{"GET /health | Cookie: jwt_token={foreign}", 1},
		{"GET /ws?token={foreign} | Authorization: Bearer {forged}", 1},
		{"GET /tools | Authorization: Bearer {envless} | Cookie: jwt_token={forged}", 0},
	}
	for _, settings := range [][]string{nil, {"ENVGATE_MODE=report"}, {"ENVGATE_ENVIRONMENT_RULE=report"}, {"ENVGATE_ENVIRONMENT_RULE=off"}} {
		g := newGuard(t, settings...)
		for _, tt := range tests {
			foreign := 0
			for _, v := range g.Check(request(t, tt.request)).Tokens {
				if v.Verified && v.Foreign && v.Environment == "staging" {
					foreign++
				}
			}
			if foreign != tt.foreign {
				t.Errorf("%v %s: %d foreign tokens, want %d", settings, tt.request, foreign, tt.foreign)
			}
		}
	}
}

// In mode report every credential goes on as it came.
func TestReportModeChangesNoCredential(t *testing.T) {
	g := newGuard(t, "ENVGATE_MODE=report")
	for _, line := range []string{
		"GET /tools | Authorization: bearer  {foreign}",
		"GET /tools | Authorization: Bearer {good} | Authorization: Bearer {foreign}",
		"GET /tools | Authorization: Basic YTpi | Cookie: jwt_token={forged}; a\xa0b=1 | Cookie: jwt_token=\"x\\056\"",
		"GET /health | Authorization: x | Cookie: ;; jwt_token={expired} ;a",
		"GET /ws?token={foreign}&%74oken=&a=|;b",
	} {
		r := request(t, line)
		d := g.Check(r)
		if d.Removed != nil || !reflect.DeepEqual(d.Forward.AuthHeader, r.Header["Authorization"]) || !reflect.DeepEqual(d.Forward.Cookie, r.Header["Cookie"]) || d.Forward.RawQuery != r.URL.RawQuery {
			t.Errorf("%s: changed, removed %v", line, d.Removed)
		}
	}
}

// Check is a question: it changes nothing of the request.
func TestCheckLeavesTheRequestAlone(t *testing.T) {
	for _, settings := range [][]string{nil, {"ENVGATE_MODE=report"}} {
		g := newGuard(t, settings...)
		for _, line := range []string{
			"GET /ws?token={good}&a | Authorization: bearer {good} | Cookie: a; jwt_token={foreign}; b | Cookie: x",
			"GET /health | Authorization: Basic x | Cookie: jwt_token={foreign}",
		} {
			r, same := request(t, line), request(t, line)
			g.Check(r)
			if !reflect.DeepEqual(r.Header, same.Header) || !reflect.DeepEqual(r.URL, same.URL) || r.RequestURI != same.RequestURI {
				t.Errorf("%s: changed", line)
			}
		}
	}
}
