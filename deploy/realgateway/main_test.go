//go:build realgateway

// Package realgateway puts the built envgate before real ContextForge gateways, 0.9.0 and 1.0.7, and uses both as
// their clients do: API calls, the Admin UI in a browser, MCP sessions, a WebSocket, API tokens. Every scenario is
// tried directly too, so that a difference is the sidecar's.
//
//	go test -tags realgateway ./deploy/realgateway/ -v -timeout 20m
//
// It needs Linux, Python 3.11 or newer with venv, and Debian's Chromium, and fails without them: a scenario that didn't
// run has shown nothing. The first run installs the gateways below ENVGATE_TEST_CACHE, by default envgate-realgateway in
// the user's cache folder. Screenshots of the Admin UI go to ENVGATE_TEST_SCREENSHOTS, by default a new temporary folder.
// TestDifferential sends ENVGATE_TEST_REQUESTS generated requests of ENVGATE_TEST_SEED to each release.
package realgateway

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// work is the folder of this run: the binary, and what the gateways write.
var work string

// binary is envgate, built for this run.
var binary string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if work, err = os.MkdirTemp("", "envgate-realgateway-"); err != nil {
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
	code := m.Run()
	for _, p := range processes {
		p.stop()
	}
	if leaked() {
		fmt.Fprintln(os.Stderr, "FAIL: a token is in the log of a sidecar")
		code = 1
	}
	return code
}

// leaked looks for tokens in what the sidecars wrote, at their most talkative: each starts with the same three letters.
func leaked() bool {
	return slices.ContainsFunc(processes, func(p *process) bool {
		return p.cmd.Path == binary && strings.Contains(p.log.String(), "eyJ")
	})
}
