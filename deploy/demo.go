// Package deploy ships envgate: the demo, and what brings the sidecar to where it works.
package deploy

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"envgate/authz"
	"envgate/metrics"
	"envgate/proxy"
)

var background = context.Background()

// DemoOptions say what the demo runs against.
type DemoOptions struct {
	Out     io.Writer
	Stay    bool             // keep running until Stop
	Gateway string           // URL of a real gateway; "" starts the stand-in
	Environ []string         // with Gateway: JWT_SECRET_KEY, JWT_ISSUER, JWT_AUDIENCE, PLATFORM_ADMIN_EMAIL, PLATFORM_ADMIN_PASSWORD as the gateway has them
	Stop    <-chan os.Signal // ends Stay
	Build   metrics.Build
}

// demo is one run.
type demo struct {
	DemoOptions
	gateway  string
	sidecars map[string]*sidecar
	tokens   map[string]string
	secret   string
	logs     *buffer
	failures int
}

// sidecar is one running envgate.
type sidecar struct {
	*proxy.Server
	config         *authz.Config
	traffic, admin string
}

// environments of the demo, in the order in which they are shown.
var environments = []string{"staging", "production"}

// Demo starts a gateway and two sidecars that share a secret, as careless owners do, sends the scenario through them and
// prints what was decided and why. The error says that an outcome was not the expected one.
func Demo(o DemoOptions) error { return run(o, scenario) }

func run(o DemoOptions, steps []step) error {
	d := &demo{DemoOptions: o, sidecars: map[string]*sidecar{}, logs: &buffer{}}
	stop, err := d.start()
	defer stop()
	if err != nil {
		return err
	}
	d.printf("\nThe gateway: %s\n", d.gateway)
	if o.Gateway == "" {
		d.printf("  a stand-in, part of this demo: it checks tokens as a legacy release does and knows nothing of env\n")
	}
	for _, name := range environments {
		d.printf("A sidecar:   %s (%s)\n", d.sidecars[name].traffic, name)
	}
	d.printf("\nBoth environments share one secret, issuer and audience. What the sidecars say about that at start:\n")
	for _, name := range environments {
		for _, w := range d.sidecars[name].Warnings() {
			d.printf("  %-11s%-32s%s\n", name, w.Check, w.Set)
		}
	}
	d.printf("\n  %-3s %-31s %-11s %-4s %-32s %s\n", "", "SENT", "TO", "GOT", "DECIDED", "WHY")
	for _, s := range steps {
		d.play(s)
	}
	d.metrics()
	d.searchOutputs()
	if d.failures > 0 {
		return fmt.Errorf("%d outcomes were not the expected ones", d.failures)
	}
	d.printf("\n%d requests, every outcome as expected.\n", len(steps))
	if o.Stay {
		return d.stay()
	}
	return nil
}

func (d *demo) printf(format string, args ...any) { _, _ = fmt.Fprintf(d.Out, format, args...) }

// start brings up the gateway and the sidecars. The returned function ends them; it is never nil.
func (d *demo) start() (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, f := range slices.Backward(stops) {
			f()
		}
	}
	shared, err := d.sharedSettings()
	if err != nil {
		return stop, err
	}
	d.secret = value(shared, "JWT_SECRET_KEY")
	d.gateway = strings.TrimSuffix(d.Gateway, "/")
	if d.Gateway == "" {
		c, err := authz.Parse(authz.Source{Environ: shared})
		if err != nil {
			return stop, err
		}
		url, end, err := startStandIn(&standIn{[]byte(d.secret), c.Issuer, c.Audience})
		if err != nil {
			return stop, err
		}
		stops = append(stops, end)
		d.gateway = url
	}
	for _, name := range environments {
		c, err := authz.Parse(authz.Source{Environ: append(slices.Clone(shared),
			"ENVGATE_ENVIRONMENT="+name, "ENVGATE_UPSTREAM="+d.gateway, "ENVGATE_LISTEN=127.0.0.1:0", "ENVGATE_ADMIN_LISTEN=127.0.0.1:0",
			"ENVGATE_ACCESS_LOG=true", "ENVGATE_DRAIN_DELAY=0s", "ENVGATE_DRAIN_TIMEOUT=1s")})
		if err != nil {
			return stop, err
		}
		s := &sidecar{Server: proxy.NewServer(c, d.Build, slog.New(slog.NewJSONHandler(d.logs, nil))), config: c}
		if err := s.Start(); err != nil {
			return stop, err
		}
		stops = append(stops, s.Stop)
		traffic, admin := s.Addresses()
		s.traffic, s.admin = "http://"+traffic, "http://"+admin
		d.sidecars[name] = s
	}
	d.tokens, err = mintTokens(d.sidecars)
	return stop, err
}

