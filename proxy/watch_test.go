//go:build unix

package proxy

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe in the place of a file, or of the web configuration, is a broken configuration like any other. It holds up neither
// the next reload nor the stop.
func TestAPipeInThePlaceOfAFile(t *testing.T) {
	u := newRecorder(t, nil)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, file, fmt.Sprintf(publicRoute, "/one"))
	s, signals := startReloading(t, u.URL, "ENVGATE_POLICY="+file)
	pipe := file + ".pipe"
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Rename(pipe, file); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an error", func() bool { return strings.Contains(s.logs.String(), "not a regular file") })
	signals <- syscall.SIGHUP
	eventually(t, "another one", func() bool { return s.value(`envgate_reloads_total{result="failure"}`) == "2" })
	if s.code("/one") != 200 {
		t.Error("the former policy is not in force")
	}
	write(t, file, fmt.Sprintf(publicRoute, "/two"))
	eventually(t, "a reload", func() bool { return s.code("/two") == 200 })
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readWebConfig(pipe); err == nil || !strings.HasSuffix(err.Error(), ": not a regular file") {
		t.Errorf("got %v", err)
	}
}
