package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"envgate/authz"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/exporter-toolkit/web"
)

// webConfig is what envgate itself has to know of the admin listener's web configuration, the file that every Prometheus
// exporter takes (exporter-toolkit, docs/web-configuration.md). The toolkit reads it anew for each connection and request.
type webConfig struct {
	TLS *struct {
		Certificate     string `yaml:"cert"`
		CertificateFile string `yaml:"cert_file"`
	} `yaml:"tls_server_config"`
}

// CheckWebConfig tells what is wrong with the configuration of the admin listener, in one line.
func CheckWebConfig(c *authz.Config) error {
	_, err := readWebConfig(c.WebConfigFile)
	return err
}

// quoted is text of the file inside a message about it: it may be a password's hash or a key. So may the name of a field that
// is none be, or what stands where a path belongs.
var quoted = regexp.MustCompile("`[^`]*`|\"[^\"]*\"|\\bfield \\S{24,} not found|-----BEGIN .*")

func readWebConfig(path string) (w webConfig, err error) {
	if path == "" {
		return w, nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("ENVGATE_WEB_CONFIG_FILE (--web.config.file): %q: %w", authz.PrintablePath(path), err)
		}
	}()
	if is, err := os.Stat(path); err == nil && !is.Mode().IsRegular() && !is.IsDir() { // a pipe would hold up who opens it
		return w, errors.New("not a regular file")
	}
	if err := web.Validate(path); err != nil {
		var missing *os.PathError
		if errors.As(err, &missing) && missing.Path == path {
			return w, missing.Err
		}
		return w, errors.New(authz.Redact(quoted.ReplaceAllString(strings.Join(strings.Fields(err.Error()), " "), "[redacted]")))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return w, errors.Unwrap(err)
	}
	if yaml.Unmarshal(text, &w) != nil {
		return w, errors.New("not YAML") // which the toolkit would have said
	}
	return w, nil
}

// secure tells whether the admin listener serves TLS.
func (w webConfig) secure() bool { return w.TLS != nil }

// expiry is when the certificate expires, read from a file beside path; ok is false without one.
func (w webConfig) expiry(path string) (at time.Time, ok bool) {
	if !w.secure() {
		return at, false
	}
	text := []byte(w.TLS.Certificate)
	if file := w.TLS.CertificateFile; file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		text, _ = os.ReadFile(file)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return at, false
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return at, false
	}
	return leaf.NotAfter, true
}

// showAdminCertificate moves the gauge of the admin listener's certificate, and warns of one that has expired.
func (s *Server) showAdminCertificate() {
	path := s.config.WebConfigFile
	if w, err := readWebConfig(path); err == nil {
		if at, ok := w.expiry(path); ok {
			s.proxy.metrics.CertificateExpiry("admin", at)
			s.proxy.warnings.expired("admin", at)
		}
	}
}

// serveAdmin serves the admin listener, under the web configuration where there is one.
func (s *Server) serveAdmin(l net.Listener) error {
	path := s.config.WebConfigFile
	if path == "" {
		return s.admin.Serve(l)
	}
	open := s.admin.Handler
	s.admin.BaseContext = func(net.Listener) context.Context {
		// Called before the first connection, when the toolkit has put its handler, which asks for a password, before ours.
		s.admin.Handler = podPaths(open, s.admin.Handler)
		return context.Background()
	}
	return web.Serve(l, s.admin, &web.FlagConfig{WebConfigFile: &path}, slog.New(slog.DiscardHandler)) // a broken file is told by the reload
}

// podPaths lets the pod itself and its kubelet in without a password: health is one word, /drain answers to loopback
// alone, and /probe asks what the manifest says.
func podPaths(open, guarded http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/livez", "/readyz", "/drain", "/probe/"} {
		mux.Handle(path, open)
	}
	mux.Handle("/", guarded)
	return mux
}

// adminClient asks the admin listener of the same pod. The certificate is not verified: it is for the name by which others
// call, and whoever listens on this pod's loopback in envgate's place holds the pod already.
func adminClient(w webConfig) (scheme string, client *http.Client) {
	transport := &http.Transport{DisableKeepAlives: true} // and no HTTP_PROXY
	if !w.secure() {
		return "http", &http.Client{Transport: transport}
	}
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	return "https", &http.Client{Transport: transport}
}
