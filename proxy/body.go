package proxy

import (
	"errors"
	"io"
	"net/http"

	"envgate/metrics"
)

// requestBody watches the client's body on its way: whether it could be read, and what its trailers are.
type requestBody struct {
	io.ReadCloser
	e    *exchange
	left int64 // bytes that may follow, where their number is bounded
}

const bodyTooLarge = "The request body is too large"

var errBodyTooLarge = errors.New("the request body is too large")

// watchBody makes trailers pass: ReverseProxy clones the trailer map before the server has read the values into it.
// Sharing the map sends them on; protected names are taken out when the body has ended, before they are written.
func (e *exchange) watchBody(out *http.Request) {
	if e.r.ContentLength < 0 {
		if e.r.Trailer == nil {
			e.r.Trailer = http.Header{} // undeclared trailers are merged into it
		}
		e.rules.headers.stripTrailers(e.r.Trailer)
		out.Trailer = e.r.Trailer
	}
	out.Body = &requestBody{out.Body, e, e.rules.config.MaxBodyBytes}
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if most := b.e.rules.config.MaxBodyBytes; most > 0 {
		if b.left -= int64(n); b.left < 0 {
			if !b.e.longBody.Swap(true) {
				b.e.p.metrics.Limited(metrics.LimitBodyBytes)
			}
			return 0, errBodyTooLarge
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		b.e.rules.headers.stripTrailers(b.e.r.Trailer)
	case err != nil:
		b.e.badBody.Store(true)
	}
	return n, err
}
