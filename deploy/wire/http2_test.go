package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"envgate/deploy/processtest"
)

// Frame types and flags (RFC 9113, section 6), written by hand: a library would refuse to send what is tried here.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePing, frameGoAway, frameWindow, frameContinuation = 0, 1, 3, 4, 6, 7, 8, 9
	endStream, endHeaders                                                                                      = 1, 4
	preface                                                                                                    = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

func frame(kind, flags byte, stream uint32, payload string) string {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = append(head, flags)
	return string(binary.BigEndian.AppendUint32(head, stream)) + payload
}

// fields are header fields as HPACK writes them without table and Huffman code (RFC 7541, section 6.2.2): name, value, …
func fields(texts ...string) string {
	var b strings.Builder
	for i, text := range texts {
		if i%2 == 0 {
			b.WriteByte(0)
		}
		if len(text) < 127 {
			b.WriteByte(byte(len(text)))
		} else {
			b.WriteByte(127)
			n := len(text) - 127
			for ; n >= 128; n >>= 7 {
				b.WriteByte(byte(n&127 | 128))
			}
			b.WriteByte(byte(n))
		}
		b.WriteString(text)
	}
	return b.String()
}

// preface begins a connection on which the sidecar may remember no header fields: each answer's status stands there by itself.
func (c *client) preface() { c.send(preface + frame(frameSettings, 0, 0, "\x00\x01\x00\x00\x00\x00")) }

// event is one frame from the sidecar.
type event struct {
	kind, flags byte
	stream      uint32
	payload     string
}

func (c *client) frame() (event, error) {
	head := make([]byte, 9)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return event{}, err
	}
	payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err := io.ReadFull(c.in, payload)
	return event{head[3], head[4], binary.BigEndian.Uint32(head[5:]), string(payload)}, err
}

// outcome words what became of a stream: the status of its answer, reset, or closed with its connection.
func (c *client) outcome(stream uint32) string {
	for {
		e, err := c.frame()
		switch {
		case err != nil, e.kind == frameGoAway && e.payload[7] != 0: // not the polite one
			return "closed"
		case e.kind == frameReset && e.stream == stream:
			return "reset"
		case e.kind == frameHeaders && e.stream == stream:
			return status(e.payload)
		}
	}
}

// status reads the first field of an answer: net/http writes :status first, from the static table or as a literal.
func status(block string) string {
	for len(block) > 0 && block[0]&0xe0 == 0x20 { // a new size of the table
		block = block[1:]
	}
	if block == "" {
		return "no status"
	}
	if known, ok := map[byte]string{0x88: "200", 0x8c: "400", 0x8d: "404", 0x8e: "500"}[block[0]]; ok {
		return known
	}
	if block[1]&0x80 != 0 { // Huffman: digits are codes of five or six bits
		return huffmanDigits(block[2 : 2+block[1]&0x7f])
	}
	return block[2 : 2+block[1]]
}

// huffmanDigits decodes digits (RFC 7541, appendix B): 0, 1 and 2 have five bits, the others six.
func huffmanDigits(code string) (digits string) {
	bits := ""
	for _, b := range []byte(code) {
		bits += fmt.Sprintf("%08b", b)
	}
	table := map[string]string{"00000": "0", "00001": "1", "00010": "2", "011001": "3", "011010": "4", "011011": "5", "011100": "6", "011101": "7", "011110": "8", "011111": "9"}
	for i := 0; i < len(bits); {
		if d, ok := table[bits[i:min(i+5, len(bits))]]; ok {
			digits, i = digits+d, i+5
		} else if d, ok := table[bits[i:min(i+6, len(bits))]]; ok {
			digits, i = digits+d, i+6
		} else {
			break
		}
	}
	return digits
}

// request is the block of a request: pseudo header fields, an accepted token, and more fields.
func requestBlock(t *testing.T, method, path string, more ...string) string {
	return fields(append([]string{":method", method, ":scheme", "http", ":path", path, ":authority", "h", "authorization", "Bearer " + processtest.Token(t, nil)}, more...)...)
}

