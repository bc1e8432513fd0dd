package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"envgate/deploy/processtest"

	"github.com/golang-jwt/jwt/v5"
)

// exchange is one file of the corpus. It starts with head lines, then a blank line, then what a client sends:
//
//	why: a sentence
//	answers: 200 401 close           statuses in order; close: and the connection ends; waits: and nothing more comes
//	upstream: POST /tools "abcd" X-Sum=1     each request that arrives, in order: body, trailers (optional, repeatable)
//
// Lines end in LF, which becomes CRLF; a backslash at the end of a line takes its end away. \xHH stands for one raw byte,
// {token} for an accepted token, {foreign} for one of another environment, {1000*x} for a thousand x.
type exchange struct {
	name, why string
	answers   string
	upstream  []string
	sent      string
}

var (
	rawByte  = regexp.MustCompile(`\\x([0-9A-Fa-f]{2})`)
	repeated = regexp.MustCompile(`(?s)\{(\d+)\*([^}]*)\}`)
)

func readExchange(t *testing.T, file string) exchange {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, sent, ok := strings.Cut(string(text), "\n\n")
	if !ok {
		t.Fatalf("%s: no blank line between head and bytes", file)
	}
	e := exchange{name: strings.TrimSuffix(filepath.Base(file), ".txt")}
	for line := range strings.SplitSeq(head, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "why":
			e.why = value
		case "answers":
			e.answers = value
		case "upstream":
			e.upstream = append(e.upstream, expand(value))
		default:
			t.Fatalf("%s: unknown head line %q", file, line)
		}
	}
	if e.why == "" || e.answers == "" {
		t.Fatalf("%s: want why and answers", file)
	}
	sent = strings.ReplaceAll(strings.ReplaceAll(expand(sent), "\\\n", ""), "\n", "\r\n")
	sent = strings.ReplaceAll(sent, "{token}", processtest.Token(t, nil))
	sent = strings.ReplaceAll(sent, "{foreign}", processtest.Token(t, jwt.MapClaims{"env": "staging"}))
	e.sent = rawByte.ReplaceAllStringFunc(sent, func(s string) string {
		n, _ := strconv.ParseUint(s[2:], 16, 8)
		return string([]byte{byte(n)})
	})
	return e
}

// expand writes {1000*x} out.
func expand(text string) string {
	return repeated.ReplaceAllStringFunc(text, func(s string) string {
		m := repeated.FindStringSubmatch(s)
		n, _ := strconv.Atoi(m[1])
		return strings.Repeat(m[2], n)
	})
}

// TestCorpus runs testdata: each file once in one piece and once cut into pieces of a byte, for nothing may depend on where a
// network cuts. What arrives upstream has one meaning, and is what the file says.
func TestCorpus(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 80 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	u := newUpstream(t, nil)
	p := start(t, u)
	var all []exchange
	for _, file := range files {
		all = append(all, readExchange(t, file))
	}
	play := func(cut int) {
		for _, e := range all {
			t.Run(e.name+map[bool]string{false: ", cut into bytes"}[cut > 1], func(t *testing.T) { e.play(t, u, p, cut) })
		}
	}
	play(1 << 30) // the process has then seen everything once
	flat(t, p, 8<<20, func() { play(1); play(1 << 30) })
}

// TestThePageSaysHowMany keeps the number of files in docs/reliability.md true.
func TestThePageSaysHowMany(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	page, err := os.ReadFile("../../docs/reliability.md")
	if want := "| " + strconv.Itoa(len(files)) + " exchanges of bytes"; err != nil || !strings.Contains(string(page), want) {
		t.Errorf("the page does not say %q; %v", want, err)
	}
}

// play sends the bytes in pieces, and compares.
func (e exchange) play(t *testing.T, u *upstream, p *processtest.Process, cut int) {
	sent := e.sent
	if len(sent) > 1<<12 {
		cut = max(cut, 1000)
	}
	c := dial(t, p)
	defer c.Close()
	defer u.take() // a file that failed leaves nothing to the next
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for sent != "" {
			n := min(cut, len(sent))
			if _, err := io.WriteString(c, sent[:n]); err != nil {
				return // refused before it was all sent
			}
			sent = sent[n:]
		}
	}()
	want := strings.Fields(e.answers)
	last := want[len(want)-1]
	if last == "close" || last == "waits" {
		want = want[:len(want)-1]
	}
	for i, status := range want {
		res, body := c.answer()
		if res == nil {
			t.Fatalf("answer %d: %s, want %s; %s", i+1, body, status, e.why)
		}
		if got := strconv.Itoa(res.StatusCode); got != status {
			t.Fatalf("answer %d: %s %s, want %s; %s", i+1, got, body, status, e.why)
		}
	}
	e.end(t, c, last, gone)
	var arrived []string
	var complaints []string
	eventually(t, "requests upstream", func() bool {
		seen, odd := u.take()
		for _, r := range seen {
			arrived = append(arrived, r.String())
		}
		complaints = append(complaints, odd...)
		return len(arrived) >= len(e.upstream)
	})
	if !slices.Equal(arrived, e.upstream) {
		t.Errorf("upstream came %.300q, want %.300q; %s", arrived, e.upstream, e.why)
	}
	if len(complaints) > 0 {
		t.Errorf("upstream came what can be read in two ways: %q", complaints)
	}
}

// end looks what the connection is left as.
func (e exchange) end(t *testing.T, c *client, last string, gone <-chan struct{}) {
	t.Helper()
	switch last {
	case "close":
		if !c.ended() {
			t.Errorf("the connection goes on; %s", e.why)
		}
	case "waits":
		<-gone
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if b, err := c.in.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q %v came, want nothing; %s", b, err, e.why)
		}
		_ = c.Conn.(*net.TCPConn).CloseWrite()
	default:
		<-gone
		c.send("GET /probe HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n") // refused: the next answer is this one's
		if res, body := c.answer(); res == nil || res.StatusCode != 401 || !c.ended() {
			t.Errorf("behind it: %v %s; %s", res, body, e.why)
		}
	}
}
