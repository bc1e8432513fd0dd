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
	body     int64 // declared bytes
	under    atomic.Int64
}

func newLimits(c *authz.Config, m *metrics.Metrics) *limits {
	return &limits{metrics: m, requests: int64(affordable(c.MaxRequests, allowedDescriptors())), headers: c.MaxHeaders, body: c.MaxBodyBytes}
}

// enter counts a request in until leave, and tells whether it is over a limit, and by what decision it is refused then.
func (l *limits) enter(r *http.Request, d *authz.Decision) (over bool) {
	switch {
	case l.under.Add(1) > l.requests:
		*d = l.over(metrics.LimitRequests, http.StatusServiceUnavailable, "Too many requests at once")
	case l.headers > 0 && headerLines(r.Header) > l.headers:
		*d = l.over(metrics.LimitHeaders, http.StatusRequestHeaderFieldsTooLarge, "Too many header lines")
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

func headerLines(h http.Header) (n int) {
	for _, values := range h {
		n += len(values)
	}
	return n
}
