//go:build realgateway

package realgateway

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// lane is one way to one gateway, with what was found on it.
type lane struct {
	generator
	gateway *gateway
	sidecar *sidecar
	send    []uint64 // numbers of requests
	shows   int      // so many faults are reduced and shown
	took    time.Duration

	mu     sync.Mutex
	tally  map[string]int
	faults []string
	errs   []error
}

func newLane(t *testing.T, g *gateway, s *sidecar, authHeader string, send []uint64) *lane {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(login(t, g.url), claims); err != nil {
		t.Fatal(err)
	}
	pool := mint(t, claims)
	return &lane{gateway: g, sidecar: s, send: send, shows: 20, tally: map[string]int{}, generator: generator{
		good:       withVerdict(pool, func(v string) bool { return v == acceptable }),
		odd:        withVerdict(pool, func(v string) bool { return v == "malformed" || v == "algorithm" }),
		bad:        withVerdict(pool, func(v string) bool { return v != acceptable && v != "malformed" && v != "algorithm" }),
		authHeader: authHeader, host: strings.TrimPrefix(g.url, "http://"),
	}}
}

// run sends the lane's requests.
func (l *lane) run(seed uint64) {
	started := time.Now()
	var next atomic.Int64
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(l.send)); i = next.Add(1) - 1 {
				l.one(seed, l.send[i])
			}
		})
	}
	all.Wait()
	l.took = time.Since(started)
}

// one sends request number n, and files what came of it.
func (l *lane) one(seed, n uint64) {
	q := l.request(seed, n)
	a, err := l.attempt(q, fmt.Sprintf("%d-%d", seed, n))
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("request %d: %w", n, err))
		return
	}
	notes, fault := a.compare()
	for _, note := range notes {
		l.tally[note]++
	}
	if fault != "" {
		if len(l.faults) < l.shows {
			q, fault = l.reduced(q, fault)
			fault = fmt.Sprintf("request %d: %s\n%s", n, fault, l.shown(q))
		}
		l.faults = append(l.faults, fault)
	}
}

// attempt sends a request both ways.
func (l *lane) attempt(q request, name string) (a attempt, err error) {
	a = attempt{q: q, g: &l.generator}
	for _, way := range []struct {
		to   *outcome
		name string
		url  string
	}{{&a.direct, name + "-direct", l.gateway.url}, {&a.behind, name + "-behind", l.sidecar.url}} {
		address := strings.TrimPrefix(way.url, "http://")
		if way.to.wired, err = exchange(address, q.method, q.raw(way.name)); err == nil && way.to.hung && !a.direct.hung { // a busy machine?
			way.name += "-again"
			way.to.wired, err = exchange(address, q.method, q.raw(way.name))
		}
		if err != nil {
			return a, fmt.Errorf("%s: %w\n%s", way.name, err, l.shown(q))
		}
		if way.to.seen, err = taken(l.host, way.name); err != nil {
			return a, fmt.Errorf("%s: the record: %w", way.name, err)
		}
	}
	return a, nil
}

var attempts atomic.Int64

// reduced takes lines off a request for as long as the fault stays.
func (l *lane) reduced(q request, fault string) (request, string) {
	for i := 0; i < len(q.headers); {
		less := q
		less.headers = slices.Delete(slices.Clone(q.headers), i, i+1)
		a, err := l.attempt(less, fmt.Sprintf("reduced-%d", attempts.Add(1)))
		if err == nil {
			if _, still := a.compare(); still != "" {
				q, fault = less, still
				continue
			}
		}
		i++
	}
	return q, fault
}

// shown writes a request with the names of its tokens, as files of the attack corpus are written.
func (l *lane) shown(q request) string {
	text := string(q.raw("x"))
	for _, s := range slices.Concat(l.good, l.bad, l.odd) {
		text = strings.ReplaceAll(text, s.text, "{"+s.name+"}")
	}
	return regexp.MustCompile(`[^ -~\r\n]`).ReplaceAllStringFunc(text, func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, `\x%02x`, s[i])
		}
		return b.String()
	})
}

// report fails the test for every fault.
func (l *lane) report(t *testing.T, seed uint64) {
	t.Logf("%d requests in %v, seed %d", len(l.send), l.took.Round(time.Second), seed)
	for _, name := range slices.Sorted(maps.Keys(l.tally)) {
		t.Logf("%6d  %s", l.tally[name], name)
	}
	if err := errors.Join(l.errs...); err != nil {
		t.Error(err)
	}
	for _, fault := range l.faults {
		t.Error(fault)
	}
}
