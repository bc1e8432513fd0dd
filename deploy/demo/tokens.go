package demo

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"

	"envgate/authz"
)

// mintTokens signs every token that the scenario names, under the configuration that both environments share; login is
// the gateway's own. The subject must be a user of the gateway.
func mintTokens(own *authz.Config, subject string) (map[string]string, error) {
	now := time.Now()
	mint := func(c *authz.Config, environment string, issued time.Time) (string, error) {
		return c.Mint(authz.MintOptions{Kind: authz.KindSession, Subject: subject, Admin: true, Environment: environment, IssuedAt: issued, Expiry: issued.Add(time.Hour)})
	}
	other, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=" + rand.Text() + rand.Text()}})
	if err != nil {
		return nil, err
	}
	tokens := map[string]string{}
	for _, t := range []struct {
		name, environment string
		config            *authz.Config
		issued            time.Time
	}{
		{"staging", "staging", own, now}, {"production", "production", own, now}, {"unbound", "", own, now},
		{"expired", "production", own, now.Add(-2 * time.Hour)}, {"forged", "production", other, now},
	} {
		if tokens[t.name], err = mint(t.config, t.environment, t.issued); err != nil {
			return nil, err
		}
	}
	tokens["none"] = withoutAlgorithm(tokens["production"])
	tokens["flipped"] = flipped(tokens["production"])
	return tokens, nil
}

// withoutAlgorithm claims alg none and drops the signature.
func withoutAlgorithm(token string) string {
	claims := strings.Split(token, ".")[1]
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + claims + "."
}

// flipped changes one bit in the middle of the signature.
func flipped(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	signature, _ := base64.RawURLEncoding.DecodeString(token[at:])
	signature[len(signature)/2] ^= 1
	return token[:at] + base64.RawURLEncoding.EncodeToString(signature)
}
