package jwks

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a goroutine is left behind: a key set that is no longer wanted must stop being fetched.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
