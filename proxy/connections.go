package proxy

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// connections are the HTTP/1.1 connections to the upstream. The goroutine that asks writes the request and reads the answer
// itself, where http.Transport hands both to goroutines of the connection and waits for them; and a connection serves another
// request only where nothing follows its last answer, which http.Transport learns too late. What is sent, and how an answer is
// read, is net/http's all the same (Request.Write, ReadResponse).
type connections struct {
	dial        func(context.Context) (net.Conn, error)
	idleTimeout time.Duration

	answerTimeout time.Duration // until an answer's header is here, from when the request is sent; 0: any time
	brokenOff     func()        // called where the upstream breaks off within an answer's body

	mutex sync.Mutex
	idle  []*connection // the one that was used last is last
	sweep *time.Timer   // runs while one may be idle
}

const maxIdleConnections = 512

// RoundTrip implements http.RoundTripper for requests without Upgrade and Expect. One without a body, of an idempotent
// method, is sent again where a connection that had served others broke off without a byte of an answer (RFC 9110, section
// 9.2.2); net/http's Transport does the same.
func (cs *connections) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		c, err := cs.take(r.Context())
		if err != nil {
			if r.Body != nil {
				_ = r.Body.Close()
			}
			return nil, err
		}
		res, err := c.ask(r)
		if err != nil && c.reused && !c.began && r.Body == nil && idempotent(r.Method) && r.Context().Err() == nil {
			continue
		}
		return res, err
	}
}

func idempotent(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// take gives an idle connection, or a new one.
func (cs *connections) take(ctx context.Context) (*connection, error) {
	for {
		c := cs.pop()
		if c == nil {
			break
		}
		if time.Since(c.since) < cs.idleTimeout && c.silent() {
			c.reused = true
			return c, nil
		}
		_ = c.Close()
	}
	conn, err := cs.dial(ctx)
	if err != nil {
		return nil, err
	}
	return newConnection(conn, cs), nil
}

func (cs *connections) pop() *connection {
	cs.mutex.Lock()
	defer cs.mutex.Unlock()
	last := len(cs.idle) - 1
	if last < 0 {
		return nil
	}
	c := cs.idle[last]
	cs.idle[last], cs.idle = nil, cs.idle[:last]
	return c
}

// put keeps a connection for the next request.
func (cs *connections) put(c *connection) {
	c.since = time.Now()
	cs.mutex.Lock()
	defer cs.mutex.Unlock()
	if len(cs.idle) == maxIdleConnections {
		_ = c.Close()
		return
	}
	cs.idle = append(cs.idle, c)
	if cs.sweep == nil {
		cs.sweep = time.AfterFunc(cs.idleTimeout, cs.closeOld)
	}
}

// closeOld closes the connections that have been idle for too long, and comes again as long as there are others.
func (cs *connections) closeOld() {
	cs.mutex.Lock()
	defer cs.mutex.Unlock()
	old := 0
	for old < len(cs.idle) && time.Since(cs.idle[old].since) >= cs.idleTimeout {
		_ = cs.idle[old].Close()
		old++
	}
	kept := copy(cs.idle, cs.idle[old:])
	clear(cs.idle[kept:])
	cs.idle = cs.idle[:kept]
	if cs.sweep = nil; kept > 0 {
		cs.sweep = time.AfterFunc(cs.idleTimeout-time.Since(cs.idle[0].since), cs.closeOld)
	}
}

// closeIdle closes all that are idle.
func (cs *connections) closeIdle() {
	for c := cs.pop(); c != nil; c = cs.pop() {
		_ = c.Close()
	}
}
