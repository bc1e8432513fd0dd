package authz

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Kinds of token that a gateway issues, and Mint writes.
const (
	KindSession = "session" // as from a login
	KindAPI     = "api"     // as from POST /tokens
)

// MintOptions say what a new token shall claim.
type MintOptions struct {
	Kind        string // KindSession or KindAPI
	Subject     string // the user's e-mail address, as legacy gateways name users
	Admin       bool
	Environment string // env; "" leaves it out
	ID          string // jti; "" makes a random one
	IssuedAt    time.Time
	Expiry      time.Time
}

// maxLifetime is the longest that a minted token may live.
const maxLifetime = 10 * 365 * 24 * time.Hour

// Mint signs a token that gateway and sidecar of this configuration accept. The claims are those of release 0.9.0
// (mcpgateway/routers/email_auth.py and services/token_catalog_service.py), which newer ones accept too.
func (c *Config) Mint(o MintOptions) (string, error) {
	if err := o.check(); err != nil {
		return "", err
	}
	method, key, err := c.signer()
	if err != nil {
		return "", err
	}
	provider, scopes := "local", jwt.MapClaims{}
	if o.Kind == KindAPI {
		provider = "api_token"
		scopes = jwt.MapClaims{"server_id": nil, "permissions": []string{"*"}, "ip_restrictions": []string{}, "time_restrictions": jwt.MapClaims{}}
	}
	if o.ID == "" {
		o.ID = newID()
	}
	claims := jwt.MapClaims{
		"iss": c.Issuer, "aud": c.Audience, "sub": o.Subject, "jti": o.ID,
		"iat": o.IssuedAt.Unix(), "exp": o.Expiry.Unix(),
		"user": jwt.MapClaims{
			"email": o.Subject, "full_name": "", "is_admin": o.Admin, "auth_provider": provider,
		},
		"teams": []string{}, "namespaces": []string{"user:" + o.Subject, "public"}, "scopes": scopes,
	}
	if o.Environment != "" {
		claims["env"] = o.Environment
	}
	return jwt.NewWithClaims(method, claims).SignedString(key)
}

func (o MintOptions) check() error {
	switch {
	case o.Kind != KindSession && o.Kind != KindAPI:
		return fmt.Errorf("kind: %q: want %s or %s", Printable(o.Kind), KindSession, KindAPI)
	case o.Subject == "":
		return errors.New("subject: empty: want the user's e-mail address")
	case len(o.Subject) > 255 || strings.ContainsFunc(o.Subject, func(r rune) bool { return r < 0x21 || r == 0x7f }):
		return fmt.Errorf("subject: %q: want an e-mail address of at most 255 characters without blanks", Printable(o.Subject))
	case o.Environment != "" && EnvironmentName(o.Environment) != nil:
		return fmt.Errorf("token environment: %q: %w", Printable(o.Environment), EnvironmentName(o.Environment))
	case o.ID != "" && (len(o.ID) > 255 || strings.ContainsFunc(o.ID, func(r rune) bool { return r < 0x21 || r > 0x7e })):
		return fmt.Errorf("id: %q: want at most 255 printable characters without blanks", Printable(o.ID))
	case !o.Expiry.After(o.IssuedAt):
		return errors.New("expires in: not positive: want a duration such as 1h")
	case o.Expiry.Sub(o.IssuedAt) > maxLifetime:
		return fmt.Errorf("expires in: longer than %s", maxLifetime)
	}
	return nil
}

// newID is a random UUID (RFC 9562, section 5.4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}
