//go:build linux || darwin

package proxy

import (
	"math"
	"syscall"
)

// allowedDescriptors is how many files the process may have open; the runtime raised the soft limit to the hard one.
func allowedDescriptors() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxUint64
	}
	return limit.Cur
}
