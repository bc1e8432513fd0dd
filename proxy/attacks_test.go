package proxy

import (
	"net/http"
	"strings"
	"testing"

	"envgate/authz"
	"envgate/authz/attacktest"
)

// TestAttacksOverRealSockets runs the corpus of authz/testdata/attacks against a running sidecar and a recording upstream:
// what must be refused is answered as documented and not seen by the upstream, and no output holds a part of a token.
func TestAttacksOverRealSockets(t *testing.T) {
	u := newRecorder(t, nil)
	sidecars := map[string]*sidecar{} // one for each configuration
	for _, c := range attacktest.Read(t, "../authz/testdata/attacks", 100) {
		key := strings.Join(c.Settings, "\n")
		s := sidecars[key]
		if s == nil {
			s = startSidecar(t, u.URL, append([]string{"ENVGATE_ENVIRONMENT="}, c.Settings...)...)
			sidecars[key] = s
		}
		t.Run(c.Name, func(t *testing.T) {
			s.t = t
			u.mu.Lock()
			u.seen = nil
			u.mu.Unlock()
			res, body := s.raw(string(c.Raw))
			passes := c.Expect == "accepted" || c.Expect == "public" || c.Expect == "reported"
			if n := len(u.requests()); passes != (n == 1) {
				t.Fatalf("expected %s, the upstream saw %d requests; answer %d %s", c.Expect, n, res.StatusCode, body)
			}
			if !passes && res.StatusCode != http.StatusSeeOther && res.Header.Get("Hx-Redirect") == "" {
				want := authz.Reason(c.Expect).Text().Status
				if c.Status != 0 {
					want = c.Status
				}
				if strings.HasPrefix(string(c.Raw), "HEAD ") {
					body = `{"reason":"` + c.Expect + `"}`
				}
				if p := decodeProblem(t, body); res.StatusCode != want || string(p.Reason) != c.Expect {
					t.Errorf("%d %s, want %d %s", res.StatusCode, body, want, c.Expect)
				}
			}
			out := s.logs.String() + body
			for _, token := range c.Tokens {
				for _, part := range strings.Split(token, ".") {
					if len(part) > 12 && strings.Contains(out, part) {
						t.Errorf("a part of a token in the log or the answer")
					}
				}
			}
		})
	}
}