// TestHTTP2 sends requests by prior knowledge. Each row is one connection; a second stream behind it must still be judged by
// itself, and what arrives upstream has one meaning.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, nil)
	p := start(t, u)
	good := func(more ...string) string { return requestBlock(t, "GET", "/tools", more...) }
	post := func(more ...string) string { return requestBlock(t, "POST", "/tools", more...) }
	whole := func(block string) string { return frame(frameHeaders, endStream|endHeaders, 1, block) }
	open := func(block string, frames ...string) string {
		return frame(frameHeaders, endHeaders, 1, block) + strings.Join(frames, "")
	}
	data := func(flags byte, text string) string { return frame(frameData, flags, 1, text) }
	token := "Bearer " + processtest.Token(t, nil)
	for _, row := range []struct{ name, frames, outcome, upstream string }{ // upstream: one of these, separated by |
		{"an accepted request", whole(good()), "200", `GET /tools ""`},
		{"one without a token", whole(fields(":method", "GET", ":scheme", "http", ":path", "/tools", ":authority", "h")), "401", ""},
		{"a body without a length goes on in chunks", open(post(), data(endStream, "abcd")), "200", `POST /tools "abcd"`},
		{"a body of its length", open(post("content-length", "4"), data(endStream, "abcd")), "200", `POST /tools "abcd"`},
		{"a body shorter than its length", open(post("content-length", "5"), data(endStream, "abcd")), "400", ""},
		{"a body longer than its length", open(post("content-length", "3"), data(endStream, "abcd")), "reset", ""},
		{"a length without a body is none", whole(post("content-length", "4")), "200", `POST /tools ""`},
		{"of two lengths the second goes nowhere", open(post("content-length", "4", "content-length", "9"), data(endStream, "abcd")), "200", `POST /tools "abcd"`},
		{"a signed length is none, and may have gone on before the body came", open(post("content-length", "+4"), data(endStream, "abcd")), "reset", `|POST /tools ""`},
		{"a transfer encoding", open(post("transfer-encoding", "chunked"), data(endStream, "0\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n")), "400", ""},
		{"a connection header", whole(good("connection", "keep-alive")), "400", ""},
		{"an upgrade header", whole(good("upgrade", "websocket")), "400", ""},
		{"a te header other than trailers", whole(good("te", "gzip")), "400", ""},
		{"CRLF in a value", whole(good("x-a", "b\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n")), "reset", ""},
		{"LF in a value", whole(good("x-a", "b\ntransfer-encoding: chunked")), "reset", ""},
		{"a NUL in a value", whole(good("x-a", "b\x00c")), "reset", ""},
		{"CRLF in a name", whole(good("x-a: b\r\nx-b", "c")), "reset", ""},
		{"a colon in a name", whole(good("x-a:", "c")), "reset", ""},
		{"an upper-case name", whole(good("X-A", "b")), "reset", ""},
		{"a space in a path", whole(requestBlock(t, "GET", "/tools HTTP/1.1\r\nX: y")), "reset", ""},
		{"a space and a version in a path", whole(requestBlock(t, "GET", "/tools HTTP/1.1")), "400", ""},
		{"CRLF in a method", whole(requestBlock(t, "GET /evil HTTP/1.1\r\nHost: h\r\n\r\nGET", "/tools")), "reset", ""},
		{"a space in a method", whole(requestBlock(t, "GET /evil", "/tools")), "405", ""},
		{"an empty path", whole(requestBlock(t, "GET", "")), "reset", ""},
		{"a relative path", whole(requestBlock(t, "GET", "tools")), "reset", ""},
		{"an asterisk", whole(requestBlock(t, "OPTIONS", "*")), "200", `OPTIONS * ""`},
		{"two paths", whole(fields(":method", "GET", ":scheme", "http", ":path", "/health", ":path", "/tools", "authorization", token)), "reset", ""},
		{"a pseudo field behind others", whole(fields(":method", "GET", ":scheme", "http", "authorization", token, ":path", "/tools")), "reset", ""},
		{"an unknown pseudo field", whole(fields(":method", "GET", ":scheme", "http", ":path", "/tools", ":evil", "x", "authorization", token)), "reset", ""},
		{"no scheme", whole(fields(":method", "GET", ":path", "/tools", ":authority", "h", "authorization", token)), "reset", ""},
		{"an authority with CRLF", whole(fields(":method", "GET", ":scheme", "http", ":path", "/tools", ":authority", "h\r\nX: y", "authorization", token)), "reset", ""},
		{"an authority with a path", whole(fields(":method", "GET", ":scheme", "http", ":path", "/health", ":authority", "h/admin")), "400", ""},
		{"an authority with a quote", whole(fields(":method", "GET", ":scheme", "http", ":path", "/health", ":authority", "h\"x")), "400", ""},
		{"an authority with a space", whole(fields(":method", "GET", ":scheme", "http", ":path", "/health", ":authority", "h x")), "400", ""},
		{"an authority with a query", whole(fields(":method", "GET", ":scheme", "http", ":path", "/health", ":authority", "h?x")), "400", ""},
		{"an authority with a backslash", whole(fields(":method", "GET", ":scheme", "http", ":path", "/health", ":authority", "h\\x")), "400", ""},
		{"an authority with an address", whole(fields(":method", "GET", ":scheme", "http", ":path", "/health", ":authority", "http://evil")), "400", ""},
		{"an authority with a letter that isn't ASCII", whole(fields(":method", "GET", ":scheme", "http", ":path", "/health", ":authority", "\xe4")), "400", ""},
		{"an authority with a zone", whole(fields(":method", "GET", ":scheme", "http", ":path", "/health", ":authority", "[fe80::1%25eth0]")), "400", ""},
		{"a Host beside the authority", whole(good("host", "other")), "200", `GET /tools ""`},
		{"two tokens", whole(good("authorization", token)), "400", ""},
		{"cookie crumbs are one cookie", whole(fields(":method", "GET", ":scheme", "http", ":path", "/tools", ":authority", "h", "cookie", "a=b", "cookie", "jwt_token="+token[7:])), "200", `GET /tools ""`},
		{"CONNECT", whole(fields(":method", "CONNECT", ":authority", "other.example.com:443", "authorization", token)), "405", ""},
		{"a WebSocket by CONNECT", whole(fields(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/ws", ":authority", "h", "authorization", token)), "reset", ""},
		{"trailers", open(post("trailer", "x-sum"), data(0, "abcd"), frame(frameHeaders, endStream|endHeaders, 1, fields("x-sum", "1"))), "200", `POST /tools "abcd" X-Sum=1`},
		{"trailers that are headers", open(post(), data(0, "abcd"), frame(frameHeaders, endStream|endHeaders, 1, fields("authorization", token, "x-authenticated-user", "admin", "content-length", "9", "host", "other"))), "200", `POST /tools "abcd"`},
		{"trailers with a pseudo field", open(post(), data(0, "abcd"), frame(frameHeaders, endStream|endHeaders, 1, fields(":path", "/evil"))), "reset", ""},
		{"data before headers", frame(frameData, endStream, 1, "abcd"), "closed", ""},
		{"an even stream", frame(frameHeaders, endStream|endHeaders, 2, good()), "closed", ""},
		{"headers on stream 0", frame(frameHeaders, endStream|endHeaders, 0, good()), "closed", ""},
		{"a continuation without headers", frame(frameContinuation, endHeaders, 1, good()), "closed", ""},
		{"something between headers and continuation", frame(frameHeaders, endStream, 1, good()) + frame(framePing, 0, 0, "12345678"), "closed", ""},
		{"headers in continuations", frame(frameHeaders, endStream, 1, good()[:20]) + frame(frameContinuation, 0, 1, good()[20:30]) + frame(frameContinuation, endHeaders, 1, good()[30:]), "200", `GET /tools ""`},
		{"a broken block", whole("\xff\xff\xff\xff\xff\xff\xff\xff"), "closed", ""},
		{"a frame over the limit", frame(frameData, 0, 1, strings.Repeat("x", 1<<20)), "closed", ""},
		{"a window over the limit", frame(frameWindow, 0, 0, "\x7f\xff\xff\xff") + whole(good()), "closed", ""},
		{"a header list over the limit", frame(frameHeaders, endStream, 1, fields(":method", "GET", ":scheme", "http", ":path", "/tools", ":authority", "h")) + continuations(1, 20) + frame(frameContinuation, endHeaders, 1, ""), "closed", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := dial(t, p)
			defer c.Close()
			c.preface()
			_, _ = io.WriteString(c, row.frames) // may be refused before all of it is sent
			if got := c.outcome(1); got != row.outcome {
				t.Errorf("%s, want %s", got, row.outcome)
			}
			if row.outcome != "closed" {
				c.send(frame(frameHeaders, endStream|endHeaders, 3, fields(":method", "GET", ":scheme", "http", ":path", "/probe", ":authority", "h")))
				if got := c.outcome(3); got != "401" {
					t.Errorf("the next stream: %s, want 401", got)
				}
			}
			if strings.Contains(row.upstream, "|") {
				time.Sleep(50 * time.Millisecond) // what may have gone on may still be under way
			}
			seen, complaints := u.take()
			got := ""
			for _, r := range seen {
				got += r.String()
			}
			if !slices.Contains(strings.Split(row.upstream, "|"), got) || len(complaints) > 0 {
				t.Errorf("upstream came %q %q, want %q", got, complaints, row.upstream)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	if seen, complaints := u.take(); len(seen)+len(complaints) > 0 {
		t.Errorf("something came late: %v %q", seen, complaints)
	}
}

// continuations are n frames of 16 KB of fields each.
func continuations(stream uint32, n int) string {
	return strings.Repeat(frame(frameContinuation, 0, stream, strings.Repeat(fields("x-a", strings.Repeat("b", 120)), 128)), n)
}
