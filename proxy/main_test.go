package proxy

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a goroutine is left behind: what a sidecar leaks at each reload or stream, it leaks for months.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
