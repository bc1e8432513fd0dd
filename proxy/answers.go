package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"

	"envgate/metrics"
)

// upstreamConn is a connection to the upstream that ends where an answer has bytes behind it. net/http looks for such bytes
// only after it has offered the connection to the next request, which could then take them for its answer: a body behind a
// 204 would go to whoever asks next.
type upstreamConn struct {
	net.Conn
	metrics *metrics.Metrics
	asked   atomic.Bool // something was sent since the last answer ended
	head    atomic.Bool // what is asked for is an answer to HEAD
	answers answers     // of the one goroutine that reads
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

// followed dials connections whose answers are followed.
func followed(to dial, m *metrics.Metrics) dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := to(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &upstreamConn{Conn: conn, metrics: m}, nil
	}
}

// announced tells the connection that a request gets that it is a HEAD: its answer has no body, whatever its length.
func announced(r *http.Request) *http.Request {
	if r.Method != http.MethodHead {
		return r
	}
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if c, ok := got.Conn.(*upstreamConn); ok {
			c.head.Store(true)
		}
	}}))
}

// Write implements net.Conn.
func (c *upstreamConn) Write(p []byte) (int, error) {
	c.asked.Store(true)
	return c.Conn.Write(p)
}

// Read returns the bytes up to the end of the answer under way, with io.EOF if there are more: then net/http uses the
// connection no more. An answer that the upstream breaks off is counted.
func (c *upstreamConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.asked.Load() {
		return 0, io.EOF // nothing was asked for
	}
	used, ended := c.answers.follow(p[:n], c.head.Load())
	if ended {
		c.asked.Store(false)
		c.head.Store(false)
		if used < n {
			return used, io.EOF
		}
	}
	if err != nil && c.answers.cutOffBy(err) && !errors.Is(err, net.ErrClosed) { // else envgate itself closed it
		c.metrics.UpstreamError("reset")
	}
	return n, err
}

// CloseWrite passes a half close on.
func (c *upstreamConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// answers follows the answers on one connection (RFC 9112, section 6), as net/http reads them, to know where each ends.
type answers struct {
	state    answerState
	left     uint64   // of the body, or of a chunk
	line     [72]byte // the start of the line under way
	length   int      // of that line
	status   int      // 0: the status line is still to come
	oldest   bool     // HTTP/1.0, where net/http ignores a transfer encoding
	framing  string   // the last header's name, if it frames: its value may go on in a folded line
	body     int64    // Content-Length; -1 without one
	chunked  bool
	bodiless bool // the answer is one to HEAD
}

type answerState int

const (
	inHead     answerState = iota // between answers, too
	inBody                        // of known length
	inSize                        // a chunk's size line
	inChunk                       // with the line end behind it
	inTrailers                    // up to an empty line
	untilClose                    // whatever comes belongs to this answer, or net/http will refuse it
)

// cutOffBy tells whether an error ended the connection within an answer's body.
func (a *answers) cutOffBy(err error) bool {
	switch a.state {
	case inHead:
		return false // before an answer: told to the request that waits for it
	case untilClose:
		return !errors.Is(err, io.EOF)
	}
	return true
}

// follow takes note of bytes that came, of an answer to HEAD or to another method. It returns how many belong to the answer
// under way, and whether they end it.
func (a *answers) follow(p []byte, head bool) (used int, ended bool) {
	a.bodiless = head
	for used < len(p) {
		rest := p[used:]
		switch a.state {
		case untilClose:
			return len(p), false
		case inBody, inChunk:
			n := int(min(a.left, uint64(len(rest))))
			a.left -= uint64(n)
			used += n
			if a.left > 0 {
				continue
			}
			if a.state == inBody {
				return used, a.end()
			}
			a.state = inSize
		default:
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				a.keep(rest)
				return len(p), false
			}
			used += i + 1
			if a.lineEnded(a.whole(rest[:i])) {
				return used, true
			}
		}
	}
	return used, false
}

// keep keeps the start of a line whose end is still to come.
func (a *answers) keep(part []byte) {
	if a.length < len(a.line) {
		copy(a.line[a.length:], part)
	}
	a.length += len(part)
}

// whole is the line that ends with these bytes, without its end; cut off if it came in parts and is longer than any that matters.
func (a *answers) whole(end []byte) (line []byte, cut bool) {
	line = end
	if a.length > 0 {
		a.keep(end)
		line, cut = a.line[:min(a.length, len(a.line))], a.length > len(a.line)
		a.length = 0
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, cut
}

// lineEnded reads a whole line, and tells whether it ends the answer.
func (a *answers) lineEnded(line []byte, cut bool) (ended bool) {
	switch {
	case a.state == inSize:
		a.size(line)
	case a.state == inTrailers:
		return len(line) == 0 && a.end()
	case a.status == 0:
		a.statusLine(line)
	case len(line) == 0:
		return a.headEnded()
	default:
		a.header(line, cut)
	}
	return false
}

func (a *answers) statusLine(line []byte) {
	a.body, a.oldest = -1, bytes.HasPrefix(line, []byte("HTTP/1.0 "))
	if !a.oldest && !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		a.state = untilClose
		return
	}
	code := bytes.TrimLeft(line[len("HTTP/1.1 "):], " ")
	if len(code) < 3 || len(code) > 3 && code[3] != ' ' {
		a.state = untilClose
		return
	}
	n := 0
	for _, c := range code[:3] {
		n = 10*n + int(c-'0')
		if c < '0' || c > '9' {
			n = -1000
		}
	}
	if n < 100 {
		a.state = untilClose
		return
	}
	a.status = n
}

// header looks for what frames. What it can't tell, it leaves to the end of the connection.
func (a *answers) header(line []byte, cut bool) {
	if line[0] == ' ' || line[0] == '\t' { // folded
		if a.framing != "" {
			a.state = untilClose
		}
		return
	}
	a.framing = ""
	if c := line[0] | 0x20; c != 'c' && c != 't' {
		return
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	text := strings.Trim(string(value), " \t")
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil || cut || a.body >= 0 && a.body != int64(n) {
			a.state = untilClose
			return
		}
		a.framing, a.body = "length", int64(n)
	case bytes.EqualFold(name, []byte("Transfer-Encoding")) && !a.oldest:
		if !strings.EqualFold(text, "chunked") || cut || a.chunked {
			a.state = untilClose
			return
		}
		a.framing, a.chunked = "coding", true
	}
}

// headEnded tells whether the head is the whole answer.
func (a *answers) headEnded() (ended bool) {
	switch {
	case a.status == 101:
		a.state = untilClose // no HTTP any more
	case a.status < 200:
		a.end() // and the answer follows
	case a.bodiless || a.status == 204 || a.status == 304 || !a.chunked && a.body == 0:
		return a.end()
	case a.chunked:
		a.state = inSize
	case a.body > 0:
		a.state, a.left = inBody, uint64(a.body)
	default:
		a.state = untilClose
	}
	return false
}

// size reads a chunk's size line.
func (a *answers) size(line []byte) {
	text, _, _ := strings.Cut(string(line), ";")
	n, err := strconv.ParseUint(strings.TrimRight(text, " \t"), 16, 63)
	switch {
	case err != nil:
		a.state = untilClose
	case n == 0:
		a.state = inTrailers
	default:
		a.state, a.left = inChunk, min(n, math.MaxInt64-2)+2
	}
}

func (a *answers) end() bool {
	a.state, a.left, a.length, a.status, a.framing, a.chunked = inHead, 0, 0, 0, "", false
	return true
}
