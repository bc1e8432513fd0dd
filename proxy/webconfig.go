package proxy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"envgate/authz"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2" // what the toolkit reads with: another one reads some texts differently
	"golang.org/x/time/rate"
)

// webConfig is what the web configuration of the admin listener says, the file that every Prometheus exporter takes
// (exporter-toolkit, docs/web-configuration.md), with the files that it names. The toolkit itself would read it anew for each
// connection and request, so that a broken one shut the listener, to the kubelet as well.
type webConfig struct {
	tls     *tls.Config // nil: plain HTTP
	expires time.Time   // the certificate
	files   []string    // that it names
	headers map[string]string
	limiter *rate.Limiter // nil: none
	asker   *passwords    // nil: no password is asked for
}

// CheckWebConfig tells what is wrong with the configuration of the admin listener, in one line.
func CheckWebConfig(c *authz.Config) error {
	_, err := readWebConfig(c.WebConfigFile)
	return err
}

// quoted is text of the file inside a message about it: it may be a password's hash or a key. So may the name of a field that
// is none be, or what stands where a path belongs.
var quoted = regexp.MustCompile("`[^`]*`|started with '[^']*'|\"[^\"]*\"|\\bfield \\S{24,} not found|-----BEGIN .*")

// readWebConfig reads a web configuration as a whole; without a path it is an empty one.
func readWebConfig(path string) (w *webConfig, err error) {
	if path == "" {
		return &webConfig{}, nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("ENVGATE_WEB_CONFIG_FILE (--web.config.file): %q: %w", authz.PrintablePath(path), err)
		}
	}()
	if is, err := os.Stat(path); err == nil && !is.Mode().IsRegular() && !is.IsDir() { // a pipe would hold up who opens it
		return nil, errors.New("not a regular file")
	}
	text, unread := os.ReadFile(path)
	if err := web.Validate(path); err != nil {
		var missing *os.PathError
		if errors.As(err, &missing) && missing.Path == path {
			return nil, missing.Err
		}
		return nil, withoutText(err)
	}
	if again, err := os.ReadFile(path); unread != nil || err != nil || !bytes.Equal(again, text) {
		return nil, errors.New("changed while it was read")
	}
	c := &web.Config{TLSConfig: web.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13}, HTTPConfig: web.HTTPConfig{HTTP2: true}} // as the toolkit presets them
	if err := yaml.UnmarshalStrict(text, c); err != nil {
		return nil, errors.New("not YAML") // which the toolkit would have said
	}
	c.TLSConfig.SetDirectory(filepath.Dir(path))
	w = &webConfig{headers: c.HTTPConfig.Header, asker: newPasswords(c.Users)}
	if r := c.RateLimiterConfig; r.Interval != 0 {
		w.limiter = rate.NewLimiter(rate.Every(r.Interval), r.Burst)
	}
	for _, file := range []string{c.TLSConfig.TLSCertPath, c.TLSConfig.TLSKeyPath, c.TLSConfig.ClientCAs} {
		if file != "" {
			w.files = append(w.files, file)
		}
	}
	if c.TLSConfig.IsEnabled() {
		if err := w.takeTLS(c); err != nil {
			return nil, withoutText(err)
		}
	}
	return w, nil
}

// takeTLS keeps the certificate as it is now.
func (w *webConfig) takeTLS(c *web.Config) error {
	settings, err := web.ConfigToTLSConfig(&c.TLSConfig)
	if err != nil {
		return err
	}
	pair, err := settings.GetCertificate(nil)
	if err != nil {
		return err
	}
	settings.Certificates, settings.GetCertificate = []tls.Certificate{*pair}, nil
	if allowed := settings.VerifyPeerCertificate; allowed != nil { // which isn't asked where a session is resumed
		settings.VerifyPeerCertificate = nil
		settings.VerifyConnection = func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return nil
			}
			return allowed([][]byte{s.PeerCertificates[0].Raw}, nil)
		}
	}
	settings.NextProtos = []string{"http/1.1"}
	if c.HTTPConfig.HTTP2 {
		settings.NextProtos = []string{"h2", "http/1.1"}
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err
	}
	w.tls, w.expires = settings, leaf.NotAfter
	return nil
}

func withoutText(err error) error {
	return errors.New(authz.Redact(quoted.ReplaceAllString(strings.Join(strings.Fields(err.Error()), " "), "[redacted]")))
}

// renewed reads the configuration anew. TLS stays on or off: a listener is one or the other.
func (w *webConfig) renewed(path string) (*webConfig, error) {
	now, err := readWebConfig(path)
	if err == nil && (now.tls == nil) != (w.tls == nil) {
		err = fmt.Errorf("ENVGATE_WEB_CONFIG_FILE (--web.config.file): %q: tls_server_config: turned %s: it takes a restart", authz.PrintablePath(path),
			map[bool]string{true: "on", false: "off"}[now.tls != nil])
	}
	return now, err
}

// filesOf lists the files that a configuration was read from, those of the web configuration among them.
func filesOf(c *authz.Config, w *webConfig) []string { return slices.Concat(c.Files(), w.files) }

// showAdminCertificate moves the gauge of the admin listener's certificate, and warns of one that has expired.
func (s *Server) showAdminCertificate() {
	if w := s.web.Load(); w.tls != nil {
		s.proxy.metrics.CertificateExpiry("admin", w.expires)
		s.proxy.warnings.expired("admin", w.expires)
	}
}

// guardAdmin is the admin listener's handler under the web configuration in force.
func (s *Server) guardAdmin(open http.Handler) http.Handler {
	return podPaths(open, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := s.web.Load()
		for name, value := range w.headers {
			rw.Header().Set(name, value)
		}
		switch {
		case w.limiter != nil && !w.limiter.Allow():
			http.Error(rw, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
		case w.asker != nil && !w.asker.know(r):
			rw.Header().Set("WWW-Authenticate", "Basic")
			http.Error(rw, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
		default:
			open.ServeHTTP(rw, r)
		}
	}))
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
