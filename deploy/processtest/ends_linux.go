package processtest

import "syscall"

// endsWithUs has the kernel end a process when the tests are killed.
var endsWithUs = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
