package proxy

import (
	"crypto/sha256"
	"runtime"
	"sync"

	"envgate/authz"
	"envgate/metrics"
)

// fingerprints computes the fingerprints of keys, each once, on a thread of the lowest priority: a request must not wait for
// a hash that is slow on purpose.
type fingerprints struct {
	metrics *metrics.Metrics
	mutex   sync.Mutex
	known   map[[sha256.Size]byte]string
}

// show computes what isn't known yet, and shows those of a configuration.
func (f *fingerprints) show(c *authz.Config) {
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its priority
		lowerPriority()
		f.mutex.Lock()
		defer f.mutex.Unlock()
		f.metrics.Fingerprints(c.Fingerprints(f.known))
	}()
}
