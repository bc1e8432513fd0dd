//go:build faults

package faults

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"envgate/deploy/processtest"
)

// row is what one fault did.
type row struct{ fault, seen, counted, lost string }

// faults in the order of the table. Each has a process, a gateway and load of its own.
var faults = []struct {
	name string
	run  func(t *testing.T) row
}{
	{"the gateway is killed, and restarted", gatewayKilled},
	{"the gateway stalls, and goes on", gatewayStalled},
	{"the gateway resets connections in mid-answer", gatewayBroken(reset)},
	{"the gateway answers garbage", gatewayBroken(garbage)},
	{"SIGTERM at 1,000 requests a second, with 20 event streams and 20 WebSockets, a second sidecar beside it", terminated},
	{"SIGKILL, and a restart", killed},
	{"no file descriptors are left: 100 allowed, 150 silent connections", outOfFiles},
	{"the same before a gateway that stalls, and one HTTP/2 client with 200 requests at once", outOfFilesByStreams},
	{"nobody reads standard error, with the access log on", logBlocked},
	{"the disk for standard error is full", logFull},
	{"the clock is set an hour ahead, and back", clockStepped},
	{"an issuer breaks, stalls, resets, talks garbage", issuerGone},
	{"1,000 requests a second while an issuer's keys and the secret's file are rotated, five times each", keysRotated},
	{"1,000 requests a second over 200 reloads, a third of them broken", reloaded},
	{"10,000 tokens under as many made-up key ids, within 8 s", keysMadeUp},
	{"a certificate of the listener has expired, and is replaced", certificateExpired},
	{"a certificate of the gateway has expired, and is replaced", upstreamCertificateExpired},
	{"the admin port is flooded: 32 clients without a pause, 200 silent connections", adminFlooded},
}

// TestFaults breaks one thing after the other.
func TestFaults(t *testing.T) {
	var b strings.Builder
	b.WriteString("| what was broken | what clients saw | what was counted | what was lost |\n|---|---|---|---|\n")
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			r := f.run(t)
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.name, r.seen, r.counted, r.lost)
		})
	}
	publish(t, "faults", b.String())
}

// stage is a process before a gateway, under load.
type stage struct {
	t       *testing.T
	gateway *gateway
	p       *processtest.Process
	load    *load
	token   string
	before  map[string]float64
}

// stand starts a gateway, a process and so many requests a second: accepted and public ones, and some without a token.
func stand(t *testing.T, rate int, command processtest.Command) *stage {
	t.Helper()
	s := &stage{t: t, gateway: newGateway(t, nil), token: processtest.Token(t, nil)}
	command.Binary = cmp.Or(command.Binary, binary)
	command.Upstream = "http://" + s.gateway.address
	s.p = command.Start(t)
	s.load = startLoad(rate, func() string { return s.p.Traffic }, s.kinds()...)
	t.Cleanup(func() { s.load.stopOnce() })
	time.Sleep(500 * time.Millisecond)
	s.begin()
	return s
}

func (s *stage) kinds() []kind {
	token := func() string { return s.token }
	return []kind{
		{"accepted GET", "GET", "/tools", token, 200}, {"accepted POST", "POST", "/tools", token, 200},
		{"public", "GET", "/health", nil, 200}, {"no token", "GET", "/tools", nil, 401},
	}
}

// again sends other requests instead.
func (s *stage) again(rate int, kinds ...kind) {
	s.load.stopOnce()
	s.gateway.ids = nil // two loads have the same numbers
	s.load = startLoad(rate, func() string { return s.p.Traffic }, kinds...)
	s.begin()
}

// begin forgets what was seen and counted so far.
func (s *stage) begin() {
	s.load.seen()
	s.before = s.p.Counts()
}

// counted words the series below some prefixes that grew since begin.
func (s *stage) counted(prefixes ...string) string {
	now := s.p.Counts()
	var list []string
	for _, series := range slices.Sorted(maps.Keys(now)) {
		for _, prefix := range prefixes {
			if grown := now[series] - s.before[series]; strings.HasPrefix(series, prefix) && grown > 0 {
				list = append(list, fmt.Sprintf("`%s` %.0f", series, grown))
			}
		}
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// recovered waits until the load is answered as it should be, and says after how long.
func (s *stage) recovered() time.Duration {
	s.t.Helper()
	took := eventually(s.t, "answers as before", func() bool {
		s.load.seen()
		time.Sleep(200 * time.Millisecond)
		return s.load.healthy()
	})
	return max(0, took-200*time.Millisecond).Round(10 * time.Millisecond)
}

// after words how long something took behind the end of a fault.
func after(took time.Duration) string {
	if took < 50*time.Millisecond {
		return "at once behind the fault"
	}
	return took.String() + " behind the fault"
}

// end stops the load and fails for what should not have been while nothing was broken.
func (s *stage) end() string {
	s.t.Helper()
	s.load.stopOnce()
	if losses := s.load.losses(); losses != "" {
		s.t.Errorf("lost: %s", losses)
		return losses
	}
	if n := s.gateway.twice(); n > 0 {
		s.t.Errorf("%d POSTs arrived twice", n)
	}
	return "nothing"
}

// want fails where a condition of the table's last column doesn't hold.
func (s *stage) want(what string, holds bool) {
	s.t.Helper()
	if !holds {
		s.t.Errorf("not so: %s", what)
	}
}

func gatewayKilled(t *testing.T) row {
	s := stand(t, 300, processtest.Command{})
	s.load.broken(*hold + 5*time.Second)
	s.gateway.kill()
	time.Sleep(*hold)
	seen := s.load.seen()
	counted := s.counted("envgate_upstream_errors_total")
	s.gateway.start(t)
	back := s.recovered()
	s.load.whole()
	time.Sleep(time.Second)
	s.end()
	return row{fault: "", seen: seen, counted: counted, lost: fmt.Sprintf("what the gateway had not answered: 502 at once. Well again %s. No POST arrived twice", after(back))}
}

func gatewayStalled(t *testing.T) row {
	s := stand(t, 40, processtest.Command{})
	s.load.broken(*hold + 4*time.Second)
	s.gateway.behave(stalled)
	time.Sleep(*hold)
	during := s.load.seen()
	s.gateway.behave(well)
	time.Sleep(200 * time.Millisecond)
	behind := s.load.seen()
	s.load.whole()
	time.Sleep(time.Second)
	s.end()
	return row{"", "meanwhile " + during + "; then " + behind, s.counted("envgate_upstream_errors_total", "envgate_client_canceled_total"), "what clients gave up, and nothing that they waited for. Refusals went on"}
}

func gatewayBroken(how int32) func(t *testing.T) row {
	return func(t *testing.T) row {
		s := stand(t, 300, processtest.Command{})
		s.load.broken(*hold + 5*time.Second)
		s.gateway.behave(how)
		time.Sleep(*hold)
		s.gateway.behave(well)
		time.Sleep(100 * time.Millisecond)
		seen, counted := s.load.seen(), s.counted("envgate_upstream_errors_total")
		s.recovered()
		s.load.whole()
		time.Sleep(time.Second)
		s.end()
		return row{"", seen, counted, "what the gateway had not answered; no half of an answer looked whole. No POST arrived twice"}
	}
}
