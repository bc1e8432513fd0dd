package proxy

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"envgate/authz"
)

// cgroupLimits are where the kernel says how much memory a container may use, below its root: version 2 and 1 (Linux,
// Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst).
var cgroupLimits = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// releaseList gives back what reading a deny-list took, and a former one: the collector would keep twice of what is in use, for
// as long as nothing else needs it.
func releaseList(lists ...*authz.DenyList) {
	for _, l := range lists {
		if ids, subjects := l.Size(); ids+subjects > 0 {
			debug.FreeOSMemory()
			return
		}
	}
}

// LimitMemory lets the garbage collector know the container's memory limit, in bytes: it works harder near nine tenths of it,
// where the kernel would end the process at the whole. GOMEMLIMIT wins. root is / but for tests. It returns the limit in force,
// math.MaxInt64 without any; the number of processors is the runtime's own business since Go 1.25.
func LimitMemory(root string) int64 {
	if os.Getenv("GOMEMLIMIT") != "" {
		return debug.SetMemoryLimit(-1)
	}
	for _, file := range cgroupLimits {
		text, err := os.ReadFile(root + file)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil || limit <= 0 || limit > math.MaxInt64/2 { // "max", and version 1's way to say it
			continue
		}
		debug.SetMemoryLimit(limit / 10 * 9)
		break
	}
	return debug.SetMemoryLimit(-1)
}
