package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envgate/authz"
)

// authority signs certificates for tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	a.certificate, a.key = a.issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue signs a certificate for 127.0.0.1 and localhost; an authority without one signs itself.
func (a *authority) issue(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	template.SerialNumber, template.Subject, template.NotBefore = serial, pkix.Name{CommonName: "test"}, time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	if template.DNSNames == nil {
		template.IPAddresses, template.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	parent, signer := template, key
	if a.certificate != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.certificate)
	return p
}

func (a *authority) file(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})))
	return file
}

// pair writes a new certificate and its key in place of those in a folder.
func (a *authority) pair(t testing.TB, folder string, template *x509.Certificate) (certificate, key string) {
	t.Helper()
	c, k := a.issue(t, template)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})))
	return certificate, key
}

func (a *authority) client(t testing.TB) tls.Certificate {
	t.Helper()
	c, k := a.issue(t, &x509.Certificate{})
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: k}
}

// over asks the sidecar over TLS, and gives the answer's status, or 0 where there is no connection.
func (s *sidecar) over(settings *tls.Config, h2 bool) (status int, protocol string) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: settings.Clone(), ForceAttemptHTTP2: h2, DisableKeepAlives: true}}
	res, err := client.Get("https://" + s.addr + "/health")
	if err != nil {
		return 0, err.Error()
	}
	res.Body.Close()
	return res.StatusCode, res.Proto
}

func TestTrafficOverTLS(t *testing.T) {
	u := newRecorder(t, nil)
	own, other := newAuthority(t), newAuthority(t)
	certificate, key := own.pair(t, t.TempDir(), &x509.Certificate{})
	served := []string{"ENVGATE_TLS_CERTIFICATE_FILE=" + certificate, "ENVGATE_TLS_KEY_FILE=" + key}
	plain := startSidecar(t, u.URL, served...)
	required := startSidecar(t, u.URL, append(served, "ENVGATE_TLS_CLIENT_CA_FILE="+own.file(t), "ENVGATE_TLS_CLIENT_AUTH=required")...)
	optional := startSidecar(t, u.URL, append(served, "ENVGATE_TLS_CLIENT_CA_FILE="+own.file(t), "ENVGATE_TLS_CLIENT_AUTH=optional")...)
	for _, row := range []struct {
		name     string
		s        *sidecar
		settings *tls.Config
		h2       bool
		status   int
		protocol string
	}{
		{"HTTP/1.1", plain, &tls.Config{RootCAs: own.pool()}, false, 200, "HTTP/1.1"},
		{"HTTP/2", plain, &tls.Config{RootCAs: own.pool()}, true, 200, "HTTP/2.0"},
		{"TLS 1.2", plain, &tls.Config{RootCAs: own.pool(), MaxVersion: tls.VersionTLS12}, false, 200, "HTTP/1.1"},
		{"TLS 1.1", plain, &tls.Config{RootCAs: own.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false, 0, "protocol version"},
		{"a client that trusts another authority", plain, &tls.Config{RootCAs: other.pool()}, false, 0, "unknown authority"},
		{"a client's certificate, required", required, &tls.Config{RootCAs: own.pool(), Certificates: []tls.Certificate{own.client(t)}}, true, 200, "HTTP/2.0"},
		{"none, required", required, &tls.Config{RootCAs: own.pool()}, false, 0, "certificate required"},
		{"a foreign one, required", required, &tls.Config{RootCAs: own.pool(), Certificates: []tls.Certificate{other.client(t)}}, false, 0, "certificate"},
		{"none, optional", optional, &tls.Config{RootCAs: own.pool()}, false, 200, "HTTP/1.1"},
		{"a foreign one, optional", optional, &tls.Config{RootCAs: own.pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { c := other.client(t); return &c, nil }}, false, 0, "certificate"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, protocol := row.s.over(row.settings, row.h2)
			if status != row.status || !strings.Contains(protocol, row.protocol) {
				t.Errorf("%d %s, want %d %s", status, protocol, row.status, row.protocol)
			}
		})
	}
	if seen := u.requests(); seen[0].header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("X-Forwarded-Proto is %q", seen[0].header.Get("X-Forwarded-Proto"))
	}
	if plain.value(`envgate_tls_certificate_expiry_timestamp_seconds{listener="traffic"}`) == "" {
		t.Error("the certificate's expiry is not shown")
	}
	if code, _ := plain.adminStatus("GET", "/readyz"); code != 200 {
		t.Errorf("the admin listener: %d", code)
	}
}

// An expired certificate is replaced under load: no connection of a client that trusts the new one fails from then on, and
// requests on connections that are open go on.
func TestACertificateIsReplacedUnderLoad(t *testing.T) {
	u := newRecorder(t, func(http.ResponseWriter, *http.Request) {})
	own, folder := newAuthority(t), t.TempDir()
	certificate, key := own.pair(t, folder, &x509.Certificate{NotAfter: time.Now().Add(-time.Minute)})
	s, _ := startReloading(t, u.URL, "ENVGATE_TLS_CERTIFICATE_FILE="+certificate, "ENVGATE_TLS_KEY_FILE="+key)
	settings := &tls.Config{RootCAs: own.pool()}
	if status, message := s.over(settings, false); status != 0 || !strings.Contains(message, "expired") {
		t.Fatalf("%d %s", status, message)
	}
	var stop atomic.Bool
	var sent, lost atomic.Int64
	var wg sync.WaitGroup
	patient := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // of an expired certificate
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				res, err := patient.Get("https://" + s.addr + "/health")
				if sent.Add(1); err != nil || res.StatusCode != 200 {
					lost.Add(1)
				}
				if err == nil {
					res.Body.Close()
				}
			}
		})
	}
	own.pair(t, folder, &x509.Certificate{})
	eventually(t, "the new certificate", func() bool { status, _ := s.over(settings, true); return status == 200 })
	write(t, certificate, "broken")
	eventually(t, "a refused one", func() bool { return s.value("envgate_last_reload_successful") == "0" })
	if status, message := s.over(settings, false); status != 200 {
		t.Errorf("with a broken file: %d %s", status, message)
	}
	stop.Store(true)
	wg.Wait()
	if lost.Load() > 0 || sent.Load() == 0 {
		t.Errorf("%d of %d requests lost", lost.Load(), sent.Load())
	}
}

