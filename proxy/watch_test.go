//go:build unix

package proxy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Another file that changes all the time puts a reload off by a second or so, not until the next look in 30.
func TestABusyFolder(t *testing.T) {
	u := newRecorder(t, nil)
	folder := t.TempDir()
	file := filepath.Join(folder, "policy.yaml")
	write(t, file, fmt.Sprintf(publicRoute, "/one"))
	s, _ := startReloading(t, u.URL, "ENVGATE_POLICY="+file)
	done := make(chan struct{})
	var busy sync.WaitGroup
	defer busy.Wait()
	defer close(done)
	busy.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(settle / 10):
				_ = os.WriteFile(filepath.Join(folder, "log"), []byte(fmt.Sprint(n)), 0o600)
			}
		}
	})
	time.Sleep(settle)
	write(t, file, fmt.Sprintf(publicRoute, "/two"))
	eventually(t, "a reload", func() bool { return s.code("/two") == 200 })
}

// A file that changes between the first reading and the start is read again.
func TestAChangeBeforeTheStart(t *testing.T) {
	u := newRecorder(t, nil)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, file, fmt.Sprintf(publicRoute, "/one"))
	s := newSidecar(t, u.URL, "ENVGATE_POLICY="+file)
	write(t, file, fmt.Sprintf(publicRoute, "/two"))
	s.run(t, s.parse)
	eventually(t, "a reload", func() bool { return s.code("/two") == 200 && s.code("/one") == 401 })
}

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
