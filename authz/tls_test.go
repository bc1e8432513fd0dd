package authz

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// keyPair makes a certificate and its private key, as the texts of PEM files.
func keyPair(t testing.TB) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// What is wrong with a listener's certificate and key is said of the file that it is wrong with.
func TestBrokenKeyPairs(t *testing.T) {
	certificate, key := keyPair(t)
	_, other := keyPair(t)
	garbage, locked := []byte("garbage"), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	const inCertificate, inKey = "ENVGATE_TLS_CERTIFICATE_FILE (--tls-certificate-file): ", "ENVGATE_TLS_KEY_FILE (--tls-key-file): "
	for _, row := range []struct {
		name             string
		certificate, key []byte
		message          string
	}{
		{"a pair", certificate, key, ""},
		{"both in one file", append(key, certificate...), append(certificate, key...), ""},
		{"no certificate", garbage, key, inCertificate + "CERTIFICATE: holds no readable PEM certificate"},
		{"the key in its place", key, key, inCertificate + "CERTIFICATE: holds no readable PEM certificate"},
		{"a broken certificate before a good one", append(broken, certificate...), key, inCertificate + "CERTIFICATE: holds no readable PEM certificate"},
		{"no key", certificate, garbage, inKey + "KEY: holds no readable PEM private key: want one without a password"},
		{"the certificate in its place", certificate, certificate, inKey + "KEY: holds no readable PEM private key: want one without a password"},
		{"a key with a password", certificate, locked, inKey + "KEY: holds no readable PEM private key: want one without a password"},
		{"another certificate's key", certificate, other, inKey + "KEY: is not the private key of the certificate in CERTIFICATE"},
	} {
		files := []string{writeFile(t, row.certificate), writeFile(t, row.key)}
		_, err := Parse(Source{Environ: []string{"JWT_SECRET_KEY=" + secret, "ENVGATE_TLS_CERTIFICATE_FILE=" + files[0], "ENVGATE_TLS_KEY_FILE=" + files[1]}})
		want := strings.NewReplacer(": CERTIFICATE", `: "`+PrintablePath(files[0])+`"`, "in CERTIFICATE", `in "`+PrintablePath(files[0])+`"`, ": KEY", `: "`+PrintablePath(files[1])+`"`).Replace(row.message)
		if row.message == "" && err != nil || row.message != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: got %v, want %s", row.name, err, want)
		}
	}
}
