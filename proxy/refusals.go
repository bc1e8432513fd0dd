package proxy

import (
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"envgate/authz"
	"envgate/metrics"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// refusals count what was refused to each client address. One that is over its number gets 429 instead of the refusal's
// own answer, until some time has passed: each address has an allowance that fills up evenly within a minute. Requests
// that aren't refused are none of its business, so that nobody is locked out by a neighbour behind the same address. A nil
// one counts nothing.
type refusals struct {
	metrics    *metrics.Metrics
	perMinute  float64
	retryAfter string // seconds until one more is left

	mu      sync.Mutex
	clients *simplelru.LRU[netip.Prefix, *allowance] // the ones seen longest ago are forgotten
}

// allowance is how many refusals were left to an address at a time.
type allowance struct {
	left float64
	at   time.Time
}

// maxClients bounds the addresses that are known at once, at some 200 bytes each.
const maxClients = 16 << 10

func newRefusals(c *authz.Config, m *metrics.Metrics) *refusals {
	if c.RefusalsPerMinute == 0 {
		return nil
	}
	n := float64(c.RefusalsPerMinute)
	clients, _ := simplelru.NewLRU[netip.Prefix, *allowance](maxClients, nil) // its size is positive
	return &refusals{metrics: m, perMinute: n, retryAfter: strconv.Itoa(int(math.Ceil(60 / n))), clients: clients}
}

// limit counts a refused request, and turns its decision into 429 when its client is over the limit. Missing keys are no
// client's fault.
func (f *refusals) limit(e *exchange) {
	d := &e.decision
	if f == nil || d.Outcome != authz.Refused || d.Reason == authz.KeysUnavailable {
		return
	}
	if f.take(addressBlock(e.rules.headers.clientAddress(e.r)), time.Now()) {
		return
	}
	f.metrics.Limited(metrics.LimitRefusals)
	tokens := d.Tokens
	*d = authz.OverLimit(http.StatusTooManyRequests, authz.Limited.Text().Detail)
	d.Tokens = tokens // foreign ones are counted all the same
}

// take uses up one refusal of a client's allowance; false when there is none left.
func (f *refusals) take(client netip.Prefix, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, known := f.clients.Get(client)
	if !known {
		a = &allowance{left: f.perMinute, at: now}
		f.clients.Add(client, a)
	}
	if passed := now.Sub(a.at); passed > 0 {
		a.left, a.at = min(f.perMinute, a.left+passed.Minutes()*f.perMinute), now
	}
	if a.left < 1 {
		return false
	}
	a.left--
	return true
}
