package authz

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// ClientAuth says whether clients must show a certificate.
type ClientAuth string

// The values of ClientAuth.
const (
	ClientAuthNone     ClientAuth = "none"
	ClientAuthOptional ClientAuth = "optional" // one that is shown must be good
	ClientAuthRequired ClientAuth = "required"
)

// readTLS reads the files of the TLS settings.
func (c *Config) readTLS(bad func(string, ...any)) {
	switch {
	case c.TLSClientAuth != ClientAuthNone && c.TLSClientAuth != ClientAuthOptional && c.TLSClientAuth != ClientAuthRequired: // reported already
	case c.TLSKeyFile == "" && c.TLSCertificateFile != "":
		bad("ENVGATE_TLS_KEY_FILE (--tls-key-file): not set: goes with ENVGATE_TLS_CERTIFICATE_FILE")
	case c.TLSCertificateFile == "" && c.TLSKeyFile != "":
		bad("ENVGATE_TLS_CERTIFICATE_FILE (--tls-certificate-file): not set: goes with ENVGATE_TLS_KEY_FILE")
	case c.TLSCertificateFile == "" && c.TLSClientCAFile != "":
		bad("ENVGATE_TLS_CLIENT_CA_FILE (--tls-client-ca-file): %q: set without ENVGATE_TLS_CERTIFICATE_FILE: only a listener with TLS sees certificates of clients", PrintablePath(c.TLSClientCAFile))
	case c.TLSCertificateFile == "" && c.TLSClientAuth != ClientAuthNone:
		bad("ENVGATE_TLS_CLIENT_AUTH (--tls-client-auth): %q: set without ENVGATE_TLS_CERTIFICATE_FILE: only a listener with TLS sees certificates of clients", c.TLSClientAuth)
	case (c.TLSClientCAFile == "") != (c.TLSClientAuth == ClientAuthNone):
		bad("ENVGATE_TLS_CLIENT_AUTH (--tls-client-auth): %q: goes with ENVGATE_TLS_CLIENT_CA_FILE: want optional or required with it, none without", c.TLSClientAuth)
	case c.TLSCertificateFile != "":
		c.serverTLS(bad)
	}
	if c.Upstream != nil && c.Upstream.Scheme != "https" {
		if c.UpstreamCAFile != "" {
			bad("ENVGATE_UPSTREAM_CA_FILE (--upstream-ca-file): %q: set, but ENVGATE_UPSTREAM is %s: it is for https", PrintablePath(c.UpstreamCAFile), c.Upstream.Scheme)
		}
		if c.UpstreamServerName != "" {
			bad("ENVGATE_UPSTREAM_SERVER_NAME (--upstream-server-name): %q: set, but ENVGATE_UPSTREAM is %s: it is for https", Printable(c.UpstreamServerName), c.Upstream.Scheme)
		}
		return
	}
	c.UpstreamTLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.UpstreamServerName}
	if c.UpstreamCAFile != "" {
		var err error
		if c.UpstreamTLS.RootCAs, err = c.readPool(c.UpstreamCAFile); err != nil {
			bad("ENVGATE_UPSTREAM_CA_FILE (--upstream-ca-file): %w", err)
		}
	}
}

func (c *Config) serverTLS(bad func(string, ...any)) {
	c.files = append(c.files, c.TLSCertificateFile, c.TLSKeyFile)
	certificate, err := readFile(c.TLSCertificateFile)
	if err != nil {
		bad("ENVGATE_TLS_CERTIFICATE_FILE (--tls-certificate-file): %w", err)
		return
	}
	key, err := readFile(c.TLSKeyFile)
	if err != nil {
		bad("ENVGATE_TLS_KEY_FILE (--tls-key-file): %w", err)
		return
	}
	pair, err := tls.X509KeyPair(certificate, key)
	switch {
	case err == nil:
	case !holdsCertificate(certificate):
		bad("ENVGATE_TLS_CERTIFICATE_FILE (--tls-certificate-file): %q: holds no readable PEM certificate", PrintablePath(c.TLSCertificateFile))
		return
	case strings.Contains(err.Error(), "does not match"):
		bad("ENVGATE_TLS_KEY_FILE (--tls-key-file): %q: is not the private key of the certificate in %q", PrintablePath(c.TLSKeyFile), PrintablePath(c.TLSCertificateFile))
		return
	default:
		bad("ENVGATE_TLS_KEY_FILE (--tls-key-file): %q: holds no readable PEM private key: want one without a password", PrintablePath(c.TLSKeyFile))
		return
	}
	c.CertificateExpiry = pair.Leaf.NotAfter
	c.ServerTLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if c.TLSClientCAFile == "" {
		return
	}
	if c.ServerTLS.ClientCAs, err = c.readPool(c.TLSClientCAFile); err != nil {
		bad("ENVGATE_TLS_CLIENT_CA_FILE (--tls-client-ca-file): %w", err)
	}
	c.ServerTLS.ClientAuth = tls.RequireAndVerifyClientCert
	if c.TLSClientAuth == ClientAuthOptional {
		c.ServerTLS.ClientAuth = tls.VerifyClientCertIfGiven
	}
}

// holdsCertificate tells whether the first certificate of a PEM file can be read.
func holdsCertificate(text []byte) bool {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			_, err := x509.ParseCertificate(block.Bytes)
			return err == nil
		}
	}
	return false
}

// readPool reads a PEM file of certificates.
func (c *Config) readPool(file string) (*x509.CertPool, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	c.files = append(c.files, file)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%q: holds no PEM certificate", PrintablePath(file))
	}
	return pool, nil
}

// tlsFields are the settings about TLS, and what was read for them.
type tlsFields struct {
	TLSCertificateFile, TLSKeyFile     string
	TLSClientCAFile                    string
	TLSClientAuth                      ClientAuth
	UpstreamCAFile, UpstreamServerName string

	ServerTLS         *tls.Config // nil: traffic is served without TLS
	UpstreamTLS       *tls.Config
	CertificateExpiry time.Time // zero without TLS
}
