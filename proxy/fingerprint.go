package proxy

import (
	"crypto/sha256"
	"sync"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// fingerprints computes the fingerprints of keys, each once, in the background and with long rests: a request must not wait
// for a hash that is slow on purpose, even where there is one processor, and others share it. A low priority would be worse
// there: a thread that doesn't get the processor keeps the others from running Go code.
type fingerprints struct {
	metrics *metrics.Metrics
	mutex   sync.Mutex
	known   map[[sha256.Size]byte]string
	stop    chan struct{} // ends what is being computed; nil before the first
}

// restsPerWork is how much longer than the work each rest is.
const restsPerWork = 9

// show computes what isn't known yet, and shows those of a configuration, in place of any before.
func (f *fingerprints) show(c *authz.Config) {
	f.end()
	stop := make(chan struct{})
	f.stop = stop
	go func() {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		worked, ended := time.Now(), false
		all := c.Fingerprints(f.known, func() bool {
			select {
			case <-stop:
				ended = true
			case <-time.After(min(restsPerWork*time.Since(worked), 20*time.Millisecond)):
			}
			worked = time.Now()
			return !ended
		})
		select {
		case <-stop:
		default:
			f.metrics.Fingerprints(all)
		}
	}()
}

// end gives up what is being computed.
func (f *fingerprints) end() {
	if f.stop != nil {
		close(f.stop)
		f.stop = nil
	}
}
