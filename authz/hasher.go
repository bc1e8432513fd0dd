package authz

import (
	"crypto/hmac"
	"hash"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// hashers hash texts with hashes that are used again: making a fresh one, above all an HMAC, which first hashes its secret,
// costs as much as hashing a token.
type hashers struct{ idle sync.Pool }

type hasher struct {
	hash.Hash
	text, sum []byte
}

func newHashers(fresh func() hash.Hash) *hashers {
	d := &hashers{}
	d.idle.New = func() any { return &hasher{Hash: fresh()} }
	return d
}

// newMACs are the HMACs under one secret (RFC 7518, section 3.2).
func newMACs(method *jwt.SigningMethodHMAC, secret []byte) *hashers {
	return newHashers(func() hash.Hash { return hmac.New(method.Hash.New, secret) })
}

// sum appends the hash of a text to out.
func (d *hashers) sum(out []byte, text string) []byte {
	h := d.idle.Get().(*hasher)
	h.Reset()
	h.text = append(h.text[:0], text...)
	_, _ = h.Write(h.text) // a hash takes everything
	h.sum = h.Sum(h.sum[:0])
	out = append(out, h.sum...)
	d.idle.Put(h)
	return out
}
