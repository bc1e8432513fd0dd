package authz

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// routes answers whether a path is public. It looks at method and path alone: no header and no query takes part.
type routes struct {
	exact    map[string][]Route
	prefixes []Route // public and protected
	suffixes []Route // protected
	metadata string  // the one path that may end in /mcp: of the metadata that the gateway serves
	root     string
}

func newRoutes(p *Policy, root string) *routes {
	rs := &routes{exact: map[string][]Route{}, root: root}
	for _, r := range p.Routes {
		switch {
		case r.Path != "":
			rs.exact[r.Path] = append(rs.exact[r.Path], r)
		case r.Prefix != "":
			rs.prefixes = append(rs.prefixes, r)
		default:
			rs.suffixes = append(rs.suffixes, r)
		}
	}
	if p.ProtectedResource != nil && p.ProtectedResource.ServedByGateway {
		r := p.ProtectedResource.route(root)
		rs.metadata, rs.exact[r.Path] = r.Path, append(rs.exact[r.Path], r)
	}
	return rs
}

// public returns the public route of a request, given its decoded and its raw path. Protected wins over public; a path
// whose raw form is not canonical is never public; nor is one that ends in /mcp or /mcp/, which a legacy gateway serves
// as its MCP endpoint under any prefix, save exactly the metadata of the protected resource.
func (rs *routes) public(method, decoded, raw string) (string, bool) {
	if !canonicalPath(raw) || strings.HasSuffix(strings.TrimSuffix(decoded, "/"), "/mcp") && decoded != rs.metadata {
		return "", false
	}
	found := ""
	for _, p := range withoutRoot(decoded, rs.root) {
		for _, r := range rs.exact[p] {
			if r.covers(method) {
				if r.Access == AccessProtected {
					return "", false
				}
				found = r.Path
			}
		}
		for _, r := range rs.prefixes {
			if r.covers(method) && strings.HasPrefix(p, r.Prefix) {
				if r.Access == AccessProtected {
					return "", false
				}
				if found == "" {
					found = r.String()
				}
			}
		}
		for _, r := range rs.suffixes {
			if r.covers(method) && strings.HasSuffix(p, r.Suffix) {
				return "", false
			}
		}
	}
	return found, found != ""
}

func (r Route) covers(method string) bool {
	if len(r.Methods) == 0 || slices.Contains(r.Methods, method) {
		return true
	}
	return method == http.MethodHead && slices.Contains(r.Methods, http.MethodGet)
}

// withoutRoot returns the path as it is and, where it lies below root, without it: the gateway serves both.
func withoutRoot(p, root string) []string {
	if root == "" || !strings.HasPrefix(p, root) {
		return []string{p}
	}
	rest := p[len(root):]
	if rest == "" {
		return []string{p, "/"}
	}
	if rest[0] != '/' {
		return []string{p}
	}
	return []string{p, rest}
}

// canonicalPath tells whether a raw path means just one thing to every parser: no dot segments, no empty segments but
// the last, no ; or backslash, and no escape of a slash, backslash, dot, semicolon, control or unreserved character.
func canonicalPath(raw string) bool {
	if raw == "" || raw[0] != '/' {
		return false
	}
	for i := range len(raw) {
		switch raw[i] {
		case '/':
			rest := raw[i+1:]
			segment, _, more := strings.Cut(rest, "/")
			if segment == "." || segment == ".." || segment == "" && more {
				return false
			}
		case ';', '\\':
			return false
		case '%':
			if i+2 >= len(raw) {
				return false
			}
			s, err := url.PathUnescape(raw[i : i+3])
			if err != nil || s[0] < 0x20 || s[0] == 0x7f || strings.IndexByte("/\\.;-_~%", s[0]) >= 0 || isAlphanumeric(s[0]) {
				return false
			}
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// sendableHost tells whether net/http sends a Host on unchanged: it empties one with other characters than RFC 3986 (section
// 3.2.2) has in hosts, and cuts an IPv6 address's zone off. Over HTTP/1 it refuses the former itself. One that is empty becomes
// the upstream's own.
func sendableHost(host string) bool {
	for i := range len(host) {
		if !isAlphanumeric(host[i]) && strings.IndexByte("-.:_~!$&'()*+,;=%[]", host[i]) < 0 {
			return false
		}
	}
	return strings.IndexByte(host, '[') < 0 || strings.IndexByte(host, '%') < 0
}

// rawPath returns the path of a request as the client sent it, and whether Go sends the same bytes on. It does not for
// a path that it would encode differently: what is judged must be what is sent.
func rawPath(r *http.Request) (string, bool) {
	sent := r.URL.EscapedPath()
	raw := r.RequestURI
	if raw == "" { // not from a server: nothing to compare with
		return sent, true
	}
	if r.URL.Opaque != "" { // foo:bar, a form that no request target has (RFC 9112, section 3.2)
		return sent, false
	}
	if raw[0] != '/' && raw != "*" { // absolute-form, RFC 9112 section 3.2.2
		_, rest, ok := strings.Cut(raw, "://")
		if !ok {
			return sent, false
		}
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			raw = rest[i:]
		} else {
			raw = ""
		}
		if raw == "" || raw[0] == '?' { // an empty path means /
			return "/", sent == ""
		}
	}
	raw, _, _ = strings.Cut(raw, "?")
	return raw, raw == sent
}
