package authz

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a deny-list, so that a file gone wrong doesn't take the sidecar's memory.
const (
	maxDenied     = 4 << 20
	maxDeniedLine = 8 << 10
)

const deniedSyntax = "want jti VALUE, or sub VALUE before TIME, in seconds since 1970 or as 2030-01-31T12:00:00Z"

// readDenyList reads a deny-list: one entry a line, blank lines aside. What starts with # is a comment, on a line of its
// own or behind an entry.
//
//	jti VALUE
//	sub VALUE before TIME
//
// A value with blanks, quotes, control or invisible characters is written as a JSON string. It reads twice, the first
// time to count lines, so that memory is taken once and of the right size; the text itself is never held.
func readDenyList(f io.ReadSeeker, most int) (*DenyList, error) {
	ids, subjects, err := countDenied(f, most)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, errors.New("can't be read twice: want a file")
	}
	l := &DenyList{ids: make([]digest, 0, ids), subjects: make([]deniedSubject, 0, subjects)}
	number := 0
	err = eachLine(f, func(line []byte) error {
		number++
		if err := l.add(line); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if len(l.ids)+len(l.subjects) > most { // more than were counted: the file grows
			return fmt.Errorf("line %d: want at most %d entries", number, most)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.sort()
	return l, nil
}

// countDenied counts the lines of each kind, wrong ones among them, up to the bound.
func countDenied(f io.Reader, most int) (ids, subjects int, err error) {
	number := 0
	err = eachLine(f, func(line []byte) error {
		number++
		switch {
		case bytes.HasPrefix(line, []byte("jti")):
			ids++
		case bytes.HasPrefix(line, []byte("sub")):
			subjects++
		}
		if ids+subjects > most {
			return fmt.Errorf("line %d: want at most %d entries", number, most)
		}
		return nil
	})
	return ids, subjects, err
}

// eachLine calls for every line, trimmed of blanks.
func eachLine(f io.Reader, do func([]byte) error) error {
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, maxDeniedLine), maxDeniedLine)
	number := 0
	for lines.Scan() {
		number++
		if err := do(bytes.Trim(lines.Bytes(), " \t\r")); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d: too long: want less than %d bytes", number+1, maxDeniedLine)
	}
	var of *fs.PathError
	if errors.As(lines.Err(), &of) { // the path is said already
		return of.Err
	}
	return lines.Err()
}

// add reads one line.
func (l *DenyList) add(line []byte) error {
	if len(line) == 0 || line[0] == '#' {
		return nil
	}
	if !utf8.Valid(line) {
		return errors.New("not UTF-8: " + deniedSyntax)
	}
	kind, rest := cutBlank(line)
	value, rest, err := deniedValue(rest)
	switch {
	case string(kind) != "jti" && string(kind) != "sub":
		return fmt.Errorf("%s: %s", quoted(kind), deniedSyntax)
	case err != nil:
		return err
	case string(kind) == "jti" && isComment(rest):
		l.ids = append(l.ids, digestOf(value))
		return nil
	case string(kind) == "jti":
		return fmt.Errorf("%s behind the value: %s", quoted(rest), deniedSyntax)
	}
	word, rest := cutBlank(rest)
	when, rest := cutBlank(rest)
	before, ok := deniedTime(when)
	switch {
	case string(word) != "before":
		return fmt.Errorf("%s behind the value: %s", quoted(word), deniedSyntax)
	case !ok:
		return fmt.Errorf("%s is no time: %s", quoted(when), deniedSyntax)
	case !isComment(rest):
		return fmt.Errorf("%s behind the time: %s", quoted(rest), deniedSyntax)
	}
	l.subjects = append(l.subjects, deniedSubject{digestOf(value), before})
	return nil
}

func isComment(s []byte) bool { return len(s) == 0 || s[0] == '#' }

// cutBlank cuts at the first run of blanks.
func cutBlank(s []byte) (word, rest []byte) {
	i := bytes.IndexAny(s, " \t")
	if i < 0 {
		return s, nil
	}
	return s[:i], bytes.TrimLeft(s[i:], " \t")
}

// deniedValue reads a plain value or a JSON string, and what is behind it.
func deniedValue(s []byte) (value, rest []byte, err error) {
	if bytes.HasPrefix(s, []byte(`"`)) {
		d := json.NewDecoder(bytes.NewReader(s))
		var text string
		if d.Decode(&text) != nil {
			return nil, nil, fmt.Errorf("%s is no JSON string: %s", quoted(s), deniedSyntax)
		}
		value, rest = []byte(text), s[d.InputOffset():]
		if len(rest) > 0 && rest[0] != ' ' && rest[0] != '\t' {
			return nil, nil, fmt.Errorf("%s behind the value: %s", quoted(rest), deniedSyntax)
		}
		rest = bytes.TrimLeft(rest, " \t")
	} else {
		value, rest = cutBlank(s)
		if bytes.ContainsFunc(value, func(r rune) bool { return r == '"' || !unicode.IsPrint(r) }) {
			return nil, nil, fmt.Errorf("%s holds a quote or an unprintable character: want it as a JSON string", quoted(value))
		}
	}
	switch {
	case len(value) == 0:
		return nil, nil, errors.New("no value: " + deniedSyntax)
	case tokenLike(value):
		return nil, nil, errors.New("the value looks like a token: want its jti or sub")
	}
	return value, rest, nil
}

// deniedTime reads seconds since 1970, from 1 to the year 9999, or RFC 3339.
func deniedTime(s []byte) (seconds float64, ok bool) {
	if n, err := strconv.ParseInt(string(s), 10, 64); err == nil {
		return float64(n), n > 0 && n <= 253402300799 && s[0] != '+'
	}
	t, err := time.Parse(time.RFC3339, string(s))
	return float64(t.Unix()) + float64(t.Nanosecond())/1e9, err == nil && t.Unix() > 0
}

// tokenLike recognises what may be a token: it must not be shown, and is no jti.
func tokenLike(s []byte) bool { return bytes.Contains(s, []byte("eyJ")) && bytes.ContainsRune(s, '.') }

// quoted is text of the file as an error may show it: cut, printable, and nothing of a token.
func quoted(s []byte) string {
	if bytes.Contains(s, []byte("eyJ")) {
		return redacted
	}
	return `"` + Printable(string(s)) + `"`
}
