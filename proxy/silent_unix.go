//go:build unix

package proxy

import "syscall"

// silent tells whether an idle connection is open and nothing has arrived on it: an answer to no request would be taken
// for the next one's.
func (c *connection) silent() bool {
	if c.socket == nil || c.in.Buffered() > 0 || c.deciphered() {
		return false
	}
	if c.look == nil {
		c.look = c.peek
	}
	return c.socket.Read(c.look) == nil && c.quiet
}

func (c *connection) peek(fd uintptr) bool {
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	c.quiet = err == syscall.EAGAIN //nolint:errorlint // an errno, as the system call returns it
	return true
}
