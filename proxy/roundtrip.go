package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// sendingMayOutlast is how long a request's body may still be under way when its answer has ended, before the connection is
// given up.
const sendingMayOutlast = 50 * time.Millisecond

// roundTrip is the way of one request over a connection, and the body of its answer.
type roundTrip struct {
	c        *connection
	body     io.ReadCloser
	stop     func() bool // of the request's context
	sent     chan error  // what came of a body that is sent while the answer is read; nil without one
	reusable bool        // the connection, once the body is read
	begun    atomic.Bool // the answer: its header is here
	ended    atomic.Bool
}

// ask sends a request and reads the header of its answer. The connection ends with an error, or with the answer's body.
func (c *connection) ask(r *http.Request) (*http.Response, error) {
	c.unread, c.began = maxAnswerHeader, false
	a := &roundTrip{c: c, stop: context.AfterFunc(r.Context(), c.abort)}
	err := a.send(r)
	var res *http.Response
	if err == nil {
		res, err = c.receive(r)
	}
	if err != nil {
		a.end(false)
		if canceled := r.Context().Err(); canceled != nil {
			err = canceled
		}
		return nil, err
	}
	a.begin()
	a.reusable = !res.Close && !r.Close && res.StatusCode != http.StatusSwitchingProtocols
	if res.Body == http.NoBody || res.ContentLength == 0 {
		a.end(a.reusable)
		return res, nil
	}
	a.body, res.Body = res.Body, a
	return res, nil
}

// send writes a request. Its body is written by a goroutine of its own, for an answer may come before the body's end.
func (a *roundTrip) send(r *http.Request) error {
	if r.Body == nil {
		err := a.c.write(r)
		a.await()
		return err
	}
	a.sent = make(chan error, 1)
	sent := *r
	body := &sentBody{ReadCloser: r.Body}
	sent.Body = body
	go func() {
		err := a.c.write(&sent)
		if body.failed {
			_ = a.c.Close() // the upstream would wait for the rest, and the answer with it
		}
		a.await()
		a.sent <- err
	}()
	return nil
}

// await bounds the time until the answer begins, from when the request is sent.
func (a *roundTrip) await() {
	timeout := a.c.home.answerTimeout
	if timeout == 0 || a.begun.Load() {
		return
	}
	_ = a.c.SetReadDeadline(time.Now().Add(timeout))
	if a.begun.Load() { // meanwhile
		_ = a.c.SetReadDeadline(time.Time{})
	}
}

// begin ends that bound.
func (a *roundTrip) begin() {
	a.begun.Store(true)
	if a.c.home.answerTimeout > 0 {
		_ = a.c.SetReadDeadline(time.Time{})
	}
}

// sentBody notices that the client's body can't be read to its end.
type sentBody struct {
	io.ReadCloser
	failed bool
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed = true
	}
	return n, err
}

// arrived tells whether a body of known length is here already.
func (a *roundTrip) arrived(length int64) bool {
	return length >= 0 && length <= int64(a.c.in.Buffered())
}

// Read implements io.Reader. At its end the connection is free.
func (a *roundTrip) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		a.end(a.reusable)
	case err != nil && a.end(false):
		a.c.home.brokenOff()
	}
	return n, err
}

// Close implements io.Closer. Before the end, it costs the connection.
func (a *roundTrip) Close() error {
	a.end(false)
	return nil
}

// end gives the connection back, or up. It tells whether nobody had done so before: the client by leaving, or whoever ends a
// stream that another goroutine reads.
func (a *roundTrip) end(reusable bool) (first bool) {
	if a.ended.Swap(true) {
		return false
	}
	first = a.stop()
	if !first || !reusable || a.c.in.Buffered() > 0 || !a.isSent() {
		_ = a.c.Close()
		return first
	}
	a.c.home.put(a.c)
	return true
}

// isSent tells whether the whole request was sent.
func (a *roundTrip) isSent() bool {
	if a.sent == nil {
		return true
	}
	select {
	case err := <-a.sent:
		return err == nil
	case <-time.After(sendingMayOutlast):
		return false
	}
}
