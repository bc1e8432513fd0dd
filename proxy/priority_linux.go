package proxy

import "syscall"

// lowerPriority makes this thread the last to get the processor (setpriority(2): 0 is the calling thread).
func lowerPriority() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19) }
