package authz

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
)

// DenyList are tokens that are revoked without the gateway, by jti, or by sub and the time before which they were issued.
// It holds 128 bits of SHA-256 for each entry and nothing of its text: 16 bytes a jti, 24 a sub. Of a million entries and
// a million tokens, the chance that any token matches an entry that isn't its own is below 1 in 10^26. It never changes.
// A nil list denies nothing.
type DenyList struct {
	ids      []digest // sorted
	subjects []deniedSubject
}

// digest is half of a SHA-256.
type digest struct{ high, low uint64 }

// deniedSubject are the tokens of a subject that were issued before a time, in seconds since 1970. A subject is listed once.
type deniedSubject struct {
	subject digest
	before  float64
}

func digestOf[Text ~string | ~[]byte](text Text) digest {
	var b [128]byte // on the stack
	sum := sha256.Sum256(append(b[:0], text...))
	return digest{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])}
}

func (d digest) compare(to digest) int {
	return cmp.Or(cmp.Compare(d.high, to.high), cmp.Compare(d.low, to.low))
}

// sort makes the list fit for denies: in order, each once, of a subject the latest time.
func (l *DenyList) sort() {
	slices.SortFunc(l.ids, digest.compare)
	l.ids = slices.Compact(l.ids)
	slices.SortFunc(l.subjects, func(a, b deniedSubject) int {
		return cmp.Or(a.subject.compare(b.subject), cmp.Compare(b.before, a.before))
	})
	l.subjects = slices.CompactFunc(l.subjects, func(a, b deniedSubject) bool { return a.subject == b.subject })
}

// deniesID tells whether tokens of that jti are denied.
func (l *DenyList) deniesID(id string) bool {
	if len(l.ids) == 0 {
		return false
	}
	_, found := slices.BinarySearchFunc(l.ids, digestOf(id), digest.compare)
	return found
}

// deniedBefore is the time before which a subject's tokens are denied; 0 for none.
func (l *DenyList) deniedBefore(subject string) float64 {
	if len(l.subjects) == 0 {
		return 0
	}
	i, found := slices.BinarySearchFunc(l.subjects, digestOf(subject), func(d deniedSubject, to digest) int { return d.subject.compare(to) })
	if !found {
		return 0
	}
	return l.subjects[i].before
}

// denies tells whether a verified token is on the list. Without iat it was issued at 0, which is before every time.
func (l *DenyList) denies(t *claims) bool {
	if l == nil {
		return false
	}
	if t.hasID && l.deniesID(t.id) {
		return true
	}
	before := l.deniedBefore(t.subject)
	return before > 0 && t.issuedAt < before // an iat may lie before 1970
}

// Size returns how many jtis and how many subjects are denied.
func (l *DenyList) Size() (ids, subjects int) {
	if l == nil {
		return 0, 0
	}
	return len(l.ids), len(l.subjects)
}

// DenyList is the one in force; nil without any.
func (c *Config) DenyList() *DenyList { return c.denied }

// Settings is the same without the deny-list, for whoever keeps a configuration beyond the next one: a former list takes memory.
func (c *Config) Settings() *Config {
	settings := *c
	settings.denied = nil
	return &settings
}

// Denied says how much is on a deny-list.
type Denied struct {
	IDs      int `json:"jtis"`
	Subjects int `json:"subjects"`
}

// String is the same for people.
func (d Denied) String() string { return fmt.Sprintf("%d jtis, %d subjects", d.IDs, d.Subjects) }

// deniedSize is nil without a deny-list.
func (c *Config) deniedSize() *Denied {
	if c.denied == nil {
		return nil
	}
	ids, subjects := c.denied.Size()
	return &Denied{ids, subjects}
}

// finding says in words how a token's claims compare with the list.
func (l *DenyList) finding(t *claims) string {
	switch {
	case l == nil:
		return "no ENVGATE_DENY_LIST"
	case t.hasID && l.deniesID(t.id):
		return "jti is on the deny-list"
	}
	before := l.deniedBefore(t.subject)
	if before == 0 {
		return "neither jti nor sub is on the deny-list"
	}
	return "sub is on the deny-list before " + when(before, true) + ", iat is " + when(t.issuedAt, t.issuedAt != 0)
}

func denyList(c *Config, path string) error {
	if path == "" {
		return nil
	}
	c.files = append(c.files, path)
	if err := regular(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return errors.Unwrap(err)
	}
	defer func() { _ = f.Close() }()
	c.denied, err = readDenyList(f, maxDenied)
	return err
}
