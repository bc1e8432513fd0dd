//go:build faults

package faults

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"envgate/authz/issuertest"
	"envgate/deploy/processtest"
)

// issuerGone: tokens under keys that are known go on; a sidecar that starts meanwhile refuses that issuer's alone.
func issuerGone(t *testing.T) row {
	s, issuer, policy, issued := standIssued(t, 300, time.Second)
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
	s.want("a newcomer answers the issuer's tokens 503, and others as ever", newcomer.ask("/tools", issued.Load().(string)) == 503 && newcomer.ask("/tools", s.token) == 200)
	issuer.Behave(issuertest.Well)
	back := eventually(t, "the newcomer has keys", func() bool { return newcomer.ask("/tools", issued.Load().(string)) == 200 })
	failures := `envgate_key_fetch_failures_total{issuer="` + issuer.URL + `"}`
	seen, failed := s.load.seen(), s.p.Counts()[failures]-s.before[failures]
	lost := s.end()
	return row{"", seen + "; tokens under unknown keys 401, after at most " + slowest.String() + "; a sidecar that started meanwhile: 503 `keys_unavailable` for that issuer's tokens alone, for " + back.Round(100*time.Millisecond).String() + " after the issuer was well",
		fmt.Sprintf("`envgate_key_fetch_failures_total` %.0f", failed), lost}
}
