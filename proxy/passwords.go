package proxy

import (
	"crypto/sha256"
	"net/http"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// passwords are those of the admin listener, as bcrypt hashes by user, which the web configuration holds.
type passwords struct {
	hashes map[string][]byte

	known   sync.Map   // by user: the SHA-256 of the name and the password that was right last
	hashing sync.Mutex // one at a time: each takes a good part of a core
}

func newPasswords[Hash ~string](users map[string]Hash) *passwords {
	if len(users) == 0 {
		return nil
	}
	p := &passwords{hashes: map[string][]byte{}}
	for user, hash := range users {
		p.hashes[user] = []byte(hash)
	}
	return p
}

// nobody is the hash of no user's password: it takes as long as others, so that time doesn't tell which users there are.
const nobody = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"

// know tells whether a request has a user's password. A right one is hashed once, so that scrapes stay cheap.
func (p *passwords) know(r *http.Request) bool {
	user, password, given := r.BasicAuth()
	if !given {
		return false
	}
	hash, is := p.hashes[user]
	if !is {
		hash = []byte(nobody)
	}
	both := sha256.Sum256([]byte(user + ":" + password)) // as they came: a user's name has no colon (RFC 7617 section 2)
	if known, _ := p.known.Load(user); known == both {   // who guesses holds up nobody else
		return true
	}
	p.hashing.Lock()
	defer p.hashing.Unlock()
	right := bcrypt.CompareHashAndPassword(hash, []byte(password)) == nil && is
	if right {
		p.known.Store(user, both)
	}
	return right
}
