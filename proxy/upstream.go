package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// upstream is the one server behind the sidecar.
type upstream struct {
	url       *url.URL
	direct    *connections    // for all that it can do
	transport *http.Transport // for upgrades and Expect, each on a connection of its own
	buffers   bufferPool
	errorLog  *log.Logger
}

// current gives the configuration in force: certificates of a reload hold for new connections.
func newUpstream(c *authz.Config, current func() *authz.Config, logger *slog.Logger, m *metrics.Metrics) *upstream {
	u := &upstream{url: c.Upstream, errorLog: quietLog(logger, m)}
	if c.Upstream.Scheme == "unix" {
		u.url = &url.URL{Scheme: "http", Host: "unix"}
	}
	dial := dialer(c, current)
	u.direct = &connections{
		// They close before the gateway's own keep-alive does, so that no request races into a closing connection.
		dial: dial, idleTimeout: c.UpstreamIdleTimeout, answerTimeout: c.UpstreamResponseTimeout,
		brokenOff: func() { m.UpstreamError("reset") },
	}
	dialAny := func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }
	u.transport = &http.Transport{
		Proxy:       nil, // HTTP_PROXY is not for a neighbour in the same pod
		DialContext: dialAny, DialTLSContext: dialAny,
		DisableKeepAlives:      true, // it would offer a connection to the next request before it knows that nothing follows the answer
		DisableCompression:     true, // or the answer would be decompressed on the way
		ExpectContinueTimeout:  time.Second,
		ResponseHeaderTimeout:  c.UpstreamResponseTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}
	return u
}

// dialer makes connections to the upstream, with HTTP/1.1 on them.
func dialer(c *authz.Config, current func() *authz.Config) func(context.Context) (net.Conn, error) {
	plain := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	address := c.Upstream.Host
	if c.Upstream.Port() == "" {
		address = net.JoinHostPort(c.Upstream.Hostname(), map[string]string{"http": "80", "https": "443"}[c.Upstream.Scheme])
	}
	switch c.Upstream.Scheme {
	case "unix":
		address = c.Upstream.Path
		return func(ctx context.Context) (net.Conn, error) { return plain.DialContext(ctx, "unix", address) }
	case "https":
		return func(ctx context.Context) (net.Conn, error) {
			settings := current().UpstreamTLS.Clone()
			settings.NextProtos = []string{"http/1.1"}
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // the handshake, too
			defer cancel()
			conn, err := (&tls.Dialer{NetDialer: plain, Config: settings}).DialContext(ctx, "tcp", address)
			if err != nil { // of the handshake, too: nothing was sent
				return nil, &net.OpError{Op: "dial", Net: "tls", Err: err}
			}
			return conn, nil
		}
	}
	return func(ctx context.Context) (net.Conn, error) { return plain.DialContext(ctx, "tcp", address) }
}

// roundTrip sends a request.
func (u *upstream) roundTrip(r *http.Request) (*http.Response, error) {
	if r.Header["Upgrade"] != nil || r.Header["Expect"] != nil {
		return u.transport.RoundTrip(r)
	}
	return u.direct.RoundTrip(r)
}

// bufferPool lends the buffers that bodies are copied with: without it, ReverseProxy makes one for every answer.
type bufferPool struct{ pool sync.Pool }

type buffer [32 << 10]byte

func (b *bufferPool) Get() []byte {
	if p, ok := b.pool.Get().(*buffer); ok {
		return p[:]
	}
	return new(buffer)[:]
}

func (b *bufferPool) Put(p []byte) { b.pool.Put((*buffer)(p)) }

// exchange is one request on its way through: ReverseProxy's hooks are its methods, so that they know the decision.
type exchange struct {
	p        *Proxy
	rules    *rules
	w        http.ResponseWriter
	r        *http.Request
	decision authz.Decision
	started  time.Time
	sent     time.Time
	received time.Time
	body     *requestBody // nil without one

	proxy        httputil.ReverseProxy
	status       int
	source       string
	streamClosed func()
}

// flushInterval is how long a part of an answer of known length may wait for more; streams are flushed at once.
const flushInterval = 20 * time.Millisecond

// forward sends the request on. Nothing is retried that net/http would not retry: requests without a body, of
// idempotent methods, on a connection that was reused and had answered nothing yet.
func (e *exchange) forward() {
	defer e.closeStream()
	u := e.p.upstream
	e.proxy = httputil.ReverseProxy{
		Rewrite: e.rewrite, Transport: e, ModifyResponse: e.modifyResponse, ErrorHandler: e.fail,
		BufferPool: &u.buffers, ErrorLog: u.errorLog, FlushInterval: flushInterval,
	}
	e.proxy.ServeHTTP(e.w, e.r)
}

