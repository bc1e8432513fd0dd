//go:build faults

package faults

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envgate/authz/issuertest"
	"envgate/deploy/processtest"

	"github.com/golang-jwt/jwt/v5"
)

// soaked is a process under everything at once.
type soaked struct {
	t       *testing.T
	p       *processtest.Process
	gateway *gateway
	issuer  *issuertest.Issuer
	load    *load
	secrets string // the file

	own, external, foreign, expired, forged atomic.Value // tokens

	serial  int // of the secret
	reloads int // that succeeded

	mu      sync.Mutex
	streams map[string]int // by kind and end
	events  atomic.Int64
	did     map[string]int // faults and changes, by name
}

// levels are what must end where it began.
type levels struct {
	goroutines, files, memory, inFlight, streams float64
}

func levelsOf(p *processtest.Process) levels {
	c := p.Counts()
	memory, _ := p.Memory()
	return levels{c["go_goroutines"], float64(p.OpenFiles()), float64(memory) / (1 << 20), c["envgate_requests_in_flight"],
		c[`envgate_streams_open{kind="sse"}`] + c[`envgate_streams_open{kind="websocket"}`]}
}

func (l levels) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f files, %.1f MB", l.goroutines, l.files, l.memory)
}

// within tells whether nothing to speak of was added to former levels, and nothing is under way.
func (l levels) within(former levels) bool {
	return l.goroutines <= former.goroutines+3 && l.files <= former.files+4 && l.memory <= former.memory+8 && l.inFlight == 0 && l.streams == 0
}

const soakRate = 300 // requests a second, beside streams

// TestSoak: mixed traffic, with keys that rotate, secrets that are reloaded (a third of them broken), an issuer and a gateway
// that fail in every way. Goroutines, open files and memory end where they began, and nothing is lost but what a broken
// gateway couldn't answer.
func TestSoak(t *testing.T) {
	lasts, pause := *soak, 20*time.Second
	if lasts == 0 {
		lasts, pause = 10*time.Second, 1500*time.Millisecond
	}
	s := newSoaked(t)
	s.run(min(lasts/2, time.Minute), pause/4) // everything happens some times before anything is measured
	before := s.rest()
	s.load, s.streams, s.did = nil, map[string]int{}, map[string]int{}
	first := s.p.Counts()
	s.events.Store(0)
	s.run(lasts, pause)
	after := s.rest()
	s.report(lasts, before, after, first)
	if losses := s.load.losses(); losses != "" {
		t.Errorf("lost: %s", losses)
	}
	for what, n := range s.streams {
		if strings.HasSuffix(what, " for no reason") {
			t.Errorf("%d × %s", n, what)
		}
	}
	if !after.within(before) {
		t.Errorf("it began with %+v and ended with %+v", before, after)
	}
}

func newSoaked(t *testing.T) *soaked {
	s := &soaked{t: t, gateway: newGateway(t, nil), issuer: issuertest.New(t, "ES256"), streams: map[string]int{}, did: map[string]int{}}
	s.gateway.ids = nil
	folder := t.TempDir()
	s.secrets = filepath.Join(folder, "secret")
	s.write(s.secret())
	policy := filepath.Join(folder, "policy.yaml")
	replace(t, map[string][]byte{policy: policyOf(s.issuer, time.Second, 0)})
	s.p = processtest.Command{Binary: binary, Upstream: "http://" + s.gateway.address, Settings: []string{
		"JWT_SECRET_KEY=", "JWT_SECRET_KEY_FILE=" + s.secrets, "ENVGATE_POLICY=" + policy, "ENVGATE_ACCESS_LOG=true",
	}}.Start(t)
	s.sign()
	s.external.Store(s.issuer.Sign(t, map[string]any{"aud": "gateway"}))
	s.forged.Store(processtest.SignedBy(t, "another-secret-0123456789abcdefghijklm", nil))
	return s
}

func (s *soaked) secret() string {
	return fmt.Sprintf("soak-secret-%d-0123456789abcdefghijklmnop", s.serial)
}

func (s *soaked) write(text string) {
	if err := os.WriteFile(s.secrets+".new", []byte(text), 0o600); err != nil {
		s.t.Error(err)
	}
	if err := os.Rename(s.secrets+".new", s.secrets); err != nil {
		s.t.Error(err)
	}
}

// sign makes the tokens of the gateway's own.
func (s *soaked) sign() {
	s.own.Store(processtest.SignedBy(s.t, s.secret(), nil))
	s.foreign.Store(processtest.SignedBy(s.t, s.secret(), jwt.MapClaims{"env": "staging"}))
	s.expired.Store(processtest.SignedBy(s.t, s.secret(), jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}))
}

func text(v *atomic.Value) func() string { return func() string { return v.Load().(string) } }

// run keeps everything going for so long, with something happening in every pause.
func (s *soaked) run(lasts, pause time.Duration) {
	own, external := text(&s.own), text(&s.external)
	s.load = startLoad(soakRate, func() string { return s.p.Traffic },
		kind{"accepted GET", "GET", "/tools", own, 200}, kind{"accepted POST", "POST", "/tools", own, 200},
		kind{"issuer's GET", "GET", "/tools", external, 200}, kind{"issuer's POST", "POST", "/tools", external, 200},
		kind{"public", "GET", "/health", nil, 200}, kind{"public with a forged token", "GET", "/health", text(&s.forged), 200},
		kind{"no token", "GET", "/tools", nil, 401}, kind{"forged", "POST", "/tools", text(&s.forged), 401},
		kind{"foreign", "GET", "/tools", text(&s.foreign), 401}, kind{"expired", "GET", "/tools", text(&s.expired), 401},
		kind{"malformed", "GET", "/tools", func() string { return "a.b.c" }, 401},
	)
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	defer cancel()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { s.keepStreaming(ctx) })
	}
	all.Go(func() { s.misbehave(ctx) })
	happenings := []func(){s.reload, s.rotate, s.reload, s.issuerFault, s.reload, s.upstreamFault}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			all.Wait()
			s.load.stop()
			return
		case <-time.After(pause):
		}
		happenings[n%len(happenings)]()
		if n%len(happenings) == 0 {
			s.t.Logf("%s %+v; %d requests", time.Now().Format("15:04:05"), levelsOf(s.p), s.load.count.Load())
		}
	}
}

