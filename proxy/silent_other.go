//go:build !unix

package proxy

// silent can't be told here, so that no connection serves a second request.
func (c *connection) silent() bool { return false }
