package proxy

import (
	"errors"
	"io"
	"net/http"
)

// requestBody watches the client's body on its way: whether it could be read, and what its trailers are.
type requestBody struct {
	io.ReadCloser
	e *exchange
}

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
	out.Body = &requestBody{out.Body, e}
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.e.rules.headers.stripTrailers(b.e.r.Trailer)
	case err != nil:
		b.e.badBody.Store(true)
	}
	return n, err
}
