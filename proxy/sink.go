package proxy

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// Sink carries log lines to a writer that may stop taking them, as a pipe does that nobody reads any more: no request waits
// for it. Lines that find the queue full, or that the writer refuses (a full disk), are counted and gone.
type Sink struct {
	to   io.Writer
	more chan struct{} // there is something to write
	done chan struct{} // closed when all is written behind Close

	mu     sync.Mutex
	queue  []byte // whole lines
	closed bool
	lost   func(lines int)
	unsaid int // lost before there was anybody to tell
}

const (
	sinkBytes = 256 << 10   // of lines that wait, and again of those under way
	sinkFlush = time.Second // at most, at the end
)

// NewSink returns a sink before w, which is written to by one goroutine until Close.
func NewSink(w io.Writer) *Sink {
	s := &Sink{to: w, more: make(chan struct{}, 1), done: make(chan struct{})}
	go s.carry()
	return s
}

// OnLoss says who counts the lines that are lost, those so far included.
func (s *Sink) OnLoss(count func(lines int)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = count
	if s.unsaid > 0 {
		count(s.unsaid)
	}
}

// Write takes one or more whole lines. It never waits and never fails.
func (s *Sink) Write(lines []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.queue)+len(lines) > sinkBytes {
		s.lose(lines)
		return len(lines), nil
	}
	s.queue = append(s.queue, lines...)
	s.wake()
	return len(lines), nil
}

// Close writes what waits, and returns when that is done or has taken a second.
func (s *Sink) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wake()
	select {
	case <-s.done:
	case <-time.After(sinkFlush):
	}
}

func (s *Sink) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// lose counts lines; the lock is held.
func (s *Sink) lose(lines []byte) {
	n := bytes.Count(lines, []byte("\n"))
	if s.lost == nil {
		s.unsaid += n
		return
	}
	s.lost(n)
}

func (s *Sink) carry() {
	defer close(s.done)
	for {
		<-s.more
		s.mu.Lock()
		lines, closed := s.queue, s.closed
		s.queue = nil
		s.mu.Unlock()
		if len(lines) > 0 {
			if n, err := s.to.Write(lines); err != nil {
				s.mu.Lock()
				s.lose(lines[min(max(n, 0), len(lines)):])
				s.mu.Unlock()
			}
		}
		if closed {
			return
		}
	}
}
