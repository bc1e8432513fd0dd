package proxy

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"envgate/authz"
	"envgate/metrics"
)

// admission bounds the connections of a listener: what is over a limit is closed unanswered. It sees the peer's own
// address, which behind an ingress is the ingress's.
type admission struct {
	net.Listener
	metrics *metrics.Metrics
	most    int
	share   int // of one address; 0: any number

	mu      sync.Mutex
	open    int
	sources map[netip.Prefix]int // only where they are bounded
}

func admit(l net.Listener, c *authz.Config, m *metrics.Metrics) *admission {
	return &admission{Listener: l, metrics: m, most: AtOnce(c).Connections, share: c.MaxConnectionsPerAddress, sources: map[netip.Prefix]int{}}
}

// Accept implements net.Listener.
func (l *admission) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c, ok := conn.(*net.TCPConn)
		if !ok { // Start listens on TCP
			return conn, nil
		}
		source := netip.Prefix{}
		if l.share > 0 {
			source = addressBlock(peerAddress(c.RemoteAddr().String()))
		}
		if limit := l.enter(source); limit != "" {
			l.metrics.Limited(limit)
			_ = c.Close()
			continue
		}
		return &admitted{TCPConn: c, of: l, source: source}, nil
	}
}

// enter counts a connection in, or names the limit that it is over.
func (l *admission) enter(source netip.Prefix) (limit string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open >= l.most:
		return metrics.LimitConnections
	case l.share > 0 && l.sources[source] >= l.share:
		return metrics.LimitConnectionsPerAddress
	}
	l.open++
	if l.share > 0 {
		l.sources[source]++
	}
	return ""
}

func (l *admission) leave(source netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.share == 0 {
		return
	}
	if l.sources[source]--; l.sources[source] == 0 {
		delete(l.sources, source)
	}
}

// admitted is one that is counted until it is closed, by whoever has it then.
type admitted struct {
	*net.TCPConn
	of     *admission
	source netip.Prefix
	closed atomic.Bool
}

// Close implements net.Conn.
func (c *admitted) Close() error {
	if !c.closed.Swap(true) {
		c.of.leave(c.source)
	}
	return c.TCPConn.Close()
}

// headersTooLong is what net/http says of headers that are too long, before any handler: the way to count it.
const headersTooLong = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n431 Request Header Fields Too Large"

// Write implements net.Conn.
func (c *admitted) Write(p []byte) (int, error) {
	if len(p) == len(headersTooLong) && string(p) == headersTooLong {
		c.of.metrics.Limited(metrics.LimitHeaderBytes)
	}
	return c.TCPConn.Write(p)
}
