package jwks_test

import (
	"errors"
	"testing"
	"time"

	"envgate/authz/issuertest"
	"envgate/authz/jwks"
)

// A set that follows another one knows its keys before its own first fetch, and when that fails, as far as they are for its
// algorithms.
func TestKeysAreInherited(t *testing.T) {
	i := issuertest.New(t, "ES256")
	former := running(t, options(i))
	loaded(t, former)
	i.Behave(issuertest.Broken)
	for _, row := range []struct {
		name       string
		algorithms []string
		keys       int
	}{
		{"the same algorithms", []string{"RS256", "ES256"}, 1},
		{"one more", []string{"RS256", "ES256", "EdDSA"}, 1},
		{"one less", []string{"ES256"}, 1},
		{"others", []string{"RS256"}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := options(i)
			o.Algorithms = row.algorithms
			s := jwks.New(o)
			s.Inherit(former)
			if got := s.Status(); got.Keys != row.keys || row.keys > 0 && !got.Fetched.Equal(former.Status().Fetched) {
				t.Errorf("%+v, want %d keys as old as %+v", got, row.keys, former.Status())
			}
			_, err := s.Keys(t.Context(), "key-1", "ES256")
			if (err == nil) != (row.keys > 0) || err != nil && !errors.Is(err, jwks.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The cooldown of fetches that unknown key ids cause is inherited, too: edits can't be used to cause more.
func TestTheCooldownIsInherited(t *testing.T) {
	i := issuertest.New(t, "ES256")
	former := running(t, options(i))
	loaded(t, former)
	unknown := func(s *jwks.Set) (fetches int) {
		before := i.Fetches()
		if _, err := s.Keys(t.Context(), "key-9", "ES256"); !errors.Is(err, jwks.ErrUnknownKey) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(50 * time.Millisecond)
		return i.Fetches() - before
	}
	if n := unknown(former); n != 1 {
		t.Fatalf("the first unknown key id causes %d fetches, want 1", n)
	}
	s := jwks.New(options(i))
	s.Inherit(former)
	if n := unknown(s); n != 0 {
		t.Errorf("one within the cooldown causes %d fetches, want none", n)
	}
}
