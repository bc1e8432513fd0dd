// Package jwks fetches the public keys of an issuer, and keeps them: a JSON Web Key Set (RFC 7517) at an address that is
// configured, or that the issuer's discovery document names (OpenID Connect Discovery 1.0; RFC 8414).
//
// Keys are fetched in the background: at start, with quick retries until the first success; then on schedule; and when a
// token is of a key that isn't known, at most once per cooldown whatever the outcome. There is one fetch at a time, but for
// the first one, which is tried again while an issuer takes requests and doesn't answer them. When a fetch fails, the keys
// that are known stay. Nothing that a token says reaches a request of ours, but that it caused it.
package jwks

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of Keys.
var (
	ErrUnavailable = errors.New("no key set has been fetched yet")
	ErrUnknownKey  = errors.New("no such key in the key set")
)

// Options say where a key set is, and how it is kept.
type Options struct {
	Issuer       string
	URL          string // of the key set; or else
	DiscoveryURL string // of the document that names it, and that must name the issuer
	Algorithms   []string
	Roots        *x509.CertPool // nil: the system's
	InsecureHTTP bool           // plain http beyond loopback, too
	Refresh      time.Duration  // between fetches on schedule
	Cooldown     time.Duration  // between fetches that unknown key ids cause
	Timeout      time.Duration  // of one fetch
}

// Defaults of Options.
const (
	Refresh  = 10 * time.Minute
	Cooldown = 30 * time.Second
	Timeout  = 5 * time.Second
)

// Retries at start follow each other this quickly at first, and this slowly at last: whoever is up again is found soon.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 800 * time.Millisecond
)

// patience is how long the first fetch waits for an answer before it asks once more, beside: an issuer that hung, and works
// again, is found at once, and one that is slow still has its time.
const patience = time.Second

// maxWaiting is how many callers may wait for a fetch: more than that, and a key that isn't known is unknown at once.
const maxWaiting = 512

// maxTried is how many keys one token may cost: those of a kind where it names none.
const maxTried = 8

// Status is what is known of a key set.
type Status struct {
	Keys    int
	Fetched time.Time // of the last success; zero before the first
}

// Set is one issuer's key set. Its methods are safe for concurrent use.
type Set struct {
	o       Options
	client  *client
	fetched func(Status, error)

	current atomic.Pointer[snapshot]
	version atomic.Uint64
	waiting atomic.Int32

	mutex    sync.Mutex
	inFlight chan struct{} // closed when the fetch that runs is over; nil between fetches
	asked    time.Time     // when an unknown key last caused a fetch
}

type snapshot struct {
	keys []key
	at   time.Time
}

// New returns a set that knows no key yet. Run fetches them.
func New(o Options) *Set {
	return &Set{o: o, client: newClient(o), fetched: func(Status, error) {}}
}

// Run fetches keys until the context is done. It is called once; fetched is told the outcome of every fetch, one at a time.
func (s *Set) Run(ctx context.Context, fetched func(Status, error)) {
	s.fetched = fetched
	retry := firstRetry
	for {
		wait := jittered(s.o.Refresh)
		if err := s.fetch(ctx); err != nil {
			wait = min(wait, jittered(retry))
			retry = min(2*retry, s.retryLimit())
		} else {
			retry = firstRetry
		}
		select {
		case <-ctx.Done():
			s.client.close()
			return
		case <-time.After(wait):
		}
	}
}

// Fetch fetches the keys once, for a command that needs them now.
func (s *Set) Fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	fetch := s.client.fetch
	if s.current.Load() == nil {
		fetch = s.first
	}
	keys, err := fetch(ctx)
	if err == nil {
		s.current.Store(&snapshot{keys, time.Now()})
		s.version.Add(1)
	}
	return err
}

// first is a fetch that asks again each time that patience ends, and takes the first answer that is good.
func (s *Set) first(ctx context.Context) ([]key, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		keys []key
		err  error
	}
	outcomes, asking := make(chan outcome), 0
	again := time.NewTicker(patience)
	defer again.Stop()
	for {
		asking++
		go func() {
			keys, err := s.client.fetch(ctx)
			select {
			case outcomes <- outcome{keys, err}:
			case <-ctx.Done():
			}
		}()
		for waiting := true; waiting; {
			select {
			case o := <-outcomes:
				if asking--; o.err == nil || asking == 0 {
					return o.keys, o.err
				}
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-again.C:
				waiting = false
			}
		}
	}
}