// rest waits for everything to be over, and measures.
func (s *soaked) rest() levels {
	eventually(s.t, "nothing in flight", func() bool { l := levelsOf(s.p); return l.inFlight == 0 && l.streams == 0 })
	rest := 5 * time.Second // upstream connections idle out
	if *soak > 0 {
		rest = 130 * time.Second // the collector runs every two minutes at least, and gives memory back
	}
	time.Sleep(rest)
	return levelsOf(s.p)
}

func (s *soaked) done(what string) {
	s.mu.Lock()
	s.did[what]++
	s.mu.Unlock()
}

// reload changes the secret; every third one can't be read, and the former stays.
func (s *soaked) reload() {
	s.reloads++
	result := `envgate_reloads_total{result="success"}`
	if s.reloads%3 == 0 {
		result = `envgate_reloads_total{result="failure"}`
	}
	before := s.p.Counts()[result]
	if s.reloads%3 == 0 {
		s.write("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n")
		s.done("broken secret file")
	} else {
		s.serial++
		s.write(s.secret())
		s.done("changed secret file")
	}
	eventually(s.t, "a reload", func() bool { return s.p.Counts()[result] > before })
	s.sign()
}

// rotate has the issuer sign with a new key from now on, and forget all but that now and then.
func (s *soaked) rotate() {
	s.issuer.Rotate(s.t, "ES256")
	s.external.Store(s.issuer.Sign(s.t, map[string]any{"aud": "gateway"}))
	s.done("rotation of the issuer's keys")
	if s.did["rotation of the issuer's keys"]%3 == 0 {
		time.Sleep(time.Second)
		s.issuer.Forget()
	}
}

// issuerFault has the issuer fail while tokens with keys that it never had come in.
func (s *soaked) issuerFault() {
	how := []string{issuertest.Broken, issuertest.Stall, issuertest.Reset, issuertest.Garbage, issuertest.Huge}[s.did["issuer fault"]%5]
	s.done("issuer fault")
	s.issuer.Behave(how)
	for range 5 {
		s.ask(s.issuer.SignAs(s.t, "unknown-"+fmt.Sprint(rand.Int64()), map[string]any{"aud": "gateway"}))
		time.Sleep(200 * time.Millisecond)
	}
	s.issuer.Behave(issuertest.Well)
	time.Sleep(1500 * time.Millisecond) // a cooldown
}

func (s *soaked) ask(token string) {
	r, _ := http.NewRequest(http.MethodGet, "http://"+s.p.Traffic+"/tools", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	if res, err := s.load.client.Do(r); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			s.t.Error("a token under a key that nobody has was accepted")
		}
	}
}

// upstreamFault breaks the gateway for a second.
func (s *soaked) upstreamFault() {
	which := s.did["upstream fault"] % 4
	s.done("upstream fault")
	s.load.broken(6 * time.Second) // and what was on its way then
	if which == 0 {
		s.gateway.kill()
		time.Sleep(time.Second)
		s.gateway.start(s.t)
	} else {
		s.gateway.behave([]int32{stalled, reset, garbage}[which-1])
		time.Sleep(time.Second)
		s.gateway.behave(well)
	}
}

func (s *soaked) faulty() bool {
	s.load.mu.Lock()
	defer s.load.mu.Unlock()
	return time.Now().Before(s.load.faulty)
}

// keepStreaming opens streams one after the other, and leaves each after a while.
func (s *soaked) keepStreaming(ctx context.Context) {
	streams := newStreamer(s.p.Traffic, text(&s.own))
	for n := rand.IntN(2); ctx.Err() == nil; n++ {
		lasting, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Millisecond)
		count := func() { s.events.Add(1) }
		faulty, kind, end := s.faulty(), "sse", ""
		if n%2 == 0 {
			end = streams.events(lasting, count)
		} else {
			kind, end = "websocket", streams.messages(lasting, count)
		}
		switch {
		case lasting.Err() != nil:
			end = endedByUs
		case end != endedByUs && !faulty && !s.faulty():
			end += " for no reason"
		}
		cancel()
		s.mu.Lock()
		s.streams[kind+" "+end]++
		s.mu.Unlock()
		if end != endedByUs {
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// misbehave opens connections as no client should: silent ones, halves of requests, bodies that never come, resets.
func (s *soaked) misbehave(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		conn, err := net.Dial("tcp", s.p.Traffic)
		if err != nil {
			continue
		}
		head := "POST /tools HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + s.own.Load().(string) + "\r\n"
		_, _ = io.WriteString(conn, []string{"", "GET /to", head, head + "Content-Length: 1000\r\n\r\nabc", head + "Transfer-Encoding: chunked\r\n\r\nfff\r\nabc", "\x16\x03\x01 no HTTP\r\n\r\n"}[n%6])
		time.Sleep(200 * time.Millisecond)
		if n%2 == 0 {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		_ = conn.Close()
		s.done("ill-behaved connection")
	}
}
