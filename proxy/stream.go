package proxy

import (
	"io"
	"mime"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"envgate/metrics"
)

// streams knows every open stream, so that a drain can end each of them properly.
type streams struct {
	metrics *metrics.Metrics
	mu      sync.Mutex
	open    map[stream]struct{}
	closing bool // a stream that opens now is ended at once
}

// stream is an answer that doesn't end by itself.
type stream interface {
	end(code uint16) // properly; of a WebSocket with a close code
	abort()          // at once
}

func newStreams(m *metrics.Metrics) *streams {
	return &streams{metrics: m, open: map[stream]struct{}{}}
}

// add counts a stream in; the returned function takes it out again.
func (s *streams) add(kind string, st stream) (closed func()) {
	counted := s.metrics.StreamOpened(kind)
	s.mu.Lock()
	s.open[st] = struct{}{}
	if s.closing {
		go st.end(goingAway)
	}
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.open, st)
		s.mu.Unlock()
		counted()
	}
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// close makes every stream end that opens from now on.
func (s *streams) close() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
}

// endAll ends the open streams in turn, spread over at most the given time, so that their clients don't all come back
// elsewhere at once.
func (s *streams) endAll(over time.Duration) {
	s.mu.Lock()
	open := make([]stream, 0, len(s.open))
	for st := range s.open {
		open = append(open, st)
	}
	s.mu.Unlock()
	if len(open) == 0 {
		return
	}
	pause := min(over/time.Duration(len(open)), 20*time.Millisecond)
	for _, st := range open {
		go st.end(goingAway) // one that a stuck upstream holds up must not hold up the others
		time.Sleep(pause)
	}
}

func (e *exchange) closeStream() {
	if e.streamClosed != nil {
		e.streamClosed()
	}
}

func isEventStream(h http.Header) bool {
	v := h.Get("Content-Type")
	if len(v) < len("text/event-stream") {
		return false
	}
	kind, _, _ := mime.ParseMediaType(v)
	return kind == "text/event-stream"
}

// eventStream is the body of a text/event-stream answer.
type eventStream struct {
	io.ReadCloser
	ended atomic.Bool
}

func (e *exchange) openEventStream(res *http.Response) {
	s := &eventStream{ReadCloser: res.Body}
	res.Body = s
	e.openStream("sse", s)
}

// end lets the client see a complete answer: the connection to the upstream is closed, and the body just ends.
func (s *eventStream) end(uint16) {
	s.ended.Store(true)
	_ = s.Close()
}

func (s *eventStream) abort() { _ = s.Close() }

func (s *eventStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && s.ended.Load() {
		err = io.EOF
	}
	return n, err
}