// retryLimit is longer once there are keys: a refresh that fails is nothing that a client feels.
func (s *Set) retryLimit() time.Duration {
	if s.current.Load() == nil {
		return lastRetry
	}
	return max(lastRetry, s.o.Cooldown)
}

// jittered is a duration up to a tenth longer or shorter, so that pods don't ask in step.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // no secret
}

// Keys returns the keys that a token with this key id (empty: none) and algorithm may be verified with. A key id that
// isn't known causes a fetch, if none did within the cooldown, and waits for it. Where the set has keys without an id, they
// are returned first: Refresh is for when none of them verifies the token.
func (s *Set) Keys(ctx context.Context, kid, algorithm string) ([]crypto.PublicKey, error) {
	now := s.current.Load()
	if now == nil {
		return nil, ErrUnavailable
	}
	if found := now.find(kid, algorithm); len(found) > 0 || kid == "" {
		return found, nil
	}
	s.refreshFor(ctx)
	if found := s.current.Load().find(kid, algorithm); len(found) > 0 {
		return found, nil
	}
	return nil, ErrUnknownKey
}

// Knows tells whether the set has a key with exactly this id for the algorithm: then no fetch would help a token that it
// doesn't verify.
func (s *Set) Knows(kid, algorithm string) bool {
	now := s.current.Load()
	return now != nil && kid != "" && slices.ContainsFunc(now.keys, func(k key) bool { return k.id == kid && k.fits(algorithm) })
}

// Refresh is for a token that no key of a version verified, and whose key isn't known. It fetches, if nothing of the kind did
// so within the cooldown, and tells whether the keys are others since that version.
func (s *Set) Refresh(ctx context.Context, version uint64) bool {
	if s.Version() == version {
		s.refreshFor(ctx)
	}
	return s.Version() != version
}

// find lists the keys for an algorithm with a key id and, after them, those without; or all of them for a token that names none.
func (p *snapshot) find(kid, algorithm string) (found []crypto.PublicKey) {
	for _, named := range []bool{true, false} {
		for _, k := range p.keys {
			if (k.id == kid) == named && (kid == "" || named || k.id == "") && k.fits(algorithm) && len(found) < maxTried {
				found = append(found, k.public)
			}
		}
	}
	return found
}

// refreshFor fetches because a key wasn't known, unless one did so within the cooldown, and waits. While a fetch runs,
// it waits for that.
func (s *Set) refreshFor(ctx context.Context) {
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		return
	}
	defer s.waiting.Add(-1)
	s.mutex.Lock()
	running := s.inFlight
	if running == nil {
		if time.Since(s.asked) < s.o.Cooldown {
			s.mutex.Unlock()
			return
		}
		s.asked = time.Now()
		running = s.start(context.WithoutCancel(ctx)) // the others wait for it, too
	}
	s.mutex.Unlock()
	select {
	case <-running:
	case <-ctx.Done():
	}
}

// fetch fetches, or waits for the fetch that runs.
func (s *Set) fetch(ctx context.Context) error {
	before := s.current.Load()
	s.mutex.Lock()
	running := s.inFlight
	if running == nil {
		running = s.start(ctx)
	}
	s.mutex.Unlock()
	<-running
	if s.current.Load() == before {
		return errors.New("not fetched")
	}
	return nil
}

// start fetches in the background. The mutex is held.
func (s *Set) start(ctx context.Context) chan struct{} {
	done := make(chan struct{})
	s.inFlight = done
	go func() {
		err := s.Fetch(ctx)
		s.fetched(s.Status(), err)
		s.mutex.Lock()
		s.inFlight = nil
		s.mutex.Unlock()
		close(done)
	}()
	return done
}

// Version changes with every fetch that succeeds, and so whenever the keys do.
func (s *Set) Version() uint64 { return s.version.Load() }

// Status tells how many keys are known, and since when.
func (s *Set) Status() Status {
	if p := s.current.Load(); p != nil {
		return Status{len(p.keys), p.at}
	}
	return Status{}
}
