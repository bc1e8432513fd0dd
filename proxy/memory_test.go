package proxy

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestTheContainersMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for _, row := range []struct {
		name, file, text, variable string
		want                       int64
	}{
		{"version 2", cgroupLimits[0], "67108864\n", "", 60397974},
		{"version 1", cgroupLimits[1], "67108864\n", "", 60397974},
		{"version 2 without a limit", cgroupLimits[0], "max\n", "", math.MaxInt64},
		{"version 1 without a limit", cgroupLimits[1], "9223372036854771712\n", "", math.MaxInt64},
		{"no container", "/other", "", "", math.MaxInt64},
		{"not a number", cgroupLimits[0], "lots\n", "", math.MaxInt64},
		{"GOMEMLIMIT wins", cgroupLimits[0], "67108864\n", "32MiB", math.MaxInt64}, // which the runtime read at its start
	} {
		t.Run(row.name, func(t *testing.T) {
			debug.SetMemoryLimit(math.MaxInt64)
			t.Setenv("GOMEMLIMIT", row.variable)
			root := t.TempDir()
			if err := os.MkdirAll(filepath.Dir(root+row.file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+row.file, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := LimitMemory(root); got != row.want || debug.SetMemoryLimit(-1) != got {
				t.Errorf("%d in force, want %d", got, row.want)
			}
		})
	}
}
