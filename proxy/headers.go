package proxy

import (
	"net/http"
	"net/netip"
	"strings"

	"envgate/authz"
)

// headerRules says which headers a client may not set: the gateway trusts them.
type headerRules struct {
	protected map[string]bool // canonical names, never from a client
	prefixes  []string
	auth      string
	trusted   []netip.Prefix
	proto     string // of the public URL; "" without one
	host      string
}

func newHeaderRules(c *authz.Config) headerRules {
	rules := headerRules{protected: map[string]bool{
		authz.Dashed(c.UserHeader): true,
		"X-Real-Ip":                true, // a legacy gateway believes it; what a proxy knows is in X-Forwarded-For
	}, auth: c.AuthHeader, trusted: c.TrustedProxies}
	for _, name := range c.Policy.StripHeaders {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			rules.prefixes = append(rules.prefixes, authz.Dashed(prefix))
		} else {
			rules.protected[authz.Dashed(name)] = true
		}
	}
	if c.PublicURL != nil {
		rules.proto, rules.host = c.PublicURL.Scheme, c.PublicURL.Host
	}
	return rules
}

// apply removes protected headers from the outgoing request and sets the forwarding ones: those of a trusted proxy
// are kept and appended to, anybody else's are replaced.
func (h headerRules) apply(in, out *http.Request) {
	peer := peerAddress(in.RemoteAddr)
	trusted := h.trusts(peer)
	for name := range out.Header {
		if h.isProtected(name) || isForwarding(name) && !trusted {
			delete(out.Header, name)
		}
	}
	h.setForwarded(in, out.Header, peer, trusted)
}

// isProtected tells whether a client may not set a header, in this or another spelling: some servers read _ and . as -.
func (h headerRules) isProtected(name string) bool {
	if name == h.auth {
		return false
	}
	if strings.IndexByte(name, '_') >= 0 || strings.IndexByte(name, '.') >= 0 {
		name = authz.Dashed(name)
		if name == authz.Dashed(h.auth) || isForwarding(name) {
			return true
		}
	}
	if h.protected[name] {
		return true
	}
	for _, prefix := range h.prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// isForwarding tells whether a header speaks for a proxy in front.
func isForwarding(name string) bool {
	return strings.HasPrefix(name, "X-Forwarded-") || name == "Forwarded"
}

// setForwarded writes the X-Forwarded-* headers. ReverseProxy has removed the client's from out; in still has them.
func (h headerRules) setForwarded(in *http.Request, out http.Header, peer netip.Addr, trusted bool) {
	forwardedFor, proto, host := peer.String(), "http", in.Host
	if in.TLS != nil {
		proto = "https"
	}
	if trusted {
		if v := in.Header["X-Forwarded-For"]; len(v) > 0 {
			forwardedFor = strings.Join(v, ", ") + ", " + forwardedFor
		}
		if v := in.Header.Get("X-Forwarded-Proto"); v != "" {
			proto = v
		}
		if v := in.Header.Get("X-Forwarded-Host"); v != "" {
			host = v
		}
		if v := in.Header["Forwarded"]; len(v) > 0 {
			out["Forwarded"] = v
		}
	}
	if h.proto != "" {
		proto, host = h.proto, h.host
	}
	values := []string{forwardedFor, proto, host}
	out["X-Forwarded-For"] = values[0:1:1]
	out["X-Forwarded-Proto"] = values[1:2:2]
	if host != "" { // HTTP/1.0
		out["X-Forwarded-Host"] = values[2:3:3]
	}
}

func (h headerRules) trusts(peer netip.Addr) bool {
	for _, prefix := range h.trusted {
		if prefix.Contains(peer) {
			return true
		}
	}
	return false
}

func peerAddress(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return ap.Addr().Unmap().WithZone("")
}

// stripTrailers takes out of a trailer map what may not be a header either, and what was judged as a header: no
// credential and no identity arrives behind the body.
func (h headerRules) stripTrailers(trailers http.Header) {
	for name := range trailers {
		if h.isProtected(name) || isForwarding(name) || headOnly[name] || name == h.auth || name == "Authorization" || name == "Cookie" {
			delete(trailers, name)
		}
	}
}
