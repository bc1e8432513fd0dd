// Package tokens makes what the benchmarks and the compiler's profile send: tokens as a ContextForge gateway issues them.
package tokens

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"envgate/authz"
)

// What every proxy is told to demand.
const (
	Secret      = "benchmark-secret-0123456789abcdef-0123456789"
	Environment = "production"
	Issuer      = "mcpgateway"
	Audience    = "mcpgateway-api"
)

// Keys are of one algorithm: the secret for HS256, a pair of PEM files for RS256.
type Keys struct {
	Algorithm   string
	PublicPath  string // empty for HS256
	PrivatePath string
	Public      *rsa.PublicKey
}

// NewRSA makes a pair of 2048 bits in a folder.
func NewRSA(folder string) (Keys, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Keys{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return Keys{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Keys{}, err
	}
	k := Keys{"RS256", filepath.Join(folder, "public.pem"), filepath.Join(folder, "private.pem"), &key.PublicKey}
	return k, errors.Join(
		os.WriteFile(k.PublicPath, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600),
		os.WriteFile(k.PrivatePath, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}

// Environ are the gateway's variables for these keys, by which a sidecar verifies and Parse reads them.
func (k Keys) Environ() []string {
	environ := []string{"ENVGATE_ENVIRONMENT=" + Environment, "JWT_ISSUER=" + Issuer, "JWT_AUDIENCE=" + Audience, "JWT_ALGORITHM=" + k.Algorithm}
	if k.PublicPath == "" {
		return append(environ, "JWT_SECRET_KEY="+Secret)
	}
	return append(environ, "JWT_PUBLIC_KEY_PATH="+k.PublicPath, "JWT_PRIVATE_KEY_PATH="+k.PrivatePath)
}

// Mint signs an API token that lives for a day, with the gateway's variables as given and changed by more of them.
func (k Keys) Mint(environment string, change ...string) (string, error) {
	mint, err := k.Minter(environment, change...)
	if err != nil {
		return "", err
	}
	return mint()
}

// Minter returns what signs one more token with each call; they differ in jti. It may be called from several goroutines.
func (k Keys) Minter(environment string, change ...string) (func() (string, error), error) {
	c, err := authz.Parse(authz.Source{Environ: append(k.Environ(), change...)})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return func() (string, error) {
		return c.Mint(authz.MintOptions{
			Kind: authz.KindAPI, Subject: "somebody@example.com", Environment: environment, IssuedAt: now, Expiry: now.Add(24 * time.Hour),
		})
	}, nil
}

// Expired is a token whose hour is over.
func (k Keys) Expired() (string, error) {
	c, err := authz.Parse(authz.Source{Environ: k.Environ()})
	if err != nil {
		return "", err
	}
	now := time.Now()
	return c.Mint(authz.MintOptions{
		Kind: authz.KindAPI, Subject: "somebody@example.com", Environment: Environment, IssuedAt: now.Add(-2 * time.Hour), Expiry: now.Add(-time.Hour),
	})
}

// Forged is the same token with another signature: its first character is the next letter.
func Forged(token string) string {
	i := strings.LastIndexByte(token, '.') + 1
	other := byte('A')
	if token[i] == other {
		other = 'B'
	}
	return token[:i] + string(other) + token[i+1:]
}
