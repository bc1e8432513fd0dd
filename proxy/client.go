package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"envgate/authz"
)

// Healthcheck asks the sidecar in this pod whether it is live or ready: what a probe runs. It returns nil if so.
func Healthcheck(c *authz.Config, live bool) error {
	path := "/readyz"
	if live {
		path = "/livez"
	}
	return ask(c, http.MethodGet, path, 5*time.Second)
}

// RequestDrain tells the sidecar in this pod to drain, and waits until its delay has passed: what a preStop hook runs. The
// delay is the sidecar's own setting, of at most ten minutes.
func RequestDrain(c *authz.Config) error {
	return ask(c, http.MethodPost, "/drain", 11*time.Minute)
}

func ask(c *authz.Config, method, path string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	host, port, _ := net.SplitHostPort(c.AdminListen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	schemes := []string{"http"}
	if c.WebConfigFile != "" { // the file may have changed since: what the listener speaks is what it was started with
		schemes = []string{"https", "http"}
	}
	response, err := askFirst(ctx, schemes, method, net.JoinHostPort(host, port)+path)
	if err != nil {
		return fmt.Errorf("no answer from the admin listener: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 256))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %d: %s", path, response.StatusCode, authz.Printable(strings.TrimSpace(string(body))))
	}
	return nil
}

// askFirst asks by the first scheme that the admin listener speaks. Its certificate is not verified: it is for the name by
// which others call, and whoever listens on this pod's loopback in envgate's place holds the pod already.
func askFirst(ctx context.Context, schemes []string, method, address string) (response *http.Response, err error) {
	client := &http.Client{Transport: &http.Transport{ // and no HTTP_PROXY
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true},
	}}
	for _, scheme := range schemes {
		request, invalid := http.NewRequestWithContext(ctx, method, scheme+"://"+address, nil)
		if invalid != nil {
			return nil, invalid
		}
		request.Host = "localhost" // whatever name the listener was given: /drain answers to no other
		if response, err = client.Do(request); !errors.Is(err, http.ErrSchemeMismatch) {
			break
		}
	}
	return response, err
}
