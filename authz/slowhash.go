package authz

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
)

// slowHashSlice is how many rounds of the slow hash are computed in one go: a fraction of a millisecond.
const slowHashSlice = 500

// slowHash is the first block of PBKDF2-HMAC-SHA256 (RFC 8018, section 5.2), as crypto/pbkdf2 computes it in one call: here
// with rests, so that whoever has only one processor can go on with requests. rest is called between slices; false ends it.
func slowHash(secret, salt []byte, rounds int, rest func() bool) (block [sha256.Size]byte, whole bool) {
	mac := hmac.New(sha256.New, secret)
	mac.Write(salt)
	mac.Write([]byte{0, 0, 0, 1})
	u := mac.Sum(nil)
	copy(block[:], u)
	for n := 1; n < rounds; n++ {
		if n%slowHashSlice == 0 && !rest() {
			return block, false
		}
		mac.Reset()
		mac.Write(u)
		u = mac.Sum(u[:0])
		subtle.XORBytes(block[:], block[:], u)
	}
	return block, true
}
