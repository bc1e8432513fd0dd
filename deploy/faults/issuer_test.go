//go:build faults

package faults

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"envgate/authz/issuertest"
	"envgate/deploy/processtest"
)

// issuerGone: tokens under keys that are known go on; a sidecar that starts meanwhile refuses that issuer's alone.
func issuerGone(t *testing.T) row {
	issuer := issuertest.New(t, "ES256")
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	text := fmt.Sprintf("routes: [{path: /health, methods: [GET], access: public}]\nissuers: [{issuer: %q, audiences: [gateway], algorithms: [ES256], jwks_url: %q, ca_file: %q, cooldown: 1s}]\n", issuer.URL, issuer.JWKS(), issuer.CAFile)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := stand(t, 100, processtest.Command{Settings: []string{"ENVGATE_POLICY=" + policy}})
	s.load.stopOnce()
	token := issuer.Sign(t, map[string]any{"aud": "gateway"})
	keys := `envgate_keys{issuer="` + issuer.URL + `"}`
	eventually(t, "keys", func() bool { return s.p.Counts()[keys] == 1 })
	s.load = startLoad(300, func() string { return s.p.Traffic }, append(s.kinds(), kind{"issuer's", "GET", "/tools", func() string { return token }, 200})...)
	s.gateway.ids = nil // two loads have the same numbers
	s.begin()
	patient := &load{client: &http.Client{Timeout: 20 * time.Second}, scheme: "http", address: func() string { return s.p.Traffic }}
	var slowest time.Duration // a token that names an unknown key waits for the fetch that it causes
	for _, how := range []string{issuertest.Broken, issuertest.Stall, issuertest.Reset, issuertest.Garbage, issuertest.Huge} {
		issuer.Behave(how)
		began := time.Now()
		if got := patient.ask("/tools", issuer.SignAs(t, "unknown-"+how, map[string]any{"aud": "gateway"})); got != 401 {
			t.Errorf("%s: a token under an unknown key is answered %d", how, got)
		}
		slowest = max(slowest, time.Since(began).Round(100*time.Millisecond))
		time.Sleep(*hold / 2)
	}
	issuer.Behave(issuertest.Broken)
	fresh := processtest.Command{Binary: binary, Upstream: "http://" + s.gateway.address, Settings: []string{"ENVGATE_POLICY=" + policy}}.Start(t)
	newcomer := &load{client: s.load.client, scheme: "http", address: func() string { return fresh.Traffic }}
	s.want("a newcomer answers the issuer's tokens 503, and others as ever", newcomer.ask("/tools", token) == 503 && newcomer.ask("/tools", s.token) == 200)
	issuer.Behave(issuertest.Well)
	back := eventually(t, "the newcomer has keys", func() bool { return newcomer.ask("/tools", token) == 200 })
	failures := `envgate_key_fetch_failures_total{issuer="` + issuer.URL + `"}`
	seen, failed := s.load.seen(), s.p.Counts()[failures]-s.before[failures]
	lost := s.end()
	return row{"", seen + "; tokens under unknown keys 401, after at most " + slowest.String() + "; a sidecar that started meanwhile: 503 `keys_unavailable` for that issuer's tokens alone, for " + back.Round(100*time.Millisecond).String() + " after the issuer was well",
		fmt.Sprintf("`envgate_key_fetch_failures_total` %.0f", failed), lost}
}
