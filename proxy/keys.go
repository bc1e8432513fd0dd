package proxy

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"envgate/authz"
	"envgate/authz/jwks"
	"envgate/metrics"
)

// keepers keep the key sets of further issuers fetched, and say how that goes.
type keepers struct {
	metrics *metrics.Metrics
	log     *slog.Logger
	changed func()     // the keys of an issuer may be others
	mutex   sync.Mutex // of the map, and of what is counted of a set: nothing, once it is stopped
	running map[*jwks.Set]context.CancelFunc
}

func newKeepers(m *metrics.Metrics, log *slog.Logger, changed func()) *keepers {
	return &keepers{metrics: m, log: log, changed: changed, running: map[*jwks.Set]context.CancelFunc{}}
}

// keep runs the key sets of a configuration, and stops those that it no longer has.
func (k *keepers) keep(c *authz.Config) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.metrics.Issuers(c)
	wanted := map[*jwks.Set]bool{}
	for issuer, set := range c.Fetched() {
		wanted[set] = true
		if k.running[set] == nil {
			ctx, stop := context.WithCancel(context.Background())
			k.running[set] = stop
			go set.Run(ctx, k.reporter(issuer, set))
		}
	}
	for set, stop := range k.running {
		if !wanted[set] {
			stop()
			delete(k.running, set)
		}
	}
}

func (k *keepers) stop() {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for _, stop := range k.running {
		stop()
	}
}

// count counts what a fetch came to, if its set is still kept.
func (k *keepers) count(issuer string, set *jwks.Set, s jwks.Status, err error) bool {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.running[set] == nil {
		return false
	}
	k.metrics.Fetched(issuer, s, err)
	return true
}

// repeatAfter is how long the same failure isn't logged again.
const repeatAfter = time.Minute

// reporter counts what the fetches of one issuer's set come to, and logs what is new, as long as the set is kept.
func (k *keepers) reporter(issuer string, set *jwks.Set) func(jwks.Status, error) {
	var last string
	var logged time.Time
	return func(s jwks.Status, err error) {
		if !k.count(issuer, set, s, err) {
			return
		}
		if err == nil {
			k.changed()
		}
		switch {
		case err == nil && (last != "" || logged.IsZero()):
			k.log.Info("keys fetched", "issuer", authz.Printable(issuer), "keys", s.Keys)
			last, logged = "", time.Now()
		case err != nil && (err.Error() != last || time.Since(logged) >= repeatAfter):
			k.log.Warn("keys can't be fetched", "issuer", authz.Printable(issuer), "error", err.Error(), "keys", s.Keys)
			last, logged = err.Error(), time.Now()
		}
	}
}
