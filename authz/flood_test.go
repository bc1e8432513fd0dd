package authz

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// A request full of different tokens costs no more than a few: what is beyond fails unverified and is taken off.
func TestOnlyAFewTokensOfARequestAreVerified(t *testing.T) {
	c, err := Parse(Source{Environ: []string{"JWT_SECRET_KEY=0123456789abcdef0123456789abcdef", "ENVGATE_ENVIRONMENT=production"}})
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for i := range 500 {
		pairs = append(pairs, fmt.Sprintf("jwt_token=a.b%d.c", i))
	}
	r, _ := http.NewRequest(http.MethodGet, "/health", nil)
	r.Header["Cookie"] = []string{strings.Join(pairs, "; ") + "; theme=dark"}
	d := New(c).Check(r)
	if d.Outcome != Public || len(d.Tokens) != maxCandidates || len(d.Removed) != 500 {
		t.Errorf("%s: %d tokens judged, %d removed", d.Outcome, len(d.Tokens), len(d.Removed))
	}
	if len(d.Forward.Cookie) != 1 || d.Forward.Cookie[0] != "theme=dark" {
		t.Errorf("%d Cookie lines are left", len(d.Forward.Cookie))
	}
}
