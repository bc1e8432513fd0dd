package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"syscall"
	"time"
)

const (
	connectionBuffer = 4 << 10
	maxAnswerHeader  = 1 << 20 // in bytes, informational answers included
)

var errHeaderTooLong = errors.New("the header of the upstream's answer is too long")

// connection is one connection to the upstream, in use by one request at a time.
type connection struct {
	net.Conn
	home *connections

	encrypted bool
	socket    syscall.RawConn // nil where the system can't look into it
	in        *bufio.Reader
	out       *bufio.Writer
	look      func(fd uintptr) bool
	quiet     bool // what look saw
	unread    int  // bytes that the answer's header may still be long
	began     bool // something of the answer has arrived
	reused    bool
	since     time.Time // when it became idle
}

func newConnection(conn net.Conn, home *connections) *connection {
	c := &connection{Conn: conn, home: home, out: bufio.NewWriterSize(conn, connectionBuffer)}
	c.in = bufio.NewReaderSize(c, connectionBuffer)
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn, c.encrypted = encrypted.NetConn(), true
	}
	if s, ok := conn.(syscall.Conn); ok {
		c.socket, _ = s.SyscallConn()
	}
	return c
}

// deciphered tells whether TLS holds bytes that were read and not asked for. A time-out is no lasting error there.
func (c *connection) deciphered() bool {
	if !c.encrypted {
		return false
	}
	_ = c.SetReadDeadline(time.Unix(1, 0))
	var b [1]byte
	n, _ := c.Conn.Read(b[:])
	_ = c.SetReadDeadline(time.Time{})
	return n > 0
}

// Read implements io.Reader below the buffer.
func (c *connection) Read(p []byte) (int, error) {
	if c.unread <= 0 {
		return 0, errHeaderTooLong
	}
	n, err := c.Conn.Read(p[:min(len(p), c.unread)])
	c.unread -= n
	c.began = c.began || n > 0
	return n, err
}

// abort makes whoever reads or writes return.
func (c *connection) abort() { _ = c.Close() }

// receive reads answers until the last one, and shows the informational ones (RFC 9110, section 15.2) to whoever wants them.
func (c *connection) receive(r *http.Request) (*http.Response, error) {
	for {
		res, err := http.ReadResponse(c.in, r)
		switch {
		case err != nil && c.unread <= 0:
			return nil, errHeaderTooLong
		case err != nil:
			return nil, err
		}
		if res.StatusCode < 100 || res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			c.unread = math.MaxInt
			return res, nil
		}
		if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header)); err != nil {
				return nil, err
			}
		}
	}
}

func (c *connection) write(r *http.Request) error {
	if err := r.Write(c.out); err != nil {
		return err
	}
	return c.out.Flush()
}
