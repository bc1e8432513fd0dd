package proxy

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// goingAway is the close code of a server that shuts down (RFC 6455, section 7.4.1).
const goingAway = 1001

// webSocket is the upstream's side of an upgraded connection. It follows the frames of both directions so far that a
// close frame can be put between two of them.
type webSocket struct {
	conn io.ReadWriteCloser

	mu         sync.Mutex
	fromServer frames
	ending     bool   // a close frame shall follow the current frame
	code       uint16 // in that close frame
	closing    []byte
	finished   bool

	writing    sync.Mutex // the proxy's copying, and the close frame
	fromClient frames
	aborted    atomic.Bool
}

func (e *exchange) openWebSocket(res *http.Response) {
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok {
		return // ReverseProxy answers 502
	}
	s := &webSocket{conn: conn}
	res.Body = s
	e.openStream("websocket", s)
}

// end closes the connection with a close code on both sides: at once when no frame is under way from the server, else behind
// that frame.
func (s *webSocket) end(code uint16) {
	if s.writing.TryLock() { // else the upstream doesn't take what the client sends
		if s.fromClient.between() {
			_, _ = s.conn.Write(closeFrame(true, code))
			s.fromClient = frames{broken: true} // nothing may follow a close frame
		}
		s.writing.Unlock()
	}

	s.mu.Lock()
	if !s.ending {
		s.ending, s.code = true, code
	}
	idle := s.fromServer.between()
	s.mu.Unlock()
	if idle {
		_ = s.conn.Close() // wakes a Read that waits for the server
	}
}

// Read carries the server's frames to the client.
func (s *webSocket) Read(p []byte) (int, error) {
	s.mu.Lock()
	if s.ending && !s.finished && s.fromServer.between() {
		s.closing, s.finished = closeFrame(false, s.code), true
	}
	if s.finished {
		defer s.mu.Unlock()
		return s.readClosing(p)
	}
	s.mu.Unlock()

	n, err := s.conn.Read(p)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		n = s.fromServer.followFrame(p[:n])
	} else {
		s.fromServer.follow(p[:n])
	}
	if err != nil && s.ending && s.fromServer.between() {
		s.closing, s.finished = closeFrame(false, s.code), true
		if n == 0 {
			return s.readClosing(p)
		}
		err = nil
	}
	return n, err
}

func (s *webSocket) readClosing(p []byte) (int, error) {
	if len(s.closing) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.closing)
	s.closing = s.closing[n:]
	return n, nil
}

// Write carries the client's frames to the server.
func (s *webSocket) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.aborted.Load() {
		return 0, net.ErrClosed
	}
	if s.fromClient.broken {
		return len(p), nil // behind our close frame: the client's own close and what it had under way
	}
	n, err := s.conn.Write(p)
	s.fromClient.follow(p[:n])
	return n, err
}

// CloseWrite passes a client's half close on: the server may have frames left to send.
func (s *webSocket) CloseWrite() error {
	if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// Close implements io.Closer.
func (s *webSocket) Close() error { return s.conn.Close() }

// abort breaks the connection to the server off, whatever is under way, and takes no more of the client.
func (s *webSocket) abort() {
	s.aborted.Store(true)
	_ = s.conn.Close()
}

// closeFrame is a close frame with a code; a client's is masked (RFC 6455, section 5.3).
func closeFrame(masked bool, number uint16) []byte {
	code := binary.BigEndian.AppendUint16(nil, number)
	if !masked {
		return append([]byte{0x88, 2}, code...)
	}
	mask := binary.BigEndian.AppendUint32(nil, rand.Uint32())
	return append(append([]byte{0x88, 0x80 | 2}, mask...), code[0]^mask[0], code[1]^mask[1])
}

// frames follows one direction of a WebSocket connection (RFC 6455, section 5.2), to know where a frame ends.
type frames struct {
	header  [14]byte
	have    int    // header bytes so far
	payload uint64 // payload bytes still to come
	broken  bool
}

// between tells whether no frame is under way.
func (f *frames) between() bool { return f.have == 0 && f.payload == 0 && !f.broken }

// followFrame follows b to the end of the frame under way, and returns how many bytes that were.
func (f *frames) followFrame(b []byte) int {
	for i := range b {
		if f.between() {
			return i
		}
		if f.payload > 0 && f.payload >= uint64(len(b)-i) { // the rest belongs to this frame
			f.payload -= uint64(len(b) - i)
			return len(b)
		}
		f.follow(b[i : i+1])
	}
	return len(b)
}

// follow takes note of bytes that passed.
func (f *frames) follow(b []byte) {
	for len(b) > 0 {
		if f.payload > 0 {
			n := min(f.payload, uint64(len(b)))
			f.payload -= n
			b = b[n:]
			continue
		}
		f.header[f.have] = b[0]
		f.have++
		b = b[1:]
		if f.have >= 2 && f.have == f.headerLength() {
			f.payload = f.payloadLength()
			f.have = 0
		}
	}
}

func (f *frames) headerLength() int {
	n := 2
	switch f.header[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.header[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func (f *frames) payloadLength() uint64 {
	switch n := f.header[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.header[2:])
	default:
		return uint64(n)
	}
}
