package authz

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"regexp"
	"strings"
	"testing"

	"envgate/authz/attacktest"

	"pgregory.net/rapid"
)

// The fingerprint is of the base secret: environments that derive from one share it. It shows nothing of the secret.
func TestFingerprints(t *testing.T) {
	known := map[[sha256.Size]byte]string{}
	of := func(settings ...string) []Fingerprint {
		return newGuard(t, settings...).c.Fingerprints(known, func() bool { return true })
	}
	plain := of()
	if len(plain) != 1 || plain[0].Slot != "current" || !regexp.MustCompile(`^[0-9a-f]{6}$`).MatchString(plain[0].Text) {
		t.Fatalf("%+v", plain)
	}
	if derived := of("DERIVE_KEY_PER_ENVIRONMENT=true", "ENVGATE_ENVIRONMENT=staging"); derived[0] != plain[0] {
		t.Errorf("derived: %+v, want %+v", derived, plain)
	}
	rotating := of("ENVGATE_ADDITIONAL_SECRET_KEY=" + strings.Repeat("x", 32))
	if len(rotating) != 2 || rotating[0] != plain[0] || rotating[1].Slot != "additional" || rotating[1].Text == plain[0].Text {
		t.Errorf("%+v", rotating)
	}
	if short := of("JWT_SECRET_KEY=" + strings.Repeat("x", 31)); len(short) != 0 {
		t.Errorf("a secret of 31 bytes: %+v", short)
	}
	if off := of("ENVGATE_KEY_FINGERPRINT=false"); len(off) != 0 {
		t.Errorf("off: %+v", off)
	}
	if len(known) != 2 {
		t.Errorf("%d were computed, want 2: each secret once", len(known))
	}
	pair := of("JWT_ALGORITHM=RS256", "JWT_PUBLIC_KEY_PATH="+publicFile(t, keyOf["RS256"]))
	if len(pair) != 1 || len(pair[0].Text) != 43 {
		t.Errorf("a key pair: %+v", pair)
	}
	if sum := sha256.Sum256([]byte(attacktest.Secret)); strings.Contains(strings.ToLower(attacktest.Secret), plain[0].Text) || strings.HasPrefix(string(sum[:]), plain[0].Text) {
		t.Error("it shows something of the secret")
	}
}

// The slow hash is that of the standard library, which can't rest.
func TestTheSlowHashIsPBKDF2(t *testing.T) {
	same := func(t interface{ Fatalf(string, ...any) }, secret, salt []byte, rounds int) {
		want, err := pbkdf2.Key(sha256.New, string(secret), salt, rounds, sha256.Size)
		rests := 0
		got, whole := slowHash(secret, salt, rounds, func() bool { rests++; return true })
		if err != nil || !whole || !bytes.Equal(got[:], want) || rests != (rounds-1)/slowHashSlice {
			t.Fatalf("%x, %d rounds: %x after %d rests, want %x (%v)", secret, rounds, got, rests, want, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.Byte(), 0, 200)
		same(t, text.Draw(t, "secret"), text.Draw(t, "salt"), rapid.IntRange(1, 3*slowHashSlice).Draw(t, "rounds"))
	})
	same(t, []byte(attacktest.Secret), []byte(fingerprintSalt), fingerprintRounds)
	if _, whole := slowHash([]byte("x"), nil, 2*slowHashSlice, func() bool { return false }); whole {
		t.Error("it goes on when it is told to end")
	}
}
