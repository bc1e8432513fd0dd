package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// requestBody watches the client's body on its way: how fast it comes, how long it is, whether it could be read, and what
// its trailers are.
type requestBody struct {
	io.ReadCloser
	e       *exchange
	control *http.ResponseController
	most    time.Duration // that it may be waited for at a time; 0: as long as the client likes
	wait    time.Duration // that is left of it
	left    int64         // bytes that may follow, where their number is bounded

	once    sync.Once
	read    chan struct{} // closed when it is, to its end
	failed  atomic.Pointer[bodyFailure]
	mu      sync.Mutex
	clock   *time.Timer
	waiting bool      // for the client
	until   time.Time // it is
	over    bool      // the request is: nobody waits any more
}

// bodyFailure is what a client is told of a body that can't be sent on.
type bodyFailure struct {
	status int
	p      problem
}

const (
	// bodyRate gives a second back for as many bytes, so that a body that keeps coming may last (as the MinRate of Apache's
	// RequestReadTimeout).
	bodyRate = 500
	// lingering is how long what a client is still sending is taken behind its answer: a connection that is closed before is
	// reset, and the answer may be lost with it.
	lingering = 500 * time.Millisecond

	bodyTooLarge = "The request body is too large"
)

var (
	bodyUnreadable = &bodyFailure{http.StatusBadRequest, problem{Title: "Bad Request", Detail: "The request body can't be read"}}
	bodyLong       = &bodyFailure{http.StatusRequestEntityTooLarge, problem{Title: "Request Entity Too Large", Detail: bodyTooLarge, Reason: authz.Limited}}
	bodyLate       = &bodyFailure{http.StatusRequestTimeout, problem{Title: "Request Timeout", Detail: "The request body did not come in time", Reason: authz.Limited}}
)

var errBodyTooLarge = errors.New("the request body is too large")

// watchBody puts itself in the place of the request's own body, until end.
func watchBody(e *exchange) *requestBody {
	c := e.rules.config
	b := &requestBody{
		ReadCloser: e.r.Body, e: e, control: http.NewResponseController(e.w),
		most: c.BodyTimeout, wait: c.BodyTimeout, left: c.MaxBodyBytes, read: make(chan struct{}),
	}
	e.r.Body = b
	return b
}

// failure is why the body could not be sent on; nil if it could.
func (b *requestBody) failure() *bodyFailure {
	if b == nil {
		return nil
	}
	return b.failed.Load()
}

// passTrailers makes trailers pass: ReverseProxy clones the trailer map before the server has read the values into it.
// Sharing the map sends them on; protected names are taken out when the body has ended, before they are written.
func (e *exchange) passTrailers(out *http.Request) {
	if e.r.ContentLength < 0 {
		if e.r.Trailer == nil {
			e.r.Trailer = http.Header{} // undeclared trailers are merged into it
		}
		e.rules.headers.stripTrailers(e.r.Trailer)
		out.Trailer = e.r.Trailer
	}
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.inTime(p)
	if b.e.rules.config.MaxBodyBytes > 0 {
		if b.left -= int64(n); b.left < 0 {
			if b.failed.CompareAndSwap(nil, bodyLong) {
				b.e.p.metrics.Limited(metrics.LimitBodyBytes)
			}
			return 0, errBodyTooLarge
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		b.once.Do(func() { close(b.read) })
		b.e.rules.headers.stripTrailers(b.e.r.Trailer)
	case err != nil:
		b.failed.CompareAndSwap(nil, bodyUnreadable)
	}
	return n, err
}

// inTime reads as long as the client may keep it waiting.
func (b *requestBody) inTime(p []byte) (int, error) {
	if b.most == 0 {
		return b.ReadCloser.Read(p)
	}
	b.await(true)
	n, err := b.ReadCloser.Read(p)
	b.await(false)
	b.wait = min(b.most, time.Until(b.until)+time.Duration(n)*time.Second/bodyRate)
	return n, err
}

// await starts or stops the clock.
func (b *requestBody) await(waiting bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = waiting
	if !waiting {
		b.clock.Stop()
		return
	}
	b.until = time.Now().Add(b.wait)
	if b.clock == nil {
		b.clock = time.AfterFunc(b.wait, b.giveUp)
	} else {
		b.clock.Reset(b.wait)
	}
}

// giveUp ends the reading that is under way. Why is said before, for net/http ends the request's context with it.
func (b *requestBody) giveUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting && !time.Now().Before(b.until) && !b.over && b.failed.CompareAndSwap(nil, bodyLate) {
		b.e.p.metrics.Limited(metrics.LimitBodyTime)
		_ = b.control.SetReadDeadline(time.Now())
	}
}

// isRead tells whether the body is, to its end, or will be within a moment.
func (b *requestBody) isRead(within time.Duration) bool {
	select {
	case <-b.read:
		return true
	default:
	}
	if within == 0 {
		return false
	}
	select {
	case <-b.read:
		return true
	case <-time.After(within):
		return false
	}
}

// Close implements io.Closer for who sends the body on: it may be called while another goroutine reads, for which net/http's
// would wait. The body is closed by end.
func (b *requestBody) Close() error { return nil }

// end gives the request its own body back when it is over. What the client is still sending is taken for a moment, with the
// answer sent before where its length is known; else net/http sends the rest of it first, and takes less. After a panic there
// is no answer, and the body is closed here: net/http uses its buffer again (golang/go issue 46866).
func (b *requestBody) end(panicked bool) {
	b.mu.Lock()
	b.over = true
	b.mu.Unlock()
	r := b.e.r
	r.Body = b.ReadCloser
	switch {
	case r.ProtoMajor != 1 || b.isRead(0):
	case panicked:
		_ = b.control.SetReadDeadline(time.Now())
	default:
		_ = b.control.SetReadDeadline(time.Now().Add(lingering))
		if b.e.w.Header().Get("Content-Length") != "" {
			_ = b.control.Flush()
			_, _ = io.Copy(io.Discard, b.ReadCloser)
		}
	}
	if panicked {
		_ = b.ReadCloser.Close()
	}
}
