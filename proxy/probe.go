package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"envgate/authz"
)

// probes runs the gateway's original probes for the kubelet, which reaches the admin listener, but not a loopback
// port. What a probe is asked too often is answered from its last run: anybody who reaches the listener may ask, and
// the gateway shall not notice.
type probes struct {
	known  map[string]*probe
	client *http.Client // HTTP/1.1, as the kubelet
	h2c    *http.Client // gRPC: HTTP/2 without TLS
}

type probe struct {
	authz.Probe
	mu    sync.Mutex
	ended time.Time
	err   error
}

const (
	probeFresh   = 500 * time.Millisecond
	probeTimeout = 30 * time.Second // the kubelet's own timeout is shorter, and ends the request
)

func newProbes(known map[string]authz.Probe) *probes {
	ps := &probes{known: map[string]*probe{}}
	for name, p := range known {
		ps.known[name] = &probe{Probe: p}
	}
	client := func(t *http.Transport) *http.Client {
		return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	ps.client = client(&http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 1 << 16})
	var h2c http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	ps.h2c = client(&http.Transport{Protocols: &h2c, DisableCompression: true})
	return ps
}

// ServeHTTP answers /probe/{container}/{kind}: 200 if the original probe passes, 503 if not.
func (ps *probes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, ok := ps.known[r.PathValue("container")+"/"+r.PathValue("kind")]
	if !ok {
		plainText(w, http.StatusNotFound, "no such probe\n")
		return
	}
	if err := ps.run(r.Context(), p); err != nil {
		plainText(w, http.StatusServiceUnavailable, err.Error()+"\n")
		return
	}
	plainText(w, http.StatusOK, "ok\n")
}

func (ps *probes) run(ctx context.Context, p *probe) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.ended) < probeFresh {
		return p.err
	}
	limited, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := ps.ask(limited, p.Probe)
	if ctx.Err() != nil {
		return ctx.Err() // says nothing of the gateway
	}
	p.ended, p.err = time.Now(), err
	return err
}

func (ps *probes) ask(ctx context.Context, p authz.Probe) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port()))
	switch {
	case p.HTTPGet != nil:
		return ps.get(ctx, address, p.HTTPGet)
	case p.GRPC != nil:
		return ps.health(ctx, address, p.GRPC.Service)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return errors.New("no connection")
	}
	return conn.Close()
}

// get is the kubelet's httpGet: 200 to 399 passes (pkg/probe/http).
func (ps *probes) get(ctx context.Context, address string, p *authz.HTTPProbe) error {
	path := p.Path
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return errors.New("not a path")
	}
	request.Header.Set("User-Agent", "kube-probe/envgate")
	request.Header.Set("Accept", "*/*")
	for _, h := range p.HTTPHeaders {
		if http.CanonicalHeaderKey(h.Name) == "Host" {
			request.Host = h.Value
		} else {
			request.Header.Set(h.Name, h.Value)
		}
	}
	response, err := ps.client.Do(request)
	if err != nil {
		return errors.New("no answer")
	}
	_ = response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 399 {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

// health is one call of grpc.health.v1.Health/Check, which is too little to ship a gRPC library for: a request message
// with the service's name (field 1), and SERVING (1) in field 1 of the answer.
func (ps *probes) health(ctx context.Context, address, service string) error {
	message := append(binary.AppendUvarint([]byte{0x0a}, uint64(len(service))), service...)
	if service == "" {
		message = nil
	}
	frame := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/grpc.health.v1.Health/Check", bytes.NewReader(frame))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	response, err := ps.h2c.Do(request)
	if err != nil {
		return errors.New("no answer")
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	if status := response.Header.Get("Grpc-Status") + response.Trailer.Get("Grpc-Status"); status != "0" {
		return fmt.Errorf("grpc status %s", authz.Printable(status))
	}
	if len(answer) != 7 || answer[5] != 0x08 || answer[6] != 1 {
		return errors.New("not serving")
	}
	return nil
}
