package proxy

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"envgate/authz"
	"envgate/authz/issuertest"

	"github.com/golang-jwt/jwt/v5"
)

// startReloading starts a sidecar that reads its configuration anew as the binary does. signals stands for the process's.
func startReloading(t testing.TB, upstream string, settings ...string) (s *sidecar, signals chan os.Signal) {
	t.Helper()
	s = newSidecar(t, upstream, settings...)
	return s, s.run(t, s.parse)
}

// parse reads the configuration anew.
func (s *sidecar) parse() (*authz.Config, error) {
	return authz.Parse(authz.Source{Environ: s.environ})
}

// run runs it.
func (s *sidecar) run(t testing.TB, load Load) (signals chan os.Signal) {
	t.Helper()
	s.ReloadBy(load)
	signals = make(chan os.Signal, 2)
	done := make(chan error, 1)
	go func() { done <- s.Run(signals) }()
	t.Cleanup(func() {
		signals <- syscall.SIGTERM
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	eventually(t, "listening", func() bool { return strings.Contains(s.logs.String(), `"msg":"listening"`) })
	s.addr, s.admin = s.Addresses()
	return signals
}

// write replaces a file at once, as whatever writes configuration should.
func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

const publicRoute = "routes: [{path: %s, methods: [GET], access: public}]\n"

func (s *sidecar) code(path string) int { res, _ := s.get(path); return res.StatusCode }

// A policy file is read anew when it changes, however it is replaced, and on SIGHUP; a broken one changes nothing.
func TestThePolicyIsReloaded(t *testing.T) {
	u := newRecorder(t, nil)
	mount := t.TempDir() // as the kubelet mounts a ConfigMap: policy.yaml -> ..data/policy.yaml, ..data -> ..1
	publish := func(version, text string) {
		if err := os.Mkdir(filepath.Join(mount, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(mount, version, "policy.yaml"), text)
		if err := os.Symlink(version, filepath.Join(mount, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(mount, "..tmp"), filepath.Join(mount, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("..1", fmt.Sprintf(publicRoute, "/one"))
	file := filepath.Join(mount, "policy.yaml")
	if err := os.Symlink("..data/policy.yaml", file); err != nil {
		t.Fatal(err)
	}
	s, signals := startReloading(t, u.URL, "ENVGATE_POLICY="+file)
	if s.code("/one") != 200 || s.code("/two") != 401 {
		t.Fatal("the first policy is not in force")
	}
	publish("..2", fmt.Sprintf(publicRoute, "/two"))
	eventually(t, "the second policy", func() bool { return s.code("/two") == 200 && s.code("/one") == 401 })

	publish("..3", "routes: [{path: /three, access: open}]\n")
	eventually(t, "an error", func() bool { return strings.Contains(s.logs.String(), "not reloaded") })
	if s.code("/two") != 200 || s.code("/three") != 401 {
		t.Error("a broken policy changes what is in force")
	}
	if !strings.Contains(s.logs.String(), `routes[0] /three: access: \"open\": want public or protected`) {
		t.Errorf("the log doesn't say why:\n%s", s.logs)
	}
	for series, want := range map[string]string{
		`envgate_reloads_total{result="success"}`: "1", `envgate_reloads_total{result="failure"}`: "1", "envgate_last_reload_successful": "0",
	} {
		if got := s.value(series); got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
	publish("..4", fmt.Sprintf(publicRoute, "/four"))
	eventually(t, "the fourth policy", func() bool { return s.code("/four") == 200 })
	eventually(t, "the last reload counted as successful", func() bool { return s.value("envgate_last_reload_successful") == "1" })
	signals <- syscall.SIGHUP
	eventually(t, "a reload by signal", func() bool { return s.value(`envgate_reloads_total{result="success"}`) == "3" })
}

// A changed file beside those that matter is no reason to reload.
func TestOtherFilesAreNoReason(t *testing.T) {
	u := newRecorder(t, nil)
	folder := t.TempDir()
	file := filepath.Join(folder, "policy.yaml")
	write(t, file, fmt.Sprintf(publicRoute, "/one"))
	s, _ := startReloading(t, u.URL, "ENVGATE_POLICY="+file)
	write(t, filepath.Join(folder, "other"), "x")
	write(t, file, fmt.Sprintf(publicRoute, "/one"))
	time.Sleep(3 * settle)
	if n := s.value(`envgate_reloads_total{result="success"}`); n != "0" {
		t.Errorf("%s reloads", n)
	}
}

// 200 reloads, a third of them broken, lose no request and leave nothing behind. The further issuer's entry changes each
// time, and its cooldown, for which the keys are fetched anew, every 50 times.
func TestReloadsUnderLoad(t *testing.T) {
	u := newRecorder(t, func(http.ResponseWriter, *http.Request) {})
	i := issuertest.New(t, "ES256")
	file := filepath.Join(t.TempDir(), "policy.yaml")
	good := func(n int) string {
		return fmt.Sprintf(publicRoute+"issuers: [{issuer: %q, audiences: [gateway, more-%d], algorithms: [ES256], jwks_url: %q, ca_file: %q, cooldown: %ds}]\n", fmt.Sprint("/", n), i.URL, n, i.JWKS(), i.CAFile, 1+n/50)
	}
	write(t, file, good(0))
	s, signals := startReloading(t, u.URL, "ENVGATE_POLICY="+file)
	own, external := token(t, nil), i.Sign(t, map[string]any{"aud": "gateway"})
	eventually(t, "keys", func() bool { return s.value(`envgate_keys{issuer="`+i.URL+`"}`) == "1" })
	goroutines, files := runtime.NumGoroutine(), openFiles(t)

	var wg sync.WaitGroup
	var stop atomic.Bool
	var sent, lost atomic.Int64
	for n := range 4 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for !stop.Load() {
				r, _ := http.NewRequest(http.MethodGet, "http://"+s.addr+"/tools", nil)
				r.Header.Set("Authorization", "Bearer "+[]string{own, external}[n%2])
				res, err := client.Do(r)
				if sent.Add(1); err != nil || res.StatusCode != 200 {
					lost.Add(1)
				}
				if err == nil {
					res.Body.Close()
				}
			}
		})
	}
	for n := range 200 {
		text := good(n + 1)
		if n%3 == 2 {
			text = "broken: [\n"
		}
		write(t, file, text)
		signals <- syscall.SIGHUP
	}
	eventually(t, "200 reloads", func() bool { return strings.Count(s.logs.String(), "reloaded") >= 200 })
	stop.Store(true)
	wg.Wait()
	if lost.Load() > 0 || sent.Load() < 200 {
		t.Errorf("%d of %d requests lost", lost.Load(), sent.Load())
	}
	if i.Fetches() > 7 {
		t.Errorf("the keys were fetched %d times, want 5 or little more", i.Fetches())
	}
	eventually(t, fmt.Sprintf("%d goroutines and %d files again", goroutines, files), func() bool {
		return runtime.NumGoroutine() <= goroutines+4 && openFiles(t) <= files+4
	})
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // no such folder on this system: goroutines tell enough
	}
	return len(entries)
}

// While an issuer rotates its keys under load, no token of it is refused, whichever key signed it.
func TestAnIssuerRotatesUnderLoad(t *testing.T) {
	u := newRecorder(t, func(http.ResponseWriter, *http.Request) {})
	i := issuertest.New(t, "ES256")
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, file, fmt.Sprintf("issuers: [{issuer: %q, audiences: [gateway], algorithms: [ES256], discovery_url: %q, ca_file: %q, cooldown: 1s}]\n", i.URL, i.Discovery(), i.CAFile))
	s, _ := startReloading(t, u.URL, "ENVGATE_POLICY="+file)
	eventually(t, "keys", func() bool { return s.value(`envgate_keys{issuer="`+i.URL+`"}`) == "1" })
	var current atomic.Value
	current.Store(i.Sign(t, map[string]any{"aud": "gateway"}))
	var wg sync.WaitGroup
	var stop atomic.Bool
	var sent, lost atomic.Int64
	for range 4 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for !stop.Load() {
				r, _ := http.NewRequest(http.MethodGet, "http://"+s.addr+"/tools", nil)
				r.Header.Set("Authorization", "Bearer "+current.Load().(string))
				res, err := client.Do(r)
				if sent.Add(1); err != nil || res.StatusCode != 200 {
					lost.Add(1)
				}
				if err == nil {
					res.Body.Close()
				}
			}
		})
	}
	for range 3 {
		time.Sleep(1200 * time.Millisecond) // longer than the cooldown, as rotations are
		i.Rotate(t, "ES256")
		current.Store(i.Sign(t, map[string]any{"aud": "gateway"}))
	}
	eventually(t, "the last key", func() bool { return s.value(`envgate_keys{issuer="`+i.URL+`"}`) == "4" })
	i.Behave(issuertest.Broken) // down: what is known stays known
	time.Sleep(500 * time.Millisecond)
	stop.Store(true)
	wg.Wait()
	if lost.Load() > 0 || sent.Load() < 500 {
		t.Errorf("%d of %d requests lost", lost.Load(), sent.Load())
	}
}

