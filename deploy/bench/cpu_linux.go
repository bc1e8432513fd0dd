package main

import (
	"syscall"
	"time"
	"unsafe"
)

// cpu is the time that the kernel counted for the whole process, user and system, to the nanosecond: the CPU clock of another
// process (clock_getcpuclockid(3)). It counts threads that have ended, too, which /proc/PID/task doesn't.
func (p *process) cpu() (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED in the kernel's include/linux/posix-timers.h
	clock := int32(^p.cmd.Process.Pid<<3 | scheduled)
	var t syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, p.failure(errno)
	}
	return time.Duration(t.Nano()), nil
}
