package authz

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// scheme is what the auth header turned out to be.
type scheme int

const (
	schemeNone      scheme = iota // absent, empty, or Bearer with nothing behind it
	schemeBearer                  // a candidate
	schemeBasic                   // may pass alone where the policy says so
	schemeOther                   // not a candidate
	schemeAmbiguous               // twice, or named in Connection
)

// readAuthHeader classifies the values of the auth header and returns the candidate of a Bearer one. The scheme is
// matched in any case (RFC 9110, section 11.1) and ends at the first space, as the gateway splits it.
func readAuthHeader(h http.Header, name string) (scheme, string) {
	values := h[name]
	if len(values) > 1 || NamedInConnection(h, name) {
		return schemeAmbiguous, ""
	}
	if len(values) == 0 {
		return schemeNone, ""
	}
	word, rest, _ := strings.Cut(strings.Trim(values[0], " \t"), " ")
	rest = strings.Trim(rest, " ")
	switch {
	case word == "":
		return schemeNone, ""
	case strings.EqualFold(word, "Bearer"):
		if rest == "" {
			return schemeNone, ""
		}
		return schemeBearer, rest
	case strings.EqualFold(word, "Basic"):
		return schemeBasic, ""
	}
	return schemeOther, ""
}

// NamedInConnection tells whether the client declares a header hop-by-hop (RFC 9110, section 7.6.1): a proxy would drop
// it, and the gateway would judge by what is left.
func NamedInConnection(h http.Header, name string) bool {
	for _, line := range h["Connection"] {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.Trim(option, " \t"), name) {
				return true
			}
		}
	}
	return false
}

// piece is one ;-separated piece of a Cookie line or one &-separated piece of a query, with what shall become of it.
type piece struct {
	raw     string
	name    string // trimmed or decoded; only for carriers of tokens
	token   string
	carrier bool
	plain   bool   // the token is read the same by everyone
	drop    bool   // take it off
	replace string // new raw text, if not empty
}

// cookieLines cuts raw Cookie lines into pieces the way the gateway does (Starlette's cookie_parser): at every ; and
// nowhere else, names trimmed as Python trims. net/http is not used: it takes the first of two cookies of one name
// where the gateway takes the last, and does not see quoted values that the gateway unescapes.
func cookieLines(lines []string, carriers []string) [][]piece {
	if len(lines) == 0 {
		return nil
	}
	out := make([][]piece, len(lines))
	for i, line := range lines {
		pieces := make([]piece, 0, 1+strings.Count(line, ";"))
		for raw := range strings.SplitSeq(line, ";") {
			p := piece{raw: raw}
			if name, value, ok := strings.Cut(raw, "="); ok {
				p.name = trimAsPython(name)
				p.drop = p.name != "" && !isToken(p.name)
				if p.carrier = slices.Contains(carriers, p.name); p.carrier {
					p.token = trimAsPython(value)
					p.plain = isPlain(p.token)
				}
			}
			pieces = append(pieces, p)
		}
		out[i] = pieces
	}
	return out
}

// trimAsPython trims what str.strip() trims of Latin-1 text: 09-0D, 1C-20, 85, A0.
func trimAsPython(s string) string {
	for s != "" && pythonSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && pythonSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func pythonSpace(c byte) bool {
	return 0x09 <= c && c <= 0x0d || 0x1c <= c && c <= 0x20 || c == 0x85 || c == 0xa0
}

// isPlain tells whether a cookie value can't be unquoted or unescaped into something else.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// isToken tells whether s is a token (RFC 9110, section 5.6.2): the syntax of header names, cookie names and methods.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// queryPieces cuts a raw query at every & (never at ;) and marks the pieces whose decoded name is name.
// Escapes that don't decode are kept as they are, as the gateway's parser does.
func queryPieces(raw string, names []string) []piece {
	pieces := make([]piece, 0, 1+strings.Count(raw, "&"))
	for part := range strings.SplitSeq(raw, "&") {
		p := piece{raw: part, plain: true}
		name, value, _ := strings.Cut(part, "=")
		if p.carrier = slices.Contains(names, unescapeLeniently(name)); p.carrier {
			p.token = unescapeLeniently(value)
		}
		pieces = append(pieces, p)
	}
	return pieces
}

// unescapeLeniently decodes + and every valid %XX, leaving the others alone (Python's unquote_plus).
func unescapeLeniently(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			b.WriteByte(' ')
		case c == '%' && i+2 < len(s):
			if d, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(d)
				i += 2
				continue
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// joinPieces puts the kept pieces together again. Untouched text stays as it was.
func joinPieces(pieces []piece, sep string) string {
	var b strings.Builder
	kept := 0
	for i, p := range pieces {
		if p.drop {
			continue
		}
		raw := p.raw
		if p.replace != "" {
			raw = p.replace
		}
		if kept > 0 {
			b.WriteString(sep)
		} else if i > 0 {
			raw = strings.TrimLeft(raw, " ") // the space behind a removed neighbour's separator
		}
		b.WriteString(raw)
		kept++
	}
	return b.String()
}
