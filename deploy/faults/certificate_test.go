//go:build faults

package faults

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"envgate/deploy/processtest"
)

// pair is a certificate that signs itself, for 127.0.0.1, and its key, both as PEM.
type pair struct{ certificate, key []byte }

func newPair(t *testing.T, until time.Time) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}
}

// config serves with it.
func (p pair) config(t *testing.T) *tls.Config {
	t.Helper()
	certificate, err := tls.X509KeyPair(p.certificate, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
}

// replace writes files as whole ones.
func replace(t *testing.T, texts map[string][]byte) {
	t.Helper()
	for file, text := range texts {
		if err := os.WriteFile(file+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
}

// trusting is a client that trusts some certificates.
func trusting(pairs ...pair) *http.Client {
	roots := x509.NewCertPool()
	for _, p := range pairs {
		roots.AppendCertsFromPEM(p.certificate)
	}
	return &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: senders}}
}

func certificateExpired(t *testing.T) row {
	expired, good, next := newPair(t, time.Now().Add(-time.Hour)), newPair(t, time.Now().Add(time.Hour)), newPair(t, time.Now().Add(2*time.Hour))
	folder := t.TempDir()
	certificate, key := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	replace(t, map[string][]byte{certificate: expired.certificate, key: expired.key})
	s := stand(t, 10, processtest.Command{Settings: []string{"ENVGATE_TLS_CERTIFICATE_FILE=" + certificate, "ENVGATE_TLS_KEY_FILE=" + key}})
	s.load.stopOnce() // without TLS
	client := trusting(expired, good, next)
	s.load = startLoadBy(client, "https", 300, func() string { return s.p.Traffic }, s.kinds()...)
	s.gateway.ids = nil
	s.load.broken(*hold + 10*time.Second)
	time.Sleep(*hold)
	before := s.load.seen()
	replace(t, map[string][]byte{certificate: good.certificate, key: good.key})
	back := s.recovered()
	s.load.whole()
	s.begin()
	time.Sleep(*hold)
	replace(t, map[string][]byte{certificate: []byte("broken"), key: next.key}) // half of a replacement changes nothing
	time.Sleep(time.Second)
	replace(t, map[string][]byte{certificate: next.certificate, key: next.key})
	eventually(t, "the next certificate", func() bool { return s.p.Counts()[`envgate_reloads_total{result="success"}`] >= 2 })
	s.load.client.CloseIdleConnections()
	time.Sleep(*hold)
	after := s.load.seen()
	lost := s.end()
	return row{"", "before " + before + "; all was well " + back.String() + " after the files changed; over a broken replacement and a good one under load: " + after,
		s.counted("envgate_reloads_total"), lost + ", once there was a good one"}
}

func upstreamCertificateExpired(t *testing.T) row {
	expired, good := newPair(t, time.Now().Add(-time.Hour)), newPair(t, time.Now().Add(time.Hour))
	authority := filepath.Join(t.TempDir(), "ca.pem")
	replace(t, map[string][]byte{authority: append(append([]byte{}, expired.certificate...), good.certificate...)})
	g := newGateway(t, expired.config(t))
	s := &stage{t: t, gateway: g, token: processtest.Token(t, nil)}
	s.p = processtest.Command{Binary: binary, Upstream: "https://" + g.address, Settings: []string{"ENVGATE_UPSTREAM_CA_FILE=" + authority}}.Start(t)
	s.load = startLoad(300, func() string { return s.p.Traffic }, s.kinds()...)
	t.Cleanup(func() { s.load.stopOnce() })
	s.load.broken(*hold + 10*time.Second)
	s.begin()
	time.Sleep(*hold)
	seen, counted := s.load.seen(), s.counted("envgate_upstream_errors_total")
	g.kill()
	g.config = good.config(t)
	g.start(t)
	back := s.recovered()
	s.load.whole()
	time.Sleep(time.Second)
	s.end()
	return row{"", seen, counted, "what came meanwhile: 502, and nothing went to a gateway that can't prove its name. Well again " + after(back)}
}
