//go:build faults

// Package faults breaks everything around the built binary while it is under load, and says what clients saw, what was counted
// and what was lost; and it looks whether half an hour of all that at once leaves anything behind.
//
//	go test -tags faults ./deploy/faults/ -v                                      every fault for a second, and a soak of ten
//	go test -tags faults ./deploy/faults/ -v -run Faults -hold 30s -timeout 60m    each of them for longer
//	go test -tags faults ./deploy/faults/ -v -run Soak -soak 30m -timeout 60m      the soak
//
// With -update the tables go into docs/reliability.md. Load goes to loopback only, at a fixed rate.
package faults

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"envgate/deploy/processtest"
)

var (
	update = flag.Bool("update", false, "write the tables into docs/reliability.md")
	hold   = flag.Duration("hold", time.Second, "how long each fault lasts")
	soak   = flag.Duration("soak", 0, "how long the soak lasts; 0: ten seconds, to see that it works")
)

// binary is the built envgate, as it is shipped.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	folder, err := os.MkdirTemp("", "envgate-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	if binary, err = processtest.Build(folder, "-trimpath"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// eventually waits for what others bring about, and says how long it took.
func eventually(t *testing.T, what string, condition func() bool) time.Duration {
	t.Helper()
	started := time.Now()
	for !condition() {
		if time.Since(started) > 20*time.Second {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(started)
}
