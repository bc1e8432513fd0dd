package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// object is a JSON object read strictly: names exactly as written (after unescaping), duplicates refused.
// It is read by hand since encoding/json matches struct fields without case and lets the last duplicate win,
// while the gateway's parser matches exactly: a token must not mean two things. One pass over the bytes costs half of what
// json.Valid and another look for names and values did.
type object []member

type member struct{ name, value []byte }

var (
	errNotObject     = errors.New("not a JSON object")
	errDuplicateName = errors.New("duplicate name")
)

// parseObject reads b, which must be one valid UTF-8 JSON object (RFC 8259), into an empty o. The members share b's memory.
func parseObject(b []byte, o object) (object, error) {
	i := skipSpace(b, 0)
	if !utf8.Valid(b) || peek(b, i) != '{' {
		return nil, errNotObject
	}
	if i = skipSpace(b, i+1); peek(b, i) == '}' {
		return o, onlySpace(b, i+1)
	}
	for {
		from, end := i, skipString(b, i)
		start := skipColon(b, end)
		behind := skipValue(b, start)
		if behind < 0 {
			return nil, errNotObject
		}
		name := b[from+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			var s string
			if err := json.Unmarshal(b[from:end], &s); err != nil {
				return nil, errNotObject
			}
			name = []byte(s)
		}
		o = append(o, member{name, b[start:behind]})
		switch i = skipSpace(b, behind); peek(b, i) {
		case ',':
			i = skipSpace(b, i+1)
		case '}':
			if o.hasDuplicate() {
				return nil, errDuplicateName
			}
			return o, onlySpace(b, i+1)
		default:
			return nil, errNotObject
		}
	}
}

// peek is the byte at b[i]; 0, which is no part of JSON's syntax, behind the end and where something before was not valid.
func peek(b []byte, i int) byte {
	if i < 0 || i >= len(b) {
		return 0
	}
	return b[i]
}

func onlySpace(b []byte, i int) error {
	if skipSpace(b, i) < len(b) {
		return errNotObject
	}
	return nil
}

// The functions below return the index behind what they skip, or -1 where it isn't valid there; -1 given gives -1.

func skipSpace(b []byte, i int) int {
	for i >= 0 && i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// maxNesting bounds how deep arrays and objects may be within each other, as gateways do: Python's parser gives up near 1000.
const maxNesting = 1024

// skipValue skips one value. It keeps what is open in bits rather than calling itself: a token could make the stack grow.
func skipValue(b []byte, i int) int {
	var objects [maxNesting / 64]uint64 // by depth: an object is open, else an array
	depth := 0
	for {
		switch c := peek(b, i); c {
		case '{', '[':
			if depth == maxNesting {
				return -1
			}
			bit := uint64(1) << (depth % 64)
			objects[depth/64] &^= bit
			if c == '{' {
				objects[depth/64] |= bit
			}
			depth++
			i = skipSpace(b, i+1)
			if peek(b, i) == c+2 { // the closing one
				break
			}
			if c == '{' {
				i = skipColon(b, skipString(b, i))
			}
			continue
		case '"':
			i = skipString(b, i)
		case 't':
			i = skipWord(b, i, "true")
		case 'f':
			i = skipWord(b, i, "false")
		case 'n':
			i = skipWord(b, i, "null")
		default:
			i = skipNumber(b, i)
		}
		// A value ended here, or an empty one is about to: what follows belongs to what is around it.
		for depth > 0 {
			object := objects[(depth-1)/64]>>((depth-1)%64)&1 == 1
			i = skipSpace(b, i)
			c := peek(b, i)
			if c == ',' {
				if i = skipSpace(b, i+1); object {
					i = skipColon(b, skipString(b, i))
				}
				break
			}
			if object && c != '}' || !object && c != ']' {
				return -1
			}
			i++
			depth--
		}
		if depth == 0 { // else a value must follow, which is not valid at -1
			return i
		}
	}
}

// skipColon skips the colon behind a name, and the space around it.
func skipColon(b []byte, i int) int {
	if i = skipSpace(b, i); peek(b, i) != ':' {
		return -1
	}
	return skipSpace(b, i+1)
}

func skipString(b []byte, i int) int {
	if peek(b, i) != '"' {
		return -1
	}
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i++; peek(b, i) == 'u' {
				for range 4 {
					if i++; !isHex(peek(b, i)) {
						return -1
					}
				}
			} else if bytes.IndexByte([]byte(`"\/bfnrt`), peek(b, i)) < 0 {
				return -1
			}
		case c < ' ':
			return -1
		}
	}
	return -1
}

func skipWord(b []byte, i int, word string) int {
	if !bytes.HasPrefix(b[i:], []byte(word)) {
		return -1
	}
	return i + len(word)
}

func skipNumber(b []byte, i int) int {
	if peek(b, i) == '-' {
		i++
	}
	if peek(b, i) == '0' {
		i++
	} else {
		i = skipDigits(b, i)
	}
	if peek(b, i) == '.' {
		i = skipDigits(b, i+1)
	}
	if c := peek(b, i); c == 'e' || c == 'E' {
		if c := peek(b, i+1); c == '+' || c == '-' {
			i++
		}
		i = skipDigits(b, i+1)
	}
	return i
}

// skipDigits skips one digit or more.
func skipDigits(b []byte, i int) int {
	from := i
	for isDigit(peek(b, i)) {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func (o object) hasDuplicate() bool {
	if len(o) <= 24 { // the usual token: comparing pairs beats a map
		for i := range o {
			for j := range i {
				if bytes.Equal(o[i].name, o[j].name) {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[string]struct{}, len(o))
	for _, m := range o {
		if _, ok := seen[string(m.name)]; ok {
			return true
		}
		seen[string(m.name)] = struct{}{}
	}
	return false
}

// get returns the raw value of name, or nil when absent.
func (o object) get(name string) []byte {
	for _, m := range o {
		if string(m.name) == name {
			return m.value
		}
	}
	return nil
}
