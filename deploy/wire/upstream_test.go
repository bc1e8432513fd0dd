package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// upstream is a server that reads requests in the strictest way there is, and keeps them: what two servers could read
// differently is a complaint.
type upstream struct {
	address string
	answer  func(c net.Conn, r *request) (goOn bool) // nil: 200 with "ok"

	mu         sync.Mutex
	seen       []*request // complete ones
	opened     int        // connections so far
	complaints []string
}

type request struct {
	method, target, body string
	header               map[string][]string
	trailers             []string // Name=value
}

// String is how the corpus writes it.
func (r *request) String() string {
	return words(fmt.Sprintf("%s %s %q %s", r.method, r.target, r.body, strings.Join(r.trailers, " ")))
}

func newUpstream(t *testing.T, answer func(c net.Conn, r *request) bool) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	u := &upstream{address: l.Addr().String(), answer: answer}
	if answer == nil {
		u.answer = func(c net.Conn, _ *request) bool {
			_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			return err == nil
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			u.mu.Lock()
			u.opened++
			u.mu.Unlock()
			go u.serve(c)
		}
	}()
	return u
}

func (u *upstream) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		r, err := read(in)
		u.mu.Lock()
		var odd oddity
		switch {
		case errors.As(err, &odd):
			u.complaints = append(u.complaints, err.Error())
		case err == nil:
			u.seen = append(u.seen, r)
		}
		u.mu.Unlock()
		if err != nil || !u.answer(c, r) {
			return
		}
	}
}

// take returns what was seen so far, and forgets it.
func (u *upstream) take() (seen []*request, complaints []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen, complaints = u.seen, u.complaints
	u.seen, u.complaints = nil, nil
	return seen, complaints
}

func (u *upstream) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.seen)
}

// connections is how many were opened so far.
func (u *upstream) connections() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.opened
}

// oddity is why bytes have more than one meaning.
type oddity string

func (o oddity) Error() string { return string(o) }

var (
	requestLine = regexp.MustCompile(`^([!#$%&'*+.^_|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP/1\.1$`)
	fieldLine   = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\\x00-\\x08\\x0a-\\x1f\\x7f]*)$")
	chunkSize   = regexp.MustCompile(`^[0-9a-f]{1,8}$`)
)

// read reads one request as RFC 9112 writes it, and nothing that it merely lets a server accept.
func read(in *bufio.Reader) (*request, error) {
	line, err := readLine(in)
	if err != nil {
		return nil, err
	}
	m := requestLine.FindStringSubmatch(line)
	if m == nil {
		return nil, oddity(fmt.Sprintf("request line %q", line))
	}
	r := &request{method: m[1], target: m[2], header: map[string][]string{}}
	if err := readFields(in, func(name, value string) {
		r.header[strings.ToLower(name)] = append(r.header[strings.ToLower(name)], value)
	}); err != nil {
		return nil, err
	}
	length, coding := r.header["content-length"], r.header["transfer-encoding"]
	switch {
	case len(r.header["host"]) != 1:
		return nil, oddity(fmt.Sprintf("hosts %q", r.header["host"]))
	case len(length) > 1 || len(coding) > 1 || len(length)+len(coding) > 1 || len(coding) == 1 && coding[0] != "chunked":
		return nil, oddity(fmt.Sprintf("Content-Length %q, Transfer-Encoding %q", length, coding))
	case len(coding) == 1:
		return r, readChunks(in, r)
	case len(length) == 1:
		n, err := strconv.ParseUint(length[0], 10, 31)
		if err != nil {
			return nil, oddity("Content-Length " + length[0])
		}
		body := make([]byte, n)
		_, err = io.ReadFull(in, body)
		r.body = string(body)
		return r, err
	}
	return r, nil
}

func readChunks(in *bufio.Reader, r *request) error {
	var body strings.Builder
	for {
		line, err := readLine(in)
		if err != nil {
			return err
		}
		if !chunkSize.MatchString(line) {
			return oddity(fmt.Sprintf("chunk size %q", line))
		}
		n, _ := strconv.ParseInt(line, 16, 64)
		if n == 0 {
			break
		}
		if _, err := io.CopyN(&body, in, n); err != nil {
			return err
		}
		if line, err := readLine(in); err != nil || line != "" {
			return errors.Join(err, oddity(fmt.Sprintf("behind a chunk: %q", line)))
		}
	}
	r.body = body.String()
	return readFields(in, func(name, value string) { r.trailers = append(r.trailers, name+"="+value) })
}

func readFields(in *bufio.Reader, field func(name, value string)) error {
	for {
		line, err := readLine(in)
		if err != nil || line == "" {
			return err
		}
		m := fieldLine.FindStringSubmatch(line)
		if m == nil {
			return oddity(fmt.Sprintf("field %q", line))
		}
		field(m[1], m[2])
	}
}

// readLine reads to CRLF; a CR or LF of its own is an oddity.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.Contains(text, "\r") {
		return "", oddity(fmt.Sprintf("line end in %q", line))
	}
	return text, nil
}
