package authz

import (
	"crypto/sha256"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Cache remembers the verdicts on tokens that were accepted, so that the next request with the same token costs a hash
// instead of a signature. It is bounded in bytes, safe for concurrent use, and outlives reloads, each of which empties it.
//
// Only accepted tokens are remembered: to get in takes a good signature, so that no flood of forged ones pushes a good one
// out, and what is refused is never refused by memory.
type Cache struct {
	shards     [cacheShards]cacheShard
	generation atomic.Uint64 // of the last guard that was made for it

	hits, misses, evictions atomic.Uint64
}

const cacheShards = 16

type cacheShard struct {
	mutex sync.Mutex
	least *simplelru.LRU[cacheKey, *remembered] // its own bound in entries never binds
	bytes int
	most  int
}

// cacheKey is where to look for a token under one configuration. Its hash is quick, not cryptographic: whether a token is the
// one that is remembered there, its SHA-256 tells, so that one that isn't remembered need not be hashed by SHA-256 (0.6 µs).
type cacheKey struct {
	quick      uint64
	generation uint64
}

// remembered is a verdict with all that it depended on beside the configuration.
type remembered struct {
	token        [sha256.Size]byte
	verdict      Verdict
	after, until float64 // seconds since 1970 between which the claims hold
	keys         keySource
	version      uint64 // of the further issuer's keys
}

var (
	cacheSeed    = maphash.MakeSeed()
	tokenHashers = newHashers(sha256.New)
)

func newCacheKey(token string, generation uint64) cacheKey {
	return cacheKey{maphash.String(cacheSeed, token), generation}
}

func hashToken(token string) (h [sha256.Size]byte) {
	tokenHashers.sum(h[:0], token)
	return h
}

// NewCache returns a cache of at most so many bytes; nil for none at all.
func NewCache(bytes int) *Cache {
	if bytes == 0 {
		return nil
	}
	c := &Cache{}
	for i := range c.shards {
		s := &c.shards[i]
		s.most = bytes / cacheShards
		s.least, _ = simplelru.NewLRU(math.MaxInt, func(_ cacheKey, r *remembered) { s.bytes -= r.size() }) // its size is positive
	}
	return c
}

// CacheStats counts what became of look-ups.
type CacheStats struct{ Hits, Misses, Evictions uint64 }

// Stats returns the counts since the start; zeros without a cache.
func (c *Cache) Stats() CacheStats {
	if c == nil {
		return CacheStats{}
	}
	return CacheStats{c.hits.Load(), c.misses.Load(), c.evictions.Load()}
}

// Size returns the bytes in use, as far as they are counted: see size.
func (c *Cache) Size() (bytes int) {
	if c == nil {
		return 0
	}
	for i := range c.shards {
		c.shards[i].mutex.Lock()
		bytes += c.shards[i].bytes
		c.shards[i].mutex.Unlock()
	}
	return bytes
}

// empty forgets everything, and gives the number of the guard that will use the cache from now on. What a guard before it
// still remembers is never found.
func (c *Cache) empty() uint64 {
	generation := c.generation.Add(1)
	for i := range c.shards {
		c.shards[i].mutex.Lock()
		c.shards[i].least.Purge()
		c.shards[i].mutex.Unlock()
	}
	return generation
}

// get looks a token up at a time.
func (c *Cache) get(k cacheKey, token string, now float64) (Verdict, bool) {
	s := &c.shards[k.quick%cacheShards]
	s.mutex.Lock()
	r, found := s.least.Get(k)
	if found && (now < r.after || now >= r.until || r.keys != nil && r.keys.Version() != r.version) {
		s.least.Remove(k)
		found = false
	}
	s.mutex.Unlock()
	if !found || r.token != hashToken(token) {
		c.misses.Add(1)
		return Verdict{}, false
	}
	c.hits.Add(1)
	return r.verdict, true
}

// put remembers a verdict, and forgets the ones that were used longest ago to make room.
func (c *Cache) put(k cacheKey, token string, r *remembered) {
	r.token = hashToken(token)
	s := &c.shards[k.quick%cacheShards]
	size := r.size()
	if size > s.most {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.least.Contains(k) { // two requests at once
		return
	}
	s.least.Add(k, r)
	for s.bytes += size; s.bytes > s.most; c.evictions.Add(1) {
		s.least.RemoveOldest()
	}
}

// size is what an entry takes: about 500 bytes for itself and its places in map and list, as measured, and its texts.
func (r *remembered) size() int {
	v := &r.verdict
	return 500 + len(v.Detail) + len(v.Environment) + len(v.Subject) + len(v.ID) + len(v.forward)
}
