//go:build !linux

package processtest

import "syscall"

// endsWithUs can't be asked of this kernel: a test that ends by itself ends its processes.
var endsWithUs *syscall.SysProcAttr
