package authz

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[secret]"

// Secret is key material that redacts itself: every way of printing, logging or marshalling it yields [secret].
type Secret struct{ bytes []byte }

// NewSecret holds b as it is.
func NewSecret(b []byte) Secret { return Secret{b} }

// IsSet tells whether there is a secret at all.
func (s Secret) IsSet() bool { return len(s.bytes) > 0 }

// same compares in constant time.
func (s Secret) same(t Secret) bool { return subtle.ConstantTimeCompare(s.bytes, t.bytes) == 1 }

// Len returns the length in bytes.
func (s Secret) Len() int { return len(s.bytes) }

// Format implements fmt.Formatter for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// MarshalText keeps the secret out of JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue keeps the secret out of slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