// sharedSettings are what both environments have in common: the real gateway's, or a random secret.
func (d *demo) sharedSettings() ([]string, error) {
	if d.Gateway == "" {
		var secret [32]byte
		_, _ = rand.Read(secret[:]) // never fails (crypto/rand)
		return []string{"JWT_SECRET_KEY=" + hex.EncodeToString(secret[:])}, nil
	}
	if u, err := url.Parse(d.Gateway); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("gateway: %q: want a URL such as http://127.0.0.1:4444", authz.Printable(d.Gateway))
	}
	var shared []string
	for _, name := range []string{"JWT_SECRET_KEY", "JWT_ISSUER", "JWT_AUDIENCE"} {
		if v := value(d.Environ, name); v != "" {
			shared = append(shared, name+"="+v)
		}
	}
	if value(shared, "JWT_SECRET_KEY") == "" {
		return nil, errors.New("JWT_SECRET_KEY: not set: the demo signs tokens with the gateway's own HS256 secret")
	}
	if d.password() == "" {
		return nil, errors.New("PLATFORM_ADMIN_PASSWORD: not set: the demo logs in as the gateway's bootstrap admin (PLATFORM_ADMIN_EMAIL)")
	}
	return shared, nil
}

func value(environ []string, name string) string {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// play sends one step and prints its line.
func (d *demo) play(s step) {
	base, before := d.gateway, map[string]float64{}
	side := d.sidecars[s.to]
	if side != nil {
		base = side.traffic
		before = decisions(side)
	}
	status, err := d.send(base, s.request)
	decided := "let in: nothing stands before it"
	good := err == nil && status == s.status
	if side != nil {
		var counted bool
		decided, counted = moved(before, decisions(side), s.outcome, s.reason)
		good = good && counted
	}
	mark := "ok"
	if !good {
		d.failures++
		mark = "NO"
		decided += fmt.Sprintf("; expected %d %s %s", s.status, s.outcome, s.reason)
		if err != nil {
			decided += ": " + authz.Printable(err.Error())
		}
	}
	d.printf("  %-3s %-31s %-11s %-4d %-32s %s\n", mark, s.what, s.to, status, decided, s.why)
}

// searchOutputs is the last row: nothing that was logged or counted holds a part of a token or the secret.
func (d *demo) searchOutputs() {
	out := d.logs.String()
	for _, s := range d.sidecars {
		text, _ := fetch(s.admin + "/metrics")
		page, _ := fetch(s.admin + "/")
		out += text + page
	}
	for _, token := range append(slices.Collect(maps.Values(d.tokens)), d.secret) {
		for part := range strings.SplitSeq(token, ".") {
			if len(part) > 8 && strings.Contains(out, part) {
				d.failures++
				d.printf("\nNO  a part of a token or the secret stands in a log line, a metric or a page\n")
				return
			}
		}
	}
	d.printf("\nNeither the secret nor a part of any token stands in a log line, metric or page of the sidecars.\n")
}

// buffer collects the sidecars' logs.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