// What a fetch under way comes to, after a reload removed its issuer, is nothing: no series, no log line.
func TestAnIssuerIsRemovedWhileItsKeysAreFetched(t *testing.T) {
	u := newRecorder(t, nil)
	i := issuertest.New(t, "ES256")
	i.Behave(issuertest.Stall)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, file, fmt.Sprintf("issuers: [{issuer: %q, audiences: [gateway], algorithms: [ES256], jwks_url: %q, ca_file: %q}]\n", i.URL, i.JWKS(), i.CAFile))
	s, _ := startReloading(t, u.URL, "ENVGATE_POLICY="+file)
	eventually(t, "a fetch under way", func() bool { return i.Fetches() == 1 })
	write(t, file, fmt.Sprintf(publicRoute, "/one"))
	eventually(t, "a reload", func() bool { return s.code("/one") == 200 })
	time.Sleep(300 * time.Millisecond) // the fetch is given up, and would be told
	if strings.Contains(s.adminGet("/metrics"), i.URL) || strings.Contains(s.logs.String(), "keys can't be fetched") {
		t.Error("the fetch of a removed issuer is told")
	}
}

// While an issuer is down, its entry and its CA file change: the keys that are known stay known, if the address is the same.
func TestAnIssuersEntryChangesWhileItIsDown(t *testing.T) {
	u := newRecorder(t, nil)
	i := issuertest.New(t, "ES256")
	folder := t.TempDir()
	file, ca := filepath.Join(folder, "policy.yaml"), filepath.Join(folder, "ca.pem")
	certificates, err := os.ReadFile(i.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	write(t, ca, string(certificates))
	entry := func(audiences, algorithms, key, address, more string) string {
		return fmt.Sprintf("issuers: [{issuer: %q, audiences: [%s], algorithms: [%s], %s: %q, ca_file: %q%s}]\n", i.URL, audiences, algorithms, key, address, ca, more)
	}
	first := entry("gateway", "ES256", "jwks_url", i.JWKS(), "")
	write(t, file, first)
	s, _ := startReloading(t, u.URL, "ENVGATE_POLICY="+file)
	eventually(t, "keys", func() bool { return s.value(`envgate_keys{issuer="`+i.URL+`"}`) == "1" })
	own := i.Sign(t, map[string]any{"aud": "gateway"})
	i.Behave(issuertest.Broken)
	for n, row := range []struct {
		name, file, text string
		want             int
	}{
		{"an audience more", file, entry("gateway, more", "ES256", "jwks_url", i.JWKS(), ""), 200},
		{"another cooldown and interval", file, entry("gateway", "ES256", "jwks_url", i.JWKS(), ", cooldown: 1s, refresh: 1h"), 200},
		{"an algorithm more", file, entry("gateway", "ES256, RS256", "jwks_url", i.JWKS(), ""), 200},
		{"the environment rule", file, entry("gateway", "ES256", "jwks_url", i.JWKS(), ", environment: check"), 200},
		{"the CA file's text", ca, string(certificates) + string(certificates), 200},
		{"another address", file, entry("gateway", "ES256", "discovery_url", i.Discovery(), ""), 503},
	} {
		write(t, row.file, row.text)
		eventually(t, row.name+": a reload", func() bool { return s.value(`envgate_reloads_total{result="success"}`) == fmt.Sprint(n+1) })
		if res, body := s.get("/tools", "Authorization: Bearer "+own); res.StatusCode != row.want {
			t.Errorf("%s: %d %s, want %d", row.name, res.StatusCode, body, row.want)
		}
	}
}

// The readiness of the sidecar is that of the gateway's own keys; further issuers without keys are listed.
func TestAnIssuerWithoutKeysRefusesOnlyItsOwn(t *testing.T) {
	u := newRecorder(t, nil)
	i := issuertest.New(t, "ES256")
	i.Behave(issuertest.Broken)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, file, fmt.Sprintf("issuers: [{issuer: %q, audiences: [gateway], algorithms: [ES256], jwks_url: %q, ca_file: %q}]\n", i.URL, i.JWKS(), i.CAFile))
	s, _ := startReloading(t, u.URL, "ENVGATE_POLICY="+file)
	res, body := s.get("/tools", "Authorization: Bearer "+i.Sign(t, map[string]any{"aud": "gateway"}))
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "keys_unavailable") {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
	if res, _ := s.get("/tools", "Authorization: Bearer "+token(t, jwt.MapClaims{})); res.StatusCode != 200 {
		t.Errorf("the gateway's own: %d", res.StatusCode)
	}
	code, text := s.adminStatus("GET", "/readyz?verbose")
	if want := "issuer " + authz.Printable(i.URL) + ": failed (0 keys)\n"; code != 200 || !strings.Contains(text, want) {
		t.Errorf("%d %s", code, text)
	}
	eventually(t, "failures counted", func() bool { return s.value(`envgate_key_fetch_failures_total{issuer="`+i.URL+`"}`) != "0" })
	if strings.Count(s.logs.String(), "keys can't be fetched") != 1 {
		t.Errorf("the same failure is logged more than once:\n%s", s.logs)
	}
}

