//go:build faults

package faults

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"envgate/authz/issuertest"
	"envgate/deploy/processtest"
)

// policyOf trusts an issuer beside the gateway's own. Another number is another text.
func policyOf(i *issuertest.Issuer, cooldown time.Duration, number int) []byte {
	return fmt.Appendf(nil, "routes: [{path: /health, methods: [GET], access: public}]\nissuers: [{issuer: %q, audiences: [gateway, more-%d], algorithms: [ES256], jwks_url: %q, ca_file: %q, cooldown: %s}]\n",
		i.URL, number, i.JWKS(), i.CAFile, cooldown)
}

// standIssued is stand with an issuer, whose tokens are in the load, and the file of the policy that trusts it.
func standIssued(t *testing.T, rate int, cooldown time.Duration, settings ...string) (s *stage, issuer *issuertest.Issuer, policy string, issued *atomic.Value) {
	t.Helper()
	issuer, issued = issuertest.New(t, "ES256"), &atomic.Value{}
	issued.Store(issuer.Sign(t, map[string]any{"aud": "gateway"}))
	policy = filepath.Join(t.TempDir(), "policy.yaml")
	replace(t, map[string][]byte{policy: policyOf(issuer, cooldown, 0)})
	s = stand(t, 100, processtest.Command{Settings: append(settings, "ENVGATE_POLICY="+policy)})
	keys := `envgate_keys{issuer="` + issuer.URL + `"}`
	eventually(t, "keys", func() bool { return s.p.Counts()[keys] == 1 })
	s.again(rate, append(s.kinds(), kind{"issuer's", "GET", "/tools", text(issued), 200})...)
	return s, issuer, policy, issued
}

// keysRotated: tokens of the issuer's first key and its newest, and of the current secret and the one before, are accepted all along.
func keysRotated(t *testing.T) row {
	const cooldown = time.Second
	secret := func(n int) string { return fmt.Sprintf("rotated-secret-%d-0123456789abcdefghijklmnop", n) }
	file := filepath.Join(t.TempDir(), "secret")
	replace(t, map[string][]byte{file: []byte(secret(0))})
	s, issuer, _, issued := standIssued(t, 10, cooldown, "JWT_SECRET_KEY=", "JWT_SECRET_KEY_FILE="+file)
	var own, former atomic.Value
	own.Store(processtest.SignedBy(t, secret(0), nil))
	former.Store(own.Load())
	first := issued.Load().(string)
	s.again(1000, // whose tokens are under that secret
		kind{"current secret's GET", "GET", "/tools", text(&own), 200}, kind{"former secret's GET", "GET", "/tools", text(&former), 200},
		kind{"newest key's GET", "GET", "/tools", text(issued), 200}, kind{"first key's GET", "GET", "/tools", func() string { return first }, 200},
		kind{"no token", "GET", "/tools", nil, 401})
	const rotations = 5
	for n := range rotations {
		time.Sleep(max(cooldown+200*time.Millisecond, *hold)) // keys follow each other in days, not within the cooldown
		issuer.Rotate(t, "ES256")
		issued.Store(issuer.Sign(t, map[string]any{"aud": "gateway"}))
		former.Store(own.Load())
		replace(t, map[string][]byte{file: []byte(secret(n + 1))})
		eventually(t, "the next secret", func() bool { return s.p.Counts()[`envgate_reloads_total{result="success"}`] == float64(n+1) })
		own.Store(processtest.SignedBy(t, secret(n+1), nil))
	}
	time.Sleep(*hold)
	seen := s.load.seen()
	lost := s.end()
	s.want("every rotation was noticed", s.p.Counts()[`envgate_keys{issuer="`+issuer.URL+`"}`] == rotations+1)
	return row{"", seen, s.counted("envgate_tokens_verified_by_additional_key_total", "envgate_reloads_total"), lost}
}

// reloaded: what is read anew leaves nothing behind.
func reloaded(t *testing.T) row {
	s, issuer, policy, _ := standIssued(t, 1000, time.Second)
	number, counts := 0, map[bool]float64{}
	reload := func() {
		number++
		text, good := policyOf(issuer, time.Second, number), number%3 != 0
		if !good {
			text = []byte("broken: [\n")
		}
		counts[good]++
		replace(t, map[string][]byte{policy: text})
		s.p.Signal(syscall.SIGHUP)
		result := fmt.Sprintf("envgate_reloads_total{result=%q}", map[bool]string{true: "success", false: "failure"}[good])
		eventually(t, "a reload", func() bool { return s.p.Counts()[result] >= counts[good] })
	}
	for range 20 {
		reload()
	}
	s.load.stopOnce()
	before := settled(s.p)
	s.again(1000, s.load.kinds...)
	for range 200 {
		reload()
	}
	seen := s.load.seen()
	lost := s.end()
	after := settled(s.p)
	s.want("nothing is left behind", after.within(before))
	return row{"", seen, fmt.Sprintf("%s; before %v, after %v", s.counted("envgate_reloads_total"), before, after), lost}
}

// keysMadeUp: whoever names keys that nobody has causes one fetch, and is refused.
func keysMadeUp(t *testing.T) row {
	s, issuer, _, _ := standIssued(t, 10, time.Minute)
	s.load.stopOnce()
	made := make([]string, 10_000)
	for n := range made {
		made[n] = issuer.SignAs(t, fmt.Sprint("made-up-", n), map[string]any{"aud": "gateway"})
	}
	var asked atomic.Int64
	before, fetches := settled(s.p), issuer.Fetches()
	next := func() string { return made[asked.Add(1)%int64(len(made))] }
	s.again(1250, append(slices.Repeat([]kind{{"made-up key", "GET", "/tools", next, 401}}, 4),
		kind{"accepted GET", "GET", "/tools", func() string { return s.token }, 200})...)
	for asked.Load() < int64(len(made)) {
		time.Sleep(10 * time.Millisecond)
	}
	seen := s.load.seen()
	lost := s.end()
	fetches = issuer.Fetches() - fetches
	s.want("one fetch at most within the cooldown", fetches <= 1)
	counted := s.counted(`envgate_decisions_total{decision="refused"`)
	after := settled(s.p)
	s.want("nothing is left behind", after.within(before))
	return row{"", seen, fmt.Sprintf("%s; fetches of the key set: %d; before %v, after %v", counted, fetches, before, after), lost}
}

// settled are the levels of a process without load, once its upstream connections have idled out.
func settled(p *processtest.Process) levels {
	time.Sleep(5 * time.Second)
	return levelsOf(p)
}
