package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"envgate/authz"
)

// client asks the Kubernetes API server.
type client struct {
	server    string // without a slash at its end
	tokenFile string
	agent     string
	http      *http.Client
}

// Content types of patches.
const (
	jsonPatch  = "application/json-patch+json"
	mergePatch = "application/merge-patch+json"
	plainJSON  = "application/json"
)

const (
	lookupTimeout  = time.Second // while a Pod waits: the API server gives the webhook 3 s
	requestTimeout = 10 * time.Second
	mostBytes      = 64 << 20 // of an answer
)

func newClient(o Options) (*client, error) {
	server := o.Server
	if server == "" {
		host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
		if host == "" || port == "" {
			return nil, fmt.Errorf("server: missing: not in a cluster, so give the API server's URL")
		}
		server = "https://" + net.JoinHostPort(host, port)
		o.TokenFile = cmp.Or(o.TokenFile, serviceAccount+"token")
		o.CertificateAuthority = cmp.Or(o.CertificateAuthority, serviceAccount+"ca.crt")
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("server: %q: want a URL such as https://10.0.0.1:6443", authz.Printable(server))
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && o.TokenFile != "" && !ip.IsLoopback() {
		return nil, fmt.Errorf("server: %q: want https, for the token would travel in clear", authz.Printable(server))
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CertificateAuthority != "" {
		pem, err := os.ReadFile(o.CertificateAuthority)
		if err != nil {
			return nil, fmt.Errorf("certificate-authority: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificate-authority: %q: holds no PEM certificate", authz.Printable(o.CertificateAuthority))
		}
	}
	return &client{
		server: strings.TrimSuffix(server, "/"), tokenFile: o.TokenFile, agent: "envgate-webhook/" + o.Build.Version,
		http: &http.Client{
			Transport: &http.Transport{ // no proxy: the API server is a neighbour
				TLSClientConfig: settings, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: requestTimeout,
				DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConnsPerHost: 16, IdleConnTimeout: 90 * time.Second,
				// A watch may be silent for long: pings tell a quiet connection from a dead one.
				HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
			},
			// The token is for this server alone.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// apiError is an answer that isn't a success.
type apiError struct {
	code    int
	message string
}

func (e *apiError) Error() string { return fmt.Sprintf("API server: %d: %s", e.code, e.message) }

// answered tells whether an error is an answer of the API server with one of these codes.
func answered(err error, codes ...int) bool {
	var e *apiError
	return errors.As(err, &e) && slices.Contains(codes, e.code)
}

// send makes a request. The caller closes the body of the response, which is a success.
func (c *client) send(ctx context.Context, method, path string, query url.Values, contentType string, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(b)
	}
	target := c.server + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", plainJSON)
	request.Header.Set("User-Agent", c.agent)
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	if c.tokenFile != "" {
		token, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("token-file: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	var status struct{ Message string }
	if json.Unmarshal(text, &status) != nil || status.Message == "" {
		status.Message = http.StatusText(response.StatusCode)
	}
	return nil, &apiError{response.StatusCode, status.Message}
}

// ask makes a request and decodes the answer into a pointer; nil throws it away.
func (c *client) ask(ctx context.Context, method, path string, query url.Values, contentType string, body, into any) error {
	response, err := c.send(ctx, method, path, query, contentType, body)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	content := io.LimitReader(response.Body, mostBytes)
	if into == nil {
		_, err = io.Copy(io.Discard, content)
		return err
	}
	if err := json.NewDecoder(content).Decode(into); err != nil {
		return fmt.Errorf("%s %s: the answer is not JSON: %w", method, path, err)
	}
	return nil
}

// get reads an object, or fails after the timeout.
func (c *client) get(ctx context.Context, timeout time.Duration, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return c.ask(ctx, http.MethodGet, path, nil, "", nil, into)
}
