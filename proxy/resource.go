package proxy

import (
	"net/http"
	"strconv"

	"envgate/authz"
)

// resource is the metadata of the protected resource (RFC 9728).
type resource struct {
	path     string
	document []byte // that envgate serves itself; nil: none
	address  string // for challenges; empty: none

	config *authz.Config
}

func newResource(c *authz.Config) resource {
	address, path := c.ResourceMetadata()
	return resource{path, c.ResourceDocument(), address, c}
}

// serves tells whether a request asks for the document. Nothing of it reaches the gateway, so no token is needed.
func (m *resource) serves(r *http.Request) bool {
	return m.document != nil && r.URL.EscapedPath() == m.path && (r.Method == http.MethodGet || r.Method == http.MethodHead || authz.IsPreflight(r))
}

// of is the address of the metadata for the challenge to a request; empty where that is for something else.
func (m *resource) of(r *http.Request) string {
	if m.address == "" || !m.config.Policy.ProtectedResource.Describes(r.URL.EscapedPath(), m.config.RootPath) {
		return ""
	}
	return m.address
}

// describe answers with the document, which any origin may read: it says nothing that a challenge doesn't.
func (e *exchange) describe() {
	m, h := &e.rules.resource, e.w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	e.closeUnread(h)
	if e.r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "*")
		e.own(http.StatusNoContent)
		e.w.WriteHeader(http.StatusNoContent)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(m.document)))
	h.Set("Cache-Control", "public, max-age=300")
	e.own(http.StatusOK)
	e.w.WriteHeader(http.StatusOK)
	if e.r.Method == http.MethodGet {
		_, _ = e.w.Write(m.document)
	}
}
