package metrics

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envgate/authz"
	"envgate/authz/jwks"
)

// Issuers that a reload removes take their series with them, also those that a request or a fetch under way made again; the
// gateway's own issuer keeps its.
func TestSeriesOfRemovedIssuersGo(t *testing.T) {
	load := func(names ...string) *authz.Config {
		t.Helper()
		text := "issuers:\n"
		for _, name := range names {
			text += fmt.Sprintf("  - {issuer: %q, audiences: [a], algorithms: [ES256], jwks_url: \"https://keys.example.com\"}\n", name)
		}
		file := filepath.Join(t.TempDir(), "policy.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=0123456789abcdef0123456789abcdef", "ENVGATE_ENVIRONMENT=production", "ENVGATE_POLICY=" + file}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	m := New(load("one", "two"), Build{})
	used := func(issuer string) {
		m.Decided(authz.Decision{Outcome: authz.Accepted, Tokens: []authz.Verdict{{Verified: true, Unbound: true, Issuer: issuer}}}, 0)
		m.Fetched(issuer, jwks.Status{Keys: 1, Fetched: time.Now()}, nil)
		m.Fetched(issuer, jwks.Status{Keys: 1}, errors.New("x"))
	}
	expect := func(when string, series map[string]int) {
		t.Helper()
		text := exposition(t, m, "text/plain")
		for issuer, want := range series {
			if got := strings.Count(text, `{issuer="`+issuer+`"}`); got != want {
				t.Errorf("%s: %d series of %s, want %d", when, got, issuer, want)
			}
		}
	}
	used("one")
	used("two")
	expect("at first", map[string]int{"one": 5, "two": 5, "mcpgateway": 3})
	m.Issuers(load("two", "three"))
	expect("after a reload", map[string]int{"one": 0, "two": 5, "three": 4, "mcpgateway": 3})
	used("one") // by a request under way
	m.Issuers(load("two"))
	expect("after the next one", map[string]int{"one": 0, "two": 5, "three": 0, "mcpgateway": 3})
	for n := range 20 {
		m.Issuers(load(fmt.Sprint("issuer-", n)))
	}
	if n := len(m.further.known); n > 2 {
		t.Errorf("%d issuers are remembered", n)
	}
}