// rewrite makes the outgoing request. ReverseProxy has dropped the hop-by-hop headers and those that the client named
// so, and may have re-encoded the query: what was judged is put in their place.
func (e *exchange) rewrite(pr *httputil.ProxyRequest) {
	out, forward := pr.Out, e.decision.Forward
	out.URL.Scheme, out.URL.Host = e.p.upstream.url.Scheme, e.p.upstream.url.Host
	out.Host = e.r.Host
	out.URL.RawQuery = forward.RawQuery
	setHeader(out.Header, e.rules.config.AuthHeader, forward.AuthHeader)
	setHeader(out.Header, "Cookie", forward.Cookie)
	if e.rules.config.AuthHeader != "Authorization" {
		setHeader(out.Header, "Authorization", forward.Authorization)
	}
	e.rules.headers.apply(e.r, out)
	if e.rules.guard.Issuance(e.r.Method, e.r.URL.Path) != nil {
		out.Header["Accept-Encoding"] = []string{"identity"} // its answer is read
	}
	e.passTrailers(out)
}

func setHeader(h http.Header, name string, values []string) {
	if values == nil {
		delete(h, name)
		return
	}
	h[name] = values
}

// RoundTrip implements http.RoundTripper around the transport, to know how long the upstream took.
func (e *exchange) RoundTrip(out *http.Request) (*http.Response, error) {
	e.sent = time.Now()
	res, err := e.p.upstream.roundTrip(out)
	e.received = time.Now()
	return res, err
}

var (
	errUnaskedUpgrade = errors.New("the upstream switched protocols unasked")
	errOddStatus      = errors.New("the upstream answered with an impossible status")
)

// modifyResponse sees every answer of the upstream, before its headers go to the client.
func (e *exchange) modifyResponse(res *http.Response) error {
	took := e.received.Sub(e.started)
	h := e.w.Header()
	h["Date"], h["Content-Type"] = nil, nil // or net/http would add what the upstream left out
	switch {
	case res.StatusCode < 100:
		return errOddStatus
	case res.StatusCode == http.StatusSwitchingProtocols:
		if !authz.WebSocket(e.r.Header) || !authz.WebSocket(res.Header) {
			return errUnaskedUpgrade
		}
		took = 0
		e.openWebSocket(res)
	case isEventStream(res.Header):
		took = 0
		e.openEventStream(res)
	}
	e.embed(res)
	if a, ok := res.Body.(*roundTrip); ok && a.arrived(res.ContentLength) {
		e.proxy.FlushInterval = 0 // it needs no timer for parts
	}
	if res.StatusCode != http.StatusSwitchingProtocols && (e.last() || e.sending(sendingMayOutlast)) {
		res.Header.Set("Connection", "close")
	}
	e.answered(res.StatusCode, metrics.FromUpstream, took)
	e.p.metrics.Overhead(e.sent.Sub(e.started) + time.Since(e.received))
	return nil
}

func (e *exchange) answered(status int, source string, took time.Duration) {
	e.status, e.source = status, source
	e.p.metrics.Answered(e.r.Method, status, source, took)
}

// fail answers when the upstream did not.
func (e *exchange) fail(_ http.ResponseWriter, _ *http.Request, err error) {
	why := e.body.failure()
	if e.r.Context().Err() != nil && why != bodyLate { // for which net/http ends the context, too
		e.p.metrics.ClientCanceled()
		panic(http.ErrAbortHandler) // nobody is there to read an answer
	}
	if why != nil {
		e.problem(why.status, why.p)
		return
	}
	kind, status, detail := upstreamError(err)
	e.p.metrics.UpstreamError(kind)
	e.p.log.upstream(kind, err, e.r)
	e.problem(status, problem{Title: http.StatusText(status), Detail: detail, Kind: kind})
}

// upstreamError sorts an error into one of metrics.UpstreamErrorKinds.
func upstreamError(err error) (kind string, status int, detail string) {
	var timeout net.Error
	var op *net.OpError
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout", http.StatusGatewayTimeout, "The gateway did not answer in time"
	case errors.As(err, &op) && op.Op == "dial":
		return "connect", http.StatusBadGateway, "The gateway can't be reached"
	}
	return "reset", http.StatusBadGateway, "The gateway broke off the connection"
}
