//go:build browser

// Package statuspage looks at the status page of the built envgate in a headless Chromium, before and after real traffic.
//
//	go test -tags browser ./deploy/statuspage/ -v
//
// It needs Linux, Debian's Chromium and npm, which fetches axe-core once below ENVGATE_TEST_CACHE, by default
// envgate-statuspage in the user's cache folder. Screenshots go to ENVGATE_TEST_SCREENSHOTS, by default a new temporary
// folder.
package statuspage

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// work is the folder of this run, binary the envgate built for it.
var work, binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if work, err = os.MkdirTemp("", "envgate-statuspage-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(work)
	binary = filepath.Join(work, "envgate")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "envgate")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building envgate failed:", err)
		return 1
	}
	return m.Run()
}
