package proxy

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// A deny-list is in force within a moment of its change, for tokens that were accepted before, too; a broken one changes
// nothing. The change is behind the first 4 MiB.
func TestTheDenyListIsReloaded(t *testing.T) {
	var long strings.Builder
	for i := range 120_000 {
		fmt.Fprintf(&long, "jti 3f2504e0-4f89-41d3-9a0c-%012d\n", i)
	}
	u := newRecorder(t, nil)
	file := filepath.Join(t.TempDir(), "denied")
	write(t, file, long.String()+"jti another\n")
	s, _ := startReloading(t, u.URL, "ENVGATE_DENY_LIST="+file)
	stolen := token(t, jwt.MapClaims{"jti": "stolen"})
	expect := func(what string, code int, entries string) {
		t.Helper()
		eventually(t, what, func() bool {
			res, _ := s.get("/tools", bearer(stolen))
			return res.StatusCode == code && s.value(`envgate_deny_list_entries{kind="jti"}`) == entries
		})
	}
	expect("accepted before", 200, "120001")
	write(t, file, long.String()+"jti stolen \n") // of the same length
	expect("revoked", 401, "120001")

	res, body := s.get("/tools", bearer(stolen))
	if p := decodeProblem(t, body); p.Reason != "revoked" || p.Detail != "Token has been revoked" || !strings.Contains(res.Header.Get("WWW-Authenticate"), "revoked") {
		t.Errorf("got %s, %v", body, res.Header)
	}
	if res, _ := s.get("/tools", bearer(token(t, nil))); res.StatusCode != 200 {
		t.Errorf("another token: %d", res.StatusCode)
	}

	write(t, file, "jti another\nstolen\n")
	eventually(t, "the broken list is refused", func() bool { return strings.Contains(s.logs.String(), `line 2: \"stolen\": want jti VALUE`) })
	expect("the former list stays in force", 401, "120001")
	write(t, file, "# nobody\n")
	expect("accepted again", 200, "0")
}

// A list that a reload replaced takes no memory any more, the first one neither.
func TestAFormerDenyListGoes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "denied")
	write(t, file, "jti first\n")
	s, _ := startReloading(t, "http://127.0.0.1:1", "ENVGATE_DENY_LIST="+file)
	s.config = nil // the test's own
	var gone atomic.Int32
	for n := range 3 {
		runtime.AddCleanup(s.proxy.config().DenyList(), func(int) { gone.Add(1) }, n)
		write(t, file, fmt.Sprintf("jti next\njti %d\n", n))
		eventually(t, "the reload", func() bool {
			return s.value(`envgate_reloads_total{result="success"}`) == fmt.Sprint(n+1)
		})
	}
	eventually(t, "three lists are gone", func() bool {
		runtime.GC()
		return gone.Load() == 3
	})
}

func TestRevokedTokensAreReportedInReportMode(t *testing.T) {
	u := newRecorder(t, nil)
	file := filepath.Join(t.TempDir(), "denied")
	write(t, file, "sub user@example.com before 2999-01-01T00:00:00Z\n")
	s := startSidecar(t, u.URL, "ENVGATE_DENY_LIST="+file, "ENVGATE_MODE=report")
	if res, _ := s.get("/tools", bearer(token(t, nil))); res.StatusCode != 200 {
		t.Errorf("got %d, want 200", res.StatusCode)
	}
	if got := s.value(`envgate_decisions_total{decision="reported",reason="revoked"}`); got != "1" {
		t.Errorf("counted %s", got)
	}
	if got := s.value(`envgate_deny_list_entries{kind="sub"}`); got != "1" {
		t.Errorf("%s entries", got)
	}
}