// An https upstream is believed by its certificate alone.
func TestTLSToTheUpstream(t *testing.T) {
	own, other := newAuthority(t), newAuthority(t)
	serve := func(names ...string) string {
		c, k := own.issue(t, &x509.Certificate{DNSNames: names})
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{c.Raw}, PrivateKey: k}}}
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	for _, row := range []struct {
		name     string
		url      string
		settings []string
		status   int
		logged   string
	}{
		{"its own authority", serve(), []string{"ENVGATE_UPSTREAM_CA_FILE=" + own.file(t)}, 200, ""},
		{"another authority", serve(), []string{"ENVGATE_UPSTREAM_CA_FILE=" + other.file(t)}, 502, "x509: certificate signed by unknown authority"},
		{"the system's authorities", serve(), nil, 502, "x509: certificate signed by unknown authority"},
		{"another name", serve("gateway.internal"), []string{"ENVGATE_UPSTREAM_CA_FILE=" + own.file(t)}, 502, "x509: "},
		{"no TLS", "https" + strings.TrimPrefix(newRecorder(t, nil).URL, "http"), nil, 502, "does not look like a TLS handshake"},
		{"another name, as configured", serve("gateway.internal"), []string{"ENVGATE_UPSTREAM_CA_FILE=" + own.file(t), "ENVGATE_UPSTREAM_SERVER_NAME=gateway.internal"}, 200, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := startSidecar(t, row.url, row.settings...)
			res, body := s.get("/health")
			if res.StatusCode != row.status || row.status == 502 && decodeProblem(t, body).Kind != "connect" {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if !strings.Contains(s.logs.String(), row.logged) {
				t.Errorf("the log doesn't say %q: %s", row.logged, s.logs)
			}
		})
	}
}

// A certificate that has expired is served, and told: by check, at start, and when a reload brings it.
func TestExpiredCertificatesAreTold(t *testing.T) {
	u := newRecorder(t, nil)
	own, folder := newAuthority(t), t.TempDir()
	certificate, key := own.pair(t, folder, &x509.Certificate{})
	web := filepath.Join(folder, "web.yaml")
	write(t, web, "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n")
	expired := func(s *sidecar, listener string) bool {
		return strings.Contains(s.logs.String(), `"level":"WARN","msg":"the certificate has expired: clients refuse it","listener":"`+listener+`","expired":"`)
	}
	s, _ := startReloading(t, u.URL, "ENVGATE_TLS_CERTIFICATE_FILE="+certificate, "ENVGATE_TLS_KEY_FILE="+key)
	if expired(s, "traffic") {
		t.Error("told of a good one")
	}
	own.pair(t, folder, &x509.Certificate{NotAfter: time.Now().Add(-time.Minute)})
	eventually(t, "a line after a reload", func() bool { return expired(s, "traffic") })
	s, _ = startReloading(t, u.URL, "ENVGATE_TLS_CERTIFICATE_FILE="+certificate, "ENVGATE_TLS_KEY_FILE="+key)
	eventually(t, "a line at start", func() bool { return expired(s, "traffic") && !expired(s, "admin") })
	s = startSidecar(t, u.URL, "ENVGATE_WEB_CONFIG_FILE="+web)
	eventually(t, "a line about the admin listener", func() bool { return expired(s, "admin") && !expired(s, "traffic") })
	for _, row := range []struct{ name, setting, text string }{
		{"none", "", ""},
		{"expired", "ENVGATE_TLS_CERTIFICATE_FILE=" + certificate + "|ENVGATE_TLS_KEY_FILE=" + key, "The certificate of the traffic listener has EXPIRED, and clients refuse it: 20"},
		{"expired, of the admin listener", "ENVGATE_WEB_CONFIG_FILE=" + web, "The certificate of the admin listener has EXPIRED, and clients refuse it: 20"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := authz.Parse(authz.Source{Environ: append(strings.Split(row.setting, "|"), "JWT_SECRET_KEY="+testSecret)})
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			r := authz.Report{Certificates: Certificates(c)}
			if err := r.Text(&text); err != nil || !strings.Contains(text.String(), row.text) || (row.text == "") != (len(r.Certificates) == 0) {
				t.Errorf("%v in %s", err, text.String())
			}
		})
	}
	own.pair(t, folder, &x509.Certificate{})
	c, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=" + testSecret, "ENVGATE_TLS_CERTIFICATE_FILE=" + certificate, "ENVGATE_TLS_KEY_FILE=" + key}})
	if err != nil {
		t.Fatal(err)
	}
	if all := Certificates(c); len(all) != 1 || all[0].Expired || all[0].Expires.Before(time.Now()) {
		t.Errorf("a good one: %v", all)
	}
}
