package proxy

import (
	"net/netip"
	"slices"
	"time"

	"envgate/authz"
)

// restarts notices that the gateway restarted, by the sockets that it listens on: another process has others.
type restarts struct {
	seen      []string  // the sockets, when last there were any
	unawaited time.Time // when a restart was last noticed that no change of the secret waited for
}

// fileLag is how long after the variable a gateway reads its secret from the mounted file with it may change: the kubelet
// takes a minute or two, people who do both by hand take longer.
const fileLag = time.Hour

// look tells whether the gateway has restarted since the last look: it listens, and on none of the sockets from then.
// Workers that share a port come and go one by one.
func (r *restarts) look(now []string) bool {
	if len(now) == 0 { // it is down, or there are no tables
		return false
	}
	same := slices.ContainsFunc(now, func(inode string) bool { return slices.Contains(r.seen, inode) })
	restarted := len(r.seen) > 0 && !same
	r.seen = now
	return restarted
}

// certain tells whether the gateway still knows the secret that it is taken to know, and whether its next restart will be
// noticed. One that restarted shortly before the file changed may have read the new value already.
func (r *restarts) certain(now time.Time) bool {
	return len(r.seen) > 0 && now.Sub(r.unawaited) > fileLag
}

// upstreamSockets identifies the sockets on which a loopback upstream listens. There are none where it is down, where it
// isn't on loopback over TCP, and where the kernel has no tables of them.
func upstreamSockets(c *authz.Config) []string {
	if !c.LoopbackUpstream() {
		return nil
	}
	return taking(c.Upstream.Hostname(), listenersOf(c))
}

// taking picks the sockets that take connections to a host on loopback. The kernel prefers those bound to the very address
// to those bound to any, and these to those of IPv6, which take IPv4 as well.
func taking(host string, all []listener) (inodes []string) {
	v4, v6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	order := []netip.Addr{v4, v6, netip.IPv4Unspecified(), netip.IPv6Unspecified()} // of localhost
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().Is4() {
		order = []netip.Addr{ip.Unmap(), netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	} else if err == nil {
		order = []netip.Addr{ip, netip.IPv6Unspecified()}
	}
	for _, address := range order {
		for _, l := range all {
			if l.at.Addr().Unmap() == address {
				inodes = append(inodes, l.inode)
			}
		}
		if len(inodes) > 0 {
			break
		}
	}
	return inodes
}
