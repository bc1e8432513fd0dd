package proxy

import (
	"net/http"
	"sync"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// leases tie open streams to the tokens that they were opened with: a stream ends when the first of its tokens expires,
// and when a new configuration, or an issuer's new keys, would refuse its request. A nil one ties nothing.
type leases struct {
	metrics *metrics.Metrics
	leeway  time.Duration
	grace   time.Duration // how long a stream may take to end
	rules   func() *rules

	mu   sync.Mutex
	open map[*lease]struct{}
}

// lease is one stream with its request, which net/http holds as long as the stream is open: no token is copied.
type lease struct {
	request  *http.Request
	w        http.ResponseWriter
	kind     string
	stream   stream
	accepted int // tokens that went on
	until    time.Time
	timer    *time.Timer // to its expiry; once it is being ended, to its abortion
	released bool
}

// endGrace is how long a stream that is being ended may wait for its upstream or its client.
const endGrace = 5 * time.Second

// policyViolation is the close code of an endpoint whose policy a connection no longer meets (RFC 6455, section 7.4.1).
const policyViolation = 1008

// newLeases returns nil where streams outlive their tokens: by default, and in report mode, which ends nothing.
func newLeases(c *authz.Config, m *metrics.Metrics, rules func() *rules) *leases {
	if !c.StreamsEndAtExpiry || c.Mode == authz.ModeReport {
		return nil
	}
	return &leases{metrics: m, leeway: c.Leeway, grace: endGrace, rules: rules, open: map[*lease]struct{}{}}
}

// openStream counts a stream in, and ties it to its tokens.
func (e *exchange) openStream(kind string, s stream) {
	closed := e.p.streams.add(kind, s)
	e.streamClosed = closed
	if e.p.leases == nil {
		return
	}
	release := e.p.leases.add(e, kind, s)
	e.streamClosed = func() { release(); closed() }
}

// add ties a stream; the returned function unties it.
func (ls *leases) add(e *exchange, kind string, s stream) (release func()) {
	l := &lease{request: e.r, w: e.w, kind: kind, stream: s}
	l.accepted, l.until = accepted(&e.decision)
	ls.mu.Lock()
	ls.open[l] = struct{}{}
	if !l.until.IsZero() {
		l.until = l.until.Add(ls.leeway)
		l.timer = time.AfterFunc(time.Until(l.until), func() { ls.expire(l) })
	}
	ls.mu.Unlock()
	if now := ls.rules(); now != e.rules { // a reload came between, and may have looked at the streams already
		go ls.judge(l, now.guard)
	}
	return func() { ls.release(l) }
}

// accepted counts the tokens that were accepted, all of which went on, and says when the first of them expires; never, if
// none does.
func accepted(d *authz.Decision) (n int, until time.Time) {
	for i := range d.Tokens {
		v := &d.Tokens[i]
		if v.Reason != authz.None {
			continue
		}
		n++
		if !v.Expiry.IsZero() && (until.IsZero() || v.Expiry.Before(until)) {
			until = v.Expiry
		}
	}
	return n, until
}

func (ls *leases) release(l *lease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	delete(ls.open, l)
	l.released = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// expire ends a stream whose time has come by the clock that tokens are judged by, which may have been set meanwhile.
func (ls *leases) expire(l *lease) {
	if left := time.Until(l.until); left > 0 {
		ls.mu.Lock()
		if !l.released {
			l.timer.Reset(left)
		}
		ls.mu.Unlock()
		return
	}
	ls.end(l, metrics.EndedAtExpiry)
}

// judgeAll judges the requests of all open streams anew.
func (ls *leases) judgeAll() {
	if ls == nil {
		return
	}
	ls.mu.Lock()
	open := make([]*lease, 0, len(ls.open))
	for l := range ls.open {
		open = append(open, l)
	}
	ls.mu.Unlock()
	guard := ls.rules().guard
	for _, l := range open {
		ls.judge(l, guard)
	}
}

// judge ends a stream whose request would be refused now, or would go on with fewer tokens.
func (ls *leases) judge(l *lease, guard *authz.Guard) {
	d := guard.Check(l.request)
	for i := range d.Tokens {
		if d.Tokens[i].Reason == authz.KeysUnavailable { // nothing is known against it
			return
		}
	}
	if n, _ := accepted(&d); d.Outcome == authz.Refused || n < l.accepted {
		ls.end(l, metrics.EndedAsRefused)
	}
}

// end ends a stream once.
func (ls *leases) end(l *lease, cause string) {
	ls.mu.Lock()
	_, open := ls.open[l]
	delete(ls.open, l)
	if open {
		if l.timer != nil {
			l.timer.Stop()
		}
		l.timer = time.AfterFunc(ls.grace, func() { ls.abort(l) })
	}
	ls.mu.Unlock()
	if !open {
		return
	}
	ls.metrics.StreamEnded(l.kind, cause)
	go l.stream.end(policyViolation) // a stuck upstream must not hold up the other streams
}

// abort breaks a stream off that can't be ended: its upstream is silent in the middle of a frame, or its client takes
// nothing.
func (ls *leases) abort(l *lease) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.released { // the connection may be serving another request
		return
	}
	l.stream.abort()
	_ = http.NewResponseController(l.w).SetWriteDeadline(time.Now()) // not of a WebSocket, whose connection was taken over
}
