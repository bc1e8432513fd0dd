package authz

import (
	"slices"
	"strings"
	"testing"

	"envgate/authz/attacktest"
)

// The attack corpus, over http.ReadRequest; over real sockets it is run by the proxy's tests.
func TestAttacks(t *testing.T) {
	for _, c := range attacktest.Read(t, "testdata/attacks", 300) {
		t.Run(c.Name, func(t *testing.T) {
			config, err := Parse(Source{Environ: c.Settings})
			if err != nil {
				t.Fatal(err)
			}
			r := readRequest(t, c.Raw)
			d := New(config).Check(r)
			consistent(t, d)
			got := string(d.Reason)
			if d.Outcome != Refused {
				got = string(d.Outcome)
			}
			if got != c.Expect {
				t.Errorf("got %s (%s), want %s", got, d.Reason, c.Expect)
			}
			status := c.Status
			if status == 0 {
				status = Reason(c.Expect).Text().Status
			}
			if d.Outcome == Refused && d.Status != status {
				t.Errorf("status %d, want %d", d.Status, status)
			}
			if removed := reasons(d.Removed); removed != strings.Join(c.Removed, ", ") {
				t.Errorf("removed %q, want %q", removed, strings.Join(c.Removed, ", "))
			}
			hides(t, shown(t, d), c.Tokens...)
			if d.Outcome == Refused || config.Mode == ModeReport || config.Rule != RuleEnforce {
				return
			}
			// An accepted request carries nothing that this guard alone would not accept.
			for _, candidate := range gatewayReads(forwarded(r, config, d), config.AuthHeader, config.RootPath) {
				if !slices.Contains(c.Tokens, candidate) {
					continue
				}
				if v := New(config).v.verify(candidate); v.Reason != None {
					t.Errorf("a token goes on that is %s", v.Reason)
				}
			}
		})
	}
}
