package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
)

// object is a JSON object read strictly: names exactly as written (after unescaping), duplicates refused.
// It is read by hand since encoding/json matches struct fields without case and lets the last duplicate win,
// while the gateway's parser matches exactly: a token must not mean two things.
type object []member

type member struct{ name, value []byte }

var (
	errNotObject     = errors.New("not a JSON object")
	errDuplicateName = errors.New("duplicate name")
)

// parseObject reads b, which must be one valid UTF-8 JSON object, into an empty o. The members share b's memory.
func parseObject(b []byte, o object) (object, error) {
	if !utf8.Valid(b) || !json.Valid(b) {
		return nil, errNotObject
	}
	b = bytes.TrimLeft(b, " \t\r\n")
	if b[0] != '{' {
		return nil, errNotObject
	}
	// From here on the syntax is known to be valid: the walk only has to find where names and values end.
	for i := skipSpace(b, 1); b[i] != '}'; {
		if b[i] == ',' {
			i = skipSpace(b, i+1)
		}
		end := skipValue(b, i)
		name := b[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			var s string
			if err := json.Unmarshal(b[i:end], &s); err != nil {
				return nil, errNotObject
			}
			name = []byte(s)
		}
		i = skipSpace(b, skipSpace(b, end)+1) // over the colon
		end = skipValue(b, i)
		o = append(o, member{name, b[i:end]})
		i = skipSpace(b, end)
	}
	if o.hasDuplicate() {
		return nil, errDuplicateName
	}
	return o, nil
}

func skipSpace(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n' {
		i++
	}
	return i
}

// skipValue returns the index behind the valid JSON value that starts at b[i].
func skipValue(b []byte, i int) int {
	switch b[i] {
	case '"':
		for i++; b[i] != '"'; i++ {
			if b[i] == '\\' {
				i++
			}
		}
		return i + 1
	case '{', '[':
		depth := 0
		for {
			switch b[i] {
			case '"':
				i = skipValue(b, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	default: // number, true, false, null
		for i < len(b) && bytes.IndexByte([]byte(",}] \t\r\n"), b[i]) < 0 {
			i++
		}
		return i
	}
}

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

// text reads a raw JSON string.
func text(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// number reads a raw JSON number as seconds (RFC 7519, section 2, NumericDate).
func number(raw []byte) (float64, bool) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// claims are the claims that envgate judges, each of its right type. Whether they are true is the verifier's business.
type claims struct {
	issuer, subject, id string
	audience            []string
	expiry, notBefore   float64
	issuedAt            float64
	hasIssuer, hasID    bool
	hasExpiry           bool
	environment         []byte // raw JSON; nil when absent or null
}

// parseClaims reads the registered claims (RFC 7519, section 4.1) and env; ok is false when one has a wrong type.
func parseClaims(o object) (c claims, ok bool) {
	for _, m := range o {
		good := true
		switch string(m.name) {
		case "iss":
			c.issuer, good = text(m.value)
			c.hasIssuer = true
		case "sub":
			c.subject, good = text(m.value)
		case "jti":
			c.id, good = text(m.value)
			c.hasID = true
		case "aud":
			c.audience, good = audience(m.value)
		case "exp":
			c.expiry, good = number(m.value)
			c.hasExpiry = true
		case "nbf":
			c.notBefore, good = number(m.value)
		case "iat":
			c.issuedAt, good = number(m.value)
		case "env":
			if string(m.value) != "null" {
				c.environment = m.value
			}
		}
		if !good {
			return c, false
		}
	}
	return c, true
}

// audience reads a string or a list of strings (RFC 7519, section 4.1.3).
func audience(raw []byte) ([]string, bool) {
	if s, ok := text(raw); ok {
		return []string{s}, true
	}
	if raw[0] != '[' {
		return nil, false
	}
	var items []*string // a pointer tells null from ""
	if json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	list := make([]string, len(items))
	for i, s := range items {
		if s == nil {
			return nil, false
		}
		list[i] = *s
	}
	return list, true
}
