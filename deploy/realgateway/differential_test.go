//go:build realgateway

package realgateway

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The variables of TestDifferential, with what they are unless set. ENVGATE_TEST_ONLY lists the numbers of the requests to
// send, such as 12,345: for one that broke a rule.
const (
	differentialRequests = 1500 // ENVGATE_TEST_REQUESTS: how many for each release; 20000 for the long way
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
	only := numbers(t, "ENVGATE_TEST_ONLY")
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
		send := only
		if len(only) == 0 {
			send = upTo(requests * way.share / 100)
		}
		lanes = append(lanes, newLane(t, running, sidecar, way.authHeader, send))
	}
	t.Run("it finds what isn't so", func(t *testing.T) { finds(t, lanes[0].gateway) })
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
	if requests < differentialRequests || len(only) > 0 {
		return
	}
	// A comparison that never met a case shows nothing of it.
	for _, e := range slices.Concat(refusals, removals) {
		if !strings.HasPrefix(e.name, "trailer") && total[e.note()] == 0 {
			t.Errorf("the exception %q never came up", e.name)
		}
	}
	for _, note := range []string{keptOut + "environment", keptOut + "malformed", "same tokens, same answer: 200", "same tokens, same answer: 101"} {
		if total[note] == 0 {
			t.Errorf("never came up: %s", note)
		}
	}
}

// finds compares with sidecars that do what no enforcing one may: a comparison that finds nothing shows something only if
// it can find.
func finds(t *testing.T, g *gateway) {
	for _, row := range []struct{ name, setting, fault string }{
		{"nothing is refused", "ENVGATE_MODE=report", "behind envgate the gateway honours a token that is environment"},
		{"other environments' tokens pass", "ENVGATE_ENVIRONMENT_RULE=off", "behind envgate the gateway honours a token that is environment"},
		{"all tokens are refused", "JWT_SECRET_KEY=another-secret-0123456789abcdef-0123456789", "the gateway honours an acceptable token directly"},
	} {
		s := startSidecar(t, g, row.setting)
		l := newLane(t, g, s, "Authorization", upTo(60))
		l.shows = 0
		l.run(1)
		if !slices.ContainsFunc(l.faults, func(fault string) bool { return strings.HasPrefix(fault, row.fault) }) {
			t.Errorf("%s: %d faults, and none is %q", row.name, len(l.faults), row.fault)
		}
		s.stop()
	}
}

// upTo lists the numbers from 1.
func upTo(count int) []uint64 {
	all := make([]uint64, count)
	for i := range all {
		all[i] = uint64(i + 1)
	}
	return all
}

// numbers reads a list of numbers.
func numbers(t *testing.T, name string) (all []uint64) {
	t.Helper()
	for _, text := range strings.FieldsFunc(os.Getenv(name), func(c rune) bool { return c == ',' }) {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s: %q: want numbers with commas", name, text)
		}
		all = append(all, n)
	}
	return all
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
