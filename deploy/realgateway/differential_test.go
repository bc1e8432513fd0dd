//go:build realgateway

package realgateway

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The variables of TestDifferential, with what they are unless set.
const (
	differentialRequests = 2500 // ENVGATE_TEST_REQUESTS: how many for each release; 20000 for the long way
	differentialSeed     = 1    // ENVGATE_TEST_SEED: which ones
	senders              = 3    // for each release
)

// ways are how the gateways read tokens: by the auth header of their defaults, and by another. 0.9.0 doesn't know that
// setting: the owner has set it, and the gateway reads Authorization all the same.
var ways = []struct {
	of         *installation
	authHeader string
	share      int // of the requests, in a hundred
}{
	{&installation{name: "0.9.0", release: legacy, recorded: true, settings: quietly("ENVIRONMENT", "development")}, "Authorization", 65},
	{nil, "X-Gateway-Token", 35},
	{&installation{name: "1.0.7", release: current, recorded: true, settings: quietly("ENVIRONMENT", "production", "EMBED_ENVIRONMENT_IN_TOKENS", "false", "VALIDATE_TOKEN_ENVIRONMENT", "false")}, "Authorization", 65},
	{&installation{name: "1.0.7, another auth header", release: current, recorded: true, settings: quietly("ENVIRONMENT", "production", "AUTH_HEADER_NAME", "X-Gateway-Token")}, "X-Gateway-Token", 35},
}

// quietly are settings with little written: the gateways' logs and security tables take up most of the time.
func quietly(settings ...string) map[string]string {
	all := map[string]string{"LOG_LEVEL": "ERROR", "SECURITY_LOGGING_ENABLED": "false", "MCPGATEWAY_WS_RELAY_ENABLED": "true"}
	for i := 0; i < len(settings); i += 2 {
		all[settings[i]] = settings[i+1]
	}
	return all
}

// TestDifferential sends generated requests to real gateways, once directly and once through envgate, over raw
// connections, and compares which tokens the gateways honoured:
//
//   - behind envgate no gateway honours, nor takes apart, a text that isn't an acceptable token;
//   - no request goes on to a protected path without one;
//   - an acceptable token that the gateway honours directly is honoured behind envgate, too, unless a documented rule
//     says otherwise: see refusals and removals, each of which is counted;
//   - where both saw the same tokens, both answer with the same status.
//
// A request that breaks one of these is printed with its seed and number, less what it takes no part in.
func TestDifferential(t *testing.T) {
	requests, seed := number(t, "ENVGATE_TEST_REQUESTS", differentialRequests), uint64(number(t, "ENVGATE_TEST_SEED", differentialSeed))
	t.Logf("%d requests for each release, seed %d", requests, seed)
	var running *gateway
	var lanes []*lane
	for _, way := range ways {
		var sidecar *sidecar
		if way.of != nil {
			running = way.of.start(t)
			sidecar = running.sidecar
		} else {
			sidecar = startSidecar(t, running, "AUTH_HEADER_NAME="+way.authHeader)
		}
		lanes = append(lanes, newLane(t, running, sidecar, way.authHeader, requests*way.share/100))
	}
	var both sync.WaitGroup
	for _, r := range []release{legacy, current} { // at once
		both.Go(func() {
			for i, l := range lanes {
				if l.gateway.release == r {
					l.run(seed + uint64(i)<<32)
				}
			}
		})
	}
	both.Wait()
	total := map[string]int{}
	for _, l := range lanes {
		t.Run(l.gateway.name+", tokens in "+l.authHeader, func(t *testing.T) { l.report(t, seed) })
		for note, n := range l.tally {
			total[note] += n
		}
		l.gateway.stop()
	}
	if requests < differentialRequests {
		return
	}
	// A comparison that never met a case shows nothing of it.
	for _, e := range slices.Concat(refusals, removals) {
		if e.name != trailer.name && total[e.note()] == 0 {
			t.Errorf("the exception %q never came up", e.name)
		}
	}
	for _, note := range []string{keptOut + "environment", keptOut + "malformed", "same tokens, same answer: 200", "same tokens, same answer: 101"} {
		if total[note] == 0 {
			t.Errorf("never came up: %s", note)
		}
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q: want a number from 1", name, text)
	}
	return n
}

// lane is one way to one gateway, with what was found on it.
type lane struct {
	generator
	gateway *gateway
	sidecar *sidecar
	count   int
	took    time.Duration

	mu     sync.Mutex
	tally  map[string]int
	faults []string
	errs   []error
}

func newLane(t *testing.T, g *gateway, s *sidecar, authHeader string, count int) *lane {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(login(t, g.url), claims); err != nil {
		t.Fatal(err)
	}
	pool := mint(t, claims)
	return &lane{gateway: g, sidecar: s, count: count, tally: map[string]int{}, generator: generator{
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
			for n := next.Add(1); n <= int64(l.count); n = next.Add(1) {
				l.one(seed, uint64(n))
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
		if len(l.faults) < 20 {
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
		if way.to.wired, err = exchange(strings.TrimPrefix(way.url, "http://"), q.method, q.raw(way.name)); err != nil {
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
	t.Logf("%d requests in %v, seed %d", l.count, l.took.Round(time.Second), seed)
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
