// Package demo shows what envgate does, on a small stand-in gateway or a real one.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"envgate/authz"
	"envgate/metrics"
	"envgate/proxy"
)

// Options say what the demo runs against.
type Options struct {
	Out     io.Writer
	Stay    bool             // keep running until Stop
	Gateway string           // URL of a real gateway; "" starts the stand-in
	Environ []string         // with Gateway: JWT_SECRET_KEY, JWT_ISSUER, JWT_AUDIENCE, PLATFORM_ADMIN_EMAIL, PLATFORM_ADMIN_PASSWORD as the gateway has them
	Stop    <-chan os.Signal // ends Stay, and a run that is under way
	Build   metrics.Build
}

// demo is one run.
type demo struct {
	Options
	colour   bool
	gateway  string // URL
	sidecars map[string]*sidecar
	tokens   map[string]string // by the names that the scenario uses
	secret   string
	logs     *buffer // of both sidecars
	sent     int     // requests to sidecars
	failures int
}

// sidecar is one running envgate.
type sidecar struct {
	*proxy.Server
	config         *authz.Config
	traffic, admin string // URLs
}

// environments of the demo, in the order in which they are shown.
var environments = []string{"staging", "production"}

// Run starts a gateway and two sidecars that share a secret, as careless owners do, sends the scenario through them and
// prints what was decided and why. The error says that an outcome was not the expected one.
func Run(o Options) error { return run(o, scenario) }

func run(o Options, steps []step) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-o.Stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	d := &demo{Options: o, colour: coloured(o), sidecars: map[string]*sidecar{}, logs: &buffer{}}
	stop, err := d.start(ctx)
	defer stop()
	if err != nil {
		return err
	}
	d.introduce()
	for _, s := range steps {
		if d.play(ctx, s); ctx.Err() != nil {
			return errors.New("interrupted")
		}
	}
	d.searchOutputs(ctx)
	d.showMetrics(ctx)
	if d.failures > 0 {
		return fmt.Errorf("%d of %d outcomes not as expected", d.failures, len(steps)+1)
	}
	d.printf("\n%d requests, every outcome as expected.\n", len(steps))
	if o.Stay {
		return d.stay(ctx)
	}
	return nil
}

// start brings up the gateway and the sidecars. The returned function ends them; it is never nil.
func (d *demo) start(ctx context.Context) (stop func(), err error) {
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
	if d.Gateway == "" {
		c, err := authz.Parse(authz.Source{Environ: shared})
		if err != nil {
			return stop, err
		}
		url, end, err := startStandIn(ctx, &standIn{[]byte(d.secret), c.Issuer, c.Audience})
		if err != nil {
			return stop, err
		}
		stops = append(stops, end)
		d.gateway = url
	} else if _, err := fetch(ctx, d.gateway+"/health"); err != nil { // else every row would fail, and none would say why
		return stop, fmt.Errorf("gateway: %q: %w: want the URL of a running gateway", d.gateway, err)
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
	d.tokens, err = mintTokens(d.sidecars["production"].config, d.email())
	return stop, err
}

// sharedSettings are what both environments have in common: the real gateway's, or a random secret.
func (d *demo) sharedSettings() ([]string, error) {
	if d.Gateway == "" {
		return []string{"JWT_SECRET_KEY=" + rand.Text() + rand.Text()}, nil
	}
	c, err := authz.ParseOnly(authz.Source{Environ: []string{"ENVGATE_UPSTREAM=" + strings.TrimSuffix(d.Gateway, "/")}}, "ENVGATE_UPSTREAM")
	if err != nil || c.Upstream.Scheme == "unix" {
		shown := d.Gateway
		if at := strings.LastIndexByte(shown, '@'); at >= 0 { // a password may stand before it
			shown = "[secret]" + shown[at:]
		}
		return nil, fmt.Errorf("gateway: %q: want a URL such as http://127.0.0.1:4444", authz.Printable(shown))
	}
	d.gateway = c.Upstream.String()
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

// email and password log in at a real gateway: the bootstrap admin's, by the gateway's own variables.
func (d *demo) email() string {
	if v := value(d.Environ, "PLATFORM_ADMIN_EMAIL"); v != "" {
		return v
	}
	return "admin@example.com"
}

func (d *demo) password() string { return value(d.Environ, "PLATFORM_ADMIN_PASSWORD") }

// value of a variable; the last one counts, as everywhere in envgate.
func value(environ []string, name string) string {
	for _, kv := range slices.Backward(environ) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}
