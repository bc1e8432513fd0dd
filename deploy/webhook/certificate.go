package webhook

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// material is what the Secret holds: the CA, those before it that are still trusted, and the certificate that is served.
type material struct {
	ca       *x509.Certificate
	caKey    *ecdsa.PrivateKey
	previous []*x509.Certificate
	leaf     *x509.Certificate // nil: none that is of any use
	leafKey  *ecdsa.PrivateKey
}

// Keys of the Secret. The last two are those of the type kubernetes.io/tls.
const (
	keyCA       = "ca.crt"
	keyCAKey    = "ca.key"
	keyPrevious = "previous-ca.crt"
	keyLeaf     = "tls.crt"
	keyLeafKey  = "tls.key"
)

// parseMaterial reads the Secret's data. An unusable CA is an error; an unusable certificate is merely missing.
func parseMaterial(data map[string][]byte) (*material, error) {
	m := &material{previous: certificates(data[keyPrevious])}
	var err error
	if m.ca, m.caKey, err = pair(data[keyCA], data[keyCAKey]); err != nil {
		return nil, fmt.Errorf("%s: %w", keyCA, err)
	}
	if !m.ca.IsCA {
		return nil, fmt.Errorf("%s: not a CA's certificate", keyCA)
	}
	if leaf, key, err := pair(data[keyLeaf], data[keyLeafKey]); err == nil {
		m.leaf, m.leafKey = leaf, key
	}
	return m, nil
}

// pair reads a certificate and its key.
func pair(certificate, key []byte) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	found := certificates(certificate)
	if len(found) == 0 {
		return nil, nil, errors.New("no certificate")
	}
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, nil, errors.New("no key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, errors.New("the key is not PKCS #8") // the parser's words may quote the key
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !private.PublicKey.Equal(found[0].PublicKey) {
		return nil, nil, errors.New("the key is not this certificate's")
	}
	return found[0], private, nil
}

// certificates are all that can be read of PEM text.
func certificates(text []byte) (all []*x509.Certificate) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			all = append(all, c)
		}
	}
}

func pemOf(all ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range all {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // to memory
	}
	return b.Bytes()
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	b, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}), err
}

// data is what is written to the Secret. No previous CA is written as an absent key.
func (m *material) data() (map[string][]byte, error) {
	caKey, err := keyPEM(m.caKey)
	if err != nil {
		return nil, err
	}
	leafKey, err := keyPEM(m.leafKey)
	if err != nil {
		return nil, err
	}
	data := map[string][]byte{keyCA: pemOf(m.ca), keyCAKey: caKey, keyLeaf: pemOf(m.leaf), keyLeafKey: leafKey, keyPrevious: nil}
	if len(m.previous) > 0 {
		data[keyPrevious] = pemOf(m.previous...)
	}
	return data, nil
}

// bundle is what the API server must trust: the CA, and those before it until they expire.
func (m *material) bundle(now time.Time) []byte {
	return pemOf(append([]*x509.Certificate{m.ca}, alive(m.previous, now)...)...)
}

func alive(all []*x509.Certificate, now time.Time) (kept []*x509.Certificate) {
	for _, c := range all {
		if now.Before(c.NotAfter) {
			kept = append(kept, c)
		}
	}
	return kept
}

// served is the certificate as a TLS server wants it.
func (m *material) served() *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{m.leaf.Raw}, PrivateKey: m.leafKey, Leaf: m.leaf}
}

// template is a certificate that is valid from a little before now, since clocks differ, for about a lifetime.
func template(name string, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"envgate"}, CommonName: name},
		NotBefore: now.Add(-min(5*time.Minute, lifetime/10)), NotAfter: now.Add(lifetime), BasicConstraintsValid: true,
	}, nil
}

// newAuthority makes a CA.
func newAuthority(now time.Time, lifetime time.Duration) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	t, err := template("envgate webhook CA of "+now.UTC().Format(time.DateOnly), now, lifetime)
	if err != nil {
		return nil, nil, err
	}
	t.IsCA, t.MaxPathLenZero, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	return sign(t, nil, nil)
}

// newLeaf makes a server's certificate, which doesn't outlive its CA.
func (m *material) newLeaf(names []string, now time.Time, lifetime time.Duration) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	t, err := template("envgate webhook", now, min(lifetime, m.ca.NotAfter.Sub(now)))
	if err != nil {
		return nil, nil, err
	}
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	return sign(t, m.ca, m.caKey)
}

// sign makes a key of its own for the template's certificate; without a parent the certificate is signed by that.
func sign(t, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, parentKey = t, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, nil, err
	}
	c, err := x509.ParseCertificate(raw)
	return c, key, err
}

// namesOf are the names and addresses in a certificate.
func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
