//go:build faults

package faults

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"envgate/deploy/processtest"

	"github.com/golang-jwt/jwt/v5"
)

// steppable builds the binary with a wall clock of its own, which signals set. No kernel can give one process another wall
// clock, and no library gets between Go and the kernel's, so the standard library's time.Now gets an offset.
func steppable(t *testing.T) (binary string) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	now := filepath.Join(strings.TrimSpace(string(out)), "src", "time", "time.go")
	source, err := os.ReadFile(now)
	if err != nil {
		t.Fatal(err)
	}
	const read = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(source), read) != 1 {
		t.Fatalf("time.Now of this Go is another one: look at %s", now)
	}
	changed := strings.Replace(string(source), read, read+"\tsec += stepped.Load()\n", 1)
	folder := t.TempDir()
	files := map[string]string{
		"time.go": changed,
		"step.go": "package time\n\nimport \"sync/atomic\"\n\nvar stepped atomic.Int64\n\nfunc Step(seconds int64) { stepped.Add(seconds) }\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	signals, err := filepath.Abs("testdata/step.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	overlay, _ := json.Marshal(map[string]map[string]string{"Replace": {
		now: filepath.Join(folder, "time.go"), filepath.Join(filepath.Dir(now), "step.go"): filepath.Join(folder, "step.go"), filepath.Join(root, "step.go"): signals,
	}})
	if err := os.WriteFile(filepath.Join(folder, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err = processtest.Build(folder, "-pgo=off", "-overlay", filepath.Join(folder, "overlay.json"))
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// clockStepped: half of the load has tokens of half an hour, half of them tokens of two hours.
func clockStepped(t *testing.T) row {
	s := stand(t, 300, processtest.Command{Binary: steppable(t)})
	short := processtest.Token(t, jwt.MapClaims{"exp": time.Now().Add(30 * time.Minute).Unix()})
	young := processtest.Token(t, jwt.MapClaims{"iat": time.Now().Unix(), "nbf": time.Now().Add(-time.Minute).Unix()})
	long := s.token
	ask := func(token string) int { return s.load.ask("/tools", token) }
	s.want("all tokens are good at first", ask(short) == 200 && ask(young) == 200 && ask(long) == 200)
	s.p.Signal(syscall.SIGUSR1)
	eventually(t, "an hour ahead, the short token has expired", func() bool { return ask(short) == 401 })
	s.want("the long one hasn't", ask(long) == 200)
	time.Sleep(*hold)
	s.p.Signal(syscall.SIGUSR2)
	eventually(t, "back, the short token is good again", func() bool { return ask(short) == 200 })
	s.load.broken(10 * time.Second)
	s.p.Signal(syscall.SIGUSR2)
	eventually(t, "an hour behind, a young token isn't valid yet", func() bool { return ask(young) == 401 })
	time.Sleep(200 * time.Millisecond)
	s.p.Signal(syscall.SIGUSR1)
	back := s.recovered()
	s.load.whole()
	counted := s.counted(`envgate_decisions_total{decision="refused",reason="expired"}`, `envgate_decisions_total{decision="refused",reason="not_yet_valid"}`)
	time.Sleep(500 * time.Millisecond)
	seen := s.load.seen()
	s.end()
	return row{"", "an hour ahead: tokens that end within the hour 401 `expired`, others as before; an hour behind: young tokens 401 `not_yet_valid`; on time again: " + seen,
		counted, "nothing; remembered verdicts are judged by the clock, too. Well again " + after(back)}
}
