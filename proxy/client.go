package proxy

import (
	"context"
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
	w, err := readWebConfig(c.WebConfigFile)
	if err != nil {
		return err
	}
	scheme, client := adminClient(w)
	request, err := http.NewRequestWithContext(ctx, method, scheme+"://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return err
	}
	request.Host = "localhost" // whatever name the listener was given: /drain answers to no other
	response, err := client.Do(request)
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
