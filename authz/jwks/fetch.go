package jwks

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxBody is how long a document may be, in bytes.
const maxBody = 1 << 20

// client fetches the documents of one issuer.
type client struct {
	o    Options
	http *http.Client
}

func newClient(o Options) *client {
	transport := &http.Transport{ // no proxy: HTTP_PROXY is for the gateway
		TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        30 * time.Second,
		MaxIdleConns:           2,
	}
	return &client{o: o, http: &http.Client{Transport: transport, CheckRedirect: sameHost}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// sameHost follows no redirect to another host, nor from https to http.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if next.URL.Host != first.Host || next.URL.Scheme != first.Scheme {
		return fmt.Errorf("redirected to another host or scheme (%s)", next.URL.Host)
	}
	if len(via) > 3 {
		return errors.New("redirected too often")
	}
	return nil
}

// CheckURL tells whether keys may be fetched from an address: over https, or over http from loopback or where that is
// explicitly allowed.
func CheckURL(address string, insecure bool) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("want an https address")
	case !HasHost(u):
		return errors.New("want an address with a host, and a port from 1 to 65535 or none")
	case u.User != nil:
		return errors.New("holds a user: want an address without")
	case u.Scheme == "http" && !insecure && !Loopback(u.Hostname()):
		return errors.New("http: want https, or insecure_http: true")
	}
	return nil
}

// HasHost tells whether an address names a host, and a port that there can be.
func HasHost(u *url.URL) bool {
	n, err := strconv.Atoi(u.Port())
	return u.Hostname() != "" && (u.Port() == "" || err == nil && n >= 1 && n <= 65535)
}

// Loopback tells whether a host is this machine.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// fetch gets the key set, by way of the discovery document if there is one.
func (c *client) fetch(ctx context.Context) ([]key, error) {
	address := c.o.URL
	if c.o.DiscoveryURL != "" {
		var document struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		text, err := c.get(ctx, c.o.DiscoveryURL)
		if err != nil {
			return nil, fmt.Errorf("discovery document: %w", err)
		}
		if err := json.Unmarshal(text, &document); err != nil {
			return nil, errors.New("discovery document: not JSON")
		}
		if document.Issuer != c.o.Issuer { // RFC 8414, section 3.3
			return nil, fmt.Errorf("discovery document: is of issuer %.64q, want %q", document.Issuer, c.o.Issuer)
		}
		if err := CheckURL(document.JWKSURI, c.o.InsecureHTTP); err != nil {
			return nil, fmt.Errorf("discovery document: jwks_uri: %w", err)
		}
		if strings.HasPrefix(strings.ToLower(c.o.DiscoveryURL), "https:") && !strings.HasPrefix(strings.ToLower(document.JWKSURI), "https:") && !c.o.InsecureHTTP { // whatever it may be of this machine
			return nil, errors.New("discovery document: jwks_uri: http: want https, as the document itself, or insecure_http: true")
		}
		address = document.JWKSURI
	}
	text, err := c.get(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	keys, err := parse(text, c.o.Algorithms)
	if err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	return keys, nil
}

func (c *client) get(ctx context.Context, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json, application/jwk-set+json")
	r.Header.Set("User-Agent", "envgate")
	answer, err := c.http.Do(r)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // whose text repeats the address
			err = u.Err
		}
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %d, want 200", answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxBody {
		return nil, fmt.Errorf("longer than %d bytes", maxBody)
	}
	return text, nil
}
