package authz

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithms lists the accepted values of JWT_ALGORITHM (RFC 7518, section 3.1; RFC 8037). "none" is not among them.
var Algorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// curveBits is the one curve of each ECDSA algorithm (RFC 7518, section 3.4): the library checks it only when signing.
var curveBits = map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}

// symmetric tells whether the algorithm is an HMAC.
func symmetric(algorithm string) bool { return strings.HasPrefix(algorithm, "HS") }

// hashBytes is the length of the algorithm's hash in bytes: the least that its secret should have (RFC 7518, section 3.2).
func hashBytes(algorithm string) int {
	switch algorithm {
	case "HS384":
		return 48
	case "HS512":
		return 64
	}
	return 32
}

// DeriveKey is the gateway's key for one environment: hex(HMAC-SHA256(secret, "mcpgw-env:" + environment)), its 64
// characters as bytes (mcpgateway/utils/jwt_config_helper.py of 1.0.5 and newer).
func DeriveKey(secret Secret, environment string) Secret {
	mac := hmac.New(sha256.New, secret.bytes)
	mac.Write([]byte("mcpgw-env:" + environment))
	return Secret{[]byte(hex.EncodeToString(mac.Sum(nil)))}
}

// Signer returns the key that mints tokens: the secret, or the private key, whose file is read now.
func (c *Config) signer() (jwt.SigningMethod, any, error) {
	method := jwt.GetSigningMethod(c.Algorithm)
	if symmetric(c.Algorithm) {
		if c.DeriveKey && c.Translate != TranslateAccept { // which issues no derived ones yet
			return method, DeriveKey(c.Secret, c.Environment).bytes, nil
		}
		return method, c.Secret.bytes, nil
	}
	if c.PrivateKeyPath == "" {
		return nil, nil, fmt.Errorf("JWT_PRIVATE_KEY_PATH: not set: %s signs with a private key", c.Algorithm)
	}
	key, err := readPrivateKey(c.PrivateKeyPath, c.Algorithm)
	if err != nil {
		return nil, nil, fmt.Errorf("JWT_PRIVATE_KEY_PATH: %w", err)
	}
	return method, key, nil
}

func readPEM(path string) (*pem.Block, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	block, more := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%q: not a PEM file", PrintablePath(path))
	}
	alike := 1
	for next, rest := pem.Decode(more); next != nil; next, rest = pem.Decode(rest) {
		if next.Type == block.Type && next.Type != "CERTIFICATE" { // those after the first lie between it and its authority
			alike++
		}
	}
	if alike > 1 {
		return nil, fmt.Errorf("%q: holds %d blocks %s: want one key in a file", PrintablePath(path), alike, Printable(block.Type))
	}
	return block, nil
}

func readPublicKey(path, algorithm string) (crypto.PublicKey, error) {
	key, err := readAnyPublicKey(path)
	if err != nil {
		return nil, err
	}
	return key, fits(path, key, "JWT_ALGORITHM is", algorithm)
}

// readAnyPublicKey reads a PEM file with a public key of any kind.
func readAnyPublicKey(path string) (crypto.PublicKey, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	var key crypto.PublicKey
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = cert.PublicKey
		}
	default:
		return nil, fmt.Errorf("%q: holds a PEM block %q: want PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE", PrintablePath(path), Printable(block.Type))
	}
	if err != nil {
		return nil, fmt.Errorf("%q: not a readable public key", PrintablePath(path))
	}
	return key, nil
}

func readPrivateKey(path, algorithm string) (crypto.PrivateKey, error) {
	block, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%q: holds a PEM block %q: want PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY", PrintablePath(path), Printable(block.Type))
	}
	if err != nil {
		return nil, fmt.Errorf("%q: not a readable private key", PrintablePath(path))
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%q: this kind of key can't sign", PrintablePath(path))
	}
	return key, fits(path, signer.Public(), "JWT_ALGORITHM is", algorithm)
}

// fits tells whether a public key is of the kind and size of one of the algorithms (RFC 7518, sections 3.3 and 3.4), which a
// setting names.
func fits(path string, key crypto.PublicKey, setting string, algorithms ...string) error {
	kind, ok := "", false
	switch key := key.(type) {
	case *rsa.PublicKey:
		kind, ok = "an RSA key", slices.ContainsFunc(algorithms, func(a string) bool { return a[0] == 'R' || a[0] == 'P' })
		if ok && key.N.BitLen() < 2048 {
			return fmt.Errorf("%q: an RSA key of %d bits: want 2048 or more", PrintablePath(path), key.N.BitLen())
		}
	case *ecdsa.PublicKey:
		curve := key.Params()
		kind, ok = "an EC key on "+curve.Name, slices.ContainsFunc(algorithms, func(a string) bool { return curveBits[a] == curve.BitSize })
	case ed25519.PublicKey:
		kind, ok = "an Ed25519 key", slices.Contains(algorithms, "EdDSA")
	default:
		return fmt.Errorf("%q: this kind of key is not supported: want RSA, EC or Ed25519", PrintablePath(path))
	}
	if !ok {
		return fmt.Errorf("%q: %s, but %s %s", PrintablePath(path), kind, setting, strings.Join(algorithms, ", "))
	}
	return nil
}

// KeyFacts describes a key without showing it.
type KeyFacts struct {
	Issuer    string `json:"issuer"`
	Use       string `json:"use"`  // current or additional
	Kind      string `json:"kind"` // secret, derived secret or public key
	Algorithm string `json:"algorithm"`
}

// Keys lists the keys that can verify tokens of the gateway's own issuer. They have no ids: kid is not looked at.
func (c *Config) Keys() (keys []KeyFacts) {
	kind := "public key"
	switch {
	case symmetric(c.Algorithm) && c.DeriveKey:
		kind = "derived secret"
	case symmetric(c.Algorithm):
		kind = "secret"
	}
	if c.keys == nil {
		return nil
	}
	for _, k := range c.keys.keys {
		facts := KeyFacts{c.Issuer, "current", kind, c.Algorithm}
		if k.additional {
			facts.Use = "additional"
		}
		if k.base {
			facts.Kind = "secret" // not derived
		}
		keys = append(keys, facts)
	}
	return keys
}

// KeyCount returns how many keys can verify tokens of the gateway's own issuer.
func (c *Config) KeyCount() int {
	if c.keys == nil {
		return 0
	}
	return len(c.keys.keys)
}