// Two sidecars with one secret show one fingerprint, and another after a change.
func TestFingerprintsFollowTheKeys(t *testing.T) {
	u := newRecorder(t, nil)
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, strings.Repeat("first-", 8))
	settings := []string{"JWT_SECRET_KEY=", "JWT_SECRET_KEY_FILE=" + file, "ENVGATE_KEY_FINGERPRINT=true"}
	s, _ := startReloading(t, u.URL, settings...)
	print := func(s *sidecar, slot string) string {
		_, line, _ := strings.Cut(s.adminGet("/metrics"), `envgate_key_fingerprint{fingerprint="`)
		for ; line != ""; _, line, _ = strings.Cut(line, `envgate_key_fingerprint{fingerprint="`) {
			if text, rest, _ := strings.Cut(line, `"`); strings.HasPrefix(rest, `,slot="`+slot+`"} 1`) {
				return text
			}
		}
		return ""
	}
	within(t, time.Minute, "a fingerprint", func() bool { return print(s, "current") != "" })
	first := print(s, "current")
	other := startSidecar(t, u.URL, append(settings, "ENVGATE_ENVIRONMENT=staging", "DERIVE_KEY_PER_ENVIRONMENT=true")...)
	within(t, time.Minute, "the same", func() bool { return print(other, "current") == first })
	write(t, file, strings.Repeat("second", 8))
	within(t, time.Minute, "another, and the former one as additional", func() bool {
		return print(s, "current") != "" && print(s, "current") != first && print(s, "additional") == first
	})
}
