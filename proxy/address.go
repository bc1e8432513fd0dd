package proxy

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress is the address that a request came from: the last one in X-Forwarded-For that is no trusted proxy's, where
// a trusted proxy says so, else the peer's.
func (h headerRules) clientAddress(r *http.Request) netip.Addr {
	address := peerAddress(r.RemoteAddr)
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; rest != "" && h.trusts(address); {
			comma := strings.LastIndexByte(rest, ',')
			next, err := netip.ParseAddr(strings.Trim(rest[comma+1:], " \t"))
			if err != nil {
				return address
			}
			address, rest = next.Unmap().WithZone(""), rest[:max(comma, 0)]
		}
	}
	return address
}

// addressBlock is what counts as one client: an IPv4 address, or the 64 bits of an IPv6 network, in which a client takes
// any address that it likes.
func addressBlock(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	block, _ := a.Prefix(bits)
	return block
}
