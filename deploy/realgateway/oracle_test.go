//go:build realgateway

package realgateway

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// This file says which texts are acceptable tokens: an oracle for comparing, made from the documentation (decisions.md).
// It shares no code with authz, so that a mistake there does not repeat here.

// acceptable is the oracle's word for a token that envgate must let through.
const acceptable = "acceptable"

const ownEnvironment = "production"

var compact = regexp.MustCompile(`^[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$`)

// judged gives acceptable, or the reason why envgate may not let a token through.
func judged(token string, now time.Time) string {
	if len(token) > 16384 {
		return "too_large"
	}
	if !compact.MatchString(token) {
		return "malformed"
	}
	parts := strings.Split(token, ".")
	header, err := members(parts[0])
	if err != nil {
		return "malformed"
	}
	claims, err := members(parts[1])
	if err != nil || header["crit"] != nil || !typed(claims) || len(parts[2])%4 == 1 {
		return "malformed"
	}
	if header["alg"] != "HS256" {
		return "algorithm"
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if parts[2] != base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) {
		return "signature"
	}
	at := float64(now.UnixNano()) / 1e9
	expiry, hasExpiry := seconds(claims, "exp")
	audience, _ := claims["aud"].([]any)
	environment, named := claims["env"]
	switch {
	case claims["iss"] != "mcpgateway":
		return "issuer"
	case claims["aud"] != "mcpgateway-api" && !slices.Contains(audience, any("mcpgateway-api")):
		return "audience"
	case !hasExpiry:
		return "no_expiry"
	case expiry <= at:
		return "expired"
	case later(claims, "nbf", at) || later(claims, "iat", at):
		return "not_yet_valid"
	case named && environment != nil && environment != ownEnvironment:
		return "environment"
	}
	return acceptable
}

// isAcceptable is judged, now.
func isAcceptable(token string) bool { return judged(token, time.Now()) == acceptable }

var errOdd = errors.New("read differently by different parsers")

// members reads one part of a token: canonical base64url of one UTF-8 JSON object, no name twice.
func members(part string) (map[string]any, error) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, err
	}
	if base64.RawURLEncoding.EncodeToString(text) != part || !utf8.Valid(text) {
		return nil, errOdd
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errOdd
	}
	all := map[string]any{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		if _, twice := all[name.(string)]; twice {
			return nil, errOdd
		}
		var value any
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		all[name.(string)] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errOdd
	}
	return all, nil
}

// typed tells whether the registered claims have their types (RFC 7519, section 4.1).
func typed(claims map[string]any) bool {
	for name, value := range claims {
		_, isText := value.(string)
		switch name {
		case "iss", "sub", "jti":
			if !isText {
				return false
			}
		case "aud":
			list, isList := value.([]any)
			if !isText && !isList || slices.ContainsFunc(list, func(a any) bool { _, ok := a.(string); return !ok }) {
				return false
			}
		case "exp", "nbf", "iat":
			if _, ok := seconds(claims, name); !ok {
				return false
			}
		}
	}
	return true
}

func seconds(claims map[string]any, name string) (float64, bool) {
	n, ok := claims[name].(json.Number)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	return f, err == nil
}

func later(claims map[string]any, name string, at float64) bool {
	s, ok := seconds(claims, name)
	return ok && s > at
}

// The oracle itself, on tokens of known kinds.
func TestOracle(t *testing.T) {
	pool := mint(t, map[string]any{"sub": "a@example.com", "iss": "mcpgateway", "aud": "mcpgateway-api"})
	for _, token := range pool {
		if got := judged(token.text, time.Now()); got != token.verdict {
			t.Errorf("%s: %s, want %s", token.name, got, token.verdict)
		}
	}
}
