package proxy

import (
	"net/http"
	"sync/atomic"

	"envgate/authz"
	"envgate/metrics"
)

// limits bound requests before they are judged.
type limits struct {
	metrics  *metrics.Metrics
	requests int64 // at once
	headers  int   // lines
	bytes    int   // of request line and headers
	body     int64 // declared bytes
	under    atomic.Int64
}

func newLimits(c *authz.Config, m *metrics.Metrics) *limits {
	return &limits{metrics: m, requests: int64(AtOnce(c).Requests), headers: c.MaxHeaders, bytes: c.HeaderBytes(), body: c.MaxBodyBytes}
}

// enter counts a request in until leave, and tells whether it is over a limit, and by what decision it is refused then.
func (l *limits) enter(r *http.Request, d *authz.Decision) (over bool) {
	lines, size := headSize(r)
	switch {
	case l.under.Add(1) > l.requests:
		*d = l.over(metrics.LimitRequests, http.StatusServiceUnavailable, "Too many requests at once")
	case l.headers > 0 && lines > l.headers:
		*d = l.over(metrics.LimitHeaders, http.StatusRequestHeaderFieldsTooLarge, "Too many header lines")
	case size > l.bytes:
		*d = l.over(metrics.LimitHeaderBytes, http.StatusRequestHeaderFieldsTooLarge, "Request headers too long")
	case l.body > 0 && r.ContentLength > l.body:
		*d = l.over(metrics.LimitBodyBytes, http.StatusRequestEntityTooLarge, bodyTooLarge)
	default:
		return false
	}
	return true
}

func (l *limits) leave() { l.under.Add(-1) }

func (l *limits) over(limit string, status int, detail string) authz.Decision {
	l.metrics.Limited(limit)
	return authz.OverLimit(status, detail)
}

// headSize is how many lines a request's headers have, and how many bytes they and the request line have in HTTP/1.1. Host isn't
// a line among them.
func headSize(r *http.Request) (lines, size int) {
	size = len(r.Method) + len(r.RequestURI) + len(" ") + len(" HTTP/1.1\r\n") + len("Host: \r\n") + len(r.Host) + len("\r\n")
	for name, values := range r.Header {
		lines += len(values)
		for _, v := range values {
			size += len(name) + len(": ") + len(v) + len("\r\n")
		}
	}
	return lines, size
}

// headSlack is what net/http takes beyond the limit on headers, so that what is little over it is refused and counted here; over
// HTTP/2 it counts 32 bytes more for each line, and ends the connection.
const headSlack = 16 << 10
