// Envgate is a reverse-proxy authentication sidecar: it stands beside a gateway that can't defend itself, verifies every
// bearer token and its environment, and only then forwards. This file is the command line, and nothing but that.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"envgate/authz"
	"envgate/deploy"
	"envgate/deploy/audit"
	"envgate/deploy/demo"
	"envgate/deploy/inject"
	"envgate/deploy/webhook"
	"envgate/metrics"
	"envgate/proxy"

	"github.com/urfave/cli/v2"
)

// Set by -ldflags "-X main.version=… -X main.repository=…": this build's version, and the image repository that holds it.
var (
	version    = "dev"
	repository = ""
)

// Exit codes.
const (
	exitDone  = 0
	exitWrong = 1 // looked at and found wrong, or failed at run time
	exitUsage = 2 // wrong use, or serve with a bad configuration
)

func main() { os.Exit(run(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)) }

// failure is an error with the exit code that it means.
type failure struct {
	code int
	err  error
}

func (f failure) Error() string { return f.err.Error() }

func usage(format string, args ...any) error { return failure{exitUsage, fmt.Errorf(format, args...)} }

// command line state, shared by all commands.
type program struct {
	environ []string
	flags   map[string]string // by setting name
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
}

// run is main without the process: it returns the exit code. Every error is one line on stderr.
func run(args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{environ: environ, flags: map[string]string{}, stdin: stdin, stdout: stdout, stderr: stderr}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") && args[0] != "--" && !isHelp(args[0]) {
		args = append([]string{"serve"}, args...) // the default command
	}
	err := p.app().Run(append([]string{"envgate"}, args...))
	if err == nil {
		return exitDone
	}
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		_, _ = fmt.Fprintln(stderr, "envgate:", line)
	}
	var f failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitWrong
}

func isHelp(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }

func (p *program) app() *cli.App {
	settings := p.settingFlags()
	admin := pick(settings, "admin-listen", "web.config.file")
	output := &cli.StringFlag{Name: "output", Value: "text", Usage: "text, or json for programs"}
	file := &cli.StringFlag{Name: "file", Usage: "read the token from this file; - is standard input, as is no token at all"}
	commands := []*cli.Command{
		{Name: "serve", Usage: "run the sidecar (the default)", Flags: settings, Action: noArguments(p.serve)},
		{Name: "check", Usage: "print the settings, the warnings and the routes, and tell whether they are good", Flags: with(settings, output), Action: noArguments(p.check)},
		{Name: "policy", Usage: "print the built-in policy", Action: noArguments(p.policy)},
		{Name: "token", Usage: "mint, inspect or verify a token", Action: wantCommand("mint, inspect or verify"), Subcommands: []*cli.Command{
			{Name: "mint", Usage: "print a new token, signed as the gateway signs", Flags: with(settings, p.mintFlags()...), Action: noArguments(p.mint)},
			{Name: "inspect", Usage: "explain what would be decided about a token, and why", ArgsUsage: "[TOKEN]", Flags: with(settings, output, file), Action: p.inspect},
			{Name: "verify", Usage: "exit 0 if a token would be accepted, else 1", ArgsUsage: "[TOKEN]", Flags: with(settings, output, file), Action: p.verify},
		}},
		{Name: "audit", Usage: "compare the settings of several environments: env files, or Kubernetes Secrets and ConfigMaps", ArgsUsage: "FILE…", Flags: []cli.Flag{output}, Action: p.audit},
		{Name: "healthcheck", Usage: "exit 0 if the sidecar in this pod is ready", Flags: with(admin, &cli.BoolFlag{Name: "live", Usage: "ask whether it is live instead"}), Action: noArguments(p.healthcheck)},
		{Name: "drain", Usage: "make the sidecar in this pod drain, and wait until the delay has passed", Flags: admin, Action: noArguments(p.drain)},
		{Name: "demo", Usage: "show it all on a small stand-in gateway", Flags: demoFlags(), Action: noArguments(p.demo)},
		{Name: "inject", Usage: "put the sidecar into Kubernetes manifests: YAML or JSON in, the same with sidecars out", ArgsUsage: "[FILE…]", Flags: injectFlags(), Action: p.inject},
		{Name: "webhook", Usage: "serve the admission webhook, which does the same to Pods when they are created", Flags: with(pick(settings, "log-level", "log-format"), webhookFlags()...), Action: noArguments(p.webhook)},
		{Name: "uninject", Usage: "take it out again", ArgsUsage: "[FILE…]", Action: p.uninject},
		{Name: "assets", Usage: "print or write this version's dashboards, rules and manifests; without arguments, list them", ArgsUsage: "[NAME]",
			Flags: []cli.Flag{&cli.StringFlag{Name: "write", Usage: "write all of them below this folder"}}, Action: p.assets},
		{Name: "version", Usage: "print the version", Flags: []cli.Flag{output}, Action: noArguments(p.version)},
	}
	strict(commands)
	return &cli.App{
		Name: "envgate", Usage: "keep other environments' tokens out of a gateway", HideVersion: true, HideHelpCommand: true,
		Commands: commands, Action: wantCommand("serve, check, policy, token, audit, healthcheck, drain, demo, inject, uninject, webhook, assets or version"),
		Writer: p.stdout, ErrWriter: p.stderr, OnUsageError: usageError, ExitErrHandler: func(*cli.Context, error) {},
	}
}

// strict makes wrong use an error on standard error: the library would print help to standard output.
func strict(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError, c.HideHelpCommand = usageError, true
		strict(c.Subcommands)
	}
}

func usageError(_ *cli.Context, err error, _ bool) error { return failure{exitUsage, err} }

func wantCommand(allowed string) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Args().Present() {
			return usage("unknown command %q: want %s", authz.Printable(c.Args().First()), allowed)
		}
		return usage("no command: want %s", allowed)
	}
}

// noArguments refuses stray arguments, and flags behind them, which the library would ignore.
func noArguments(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.Args().Present() {
			return usage("unexpected argument %q: %s takes none", authz.Printable(c.Args().First()), c.Command.Name)
		}
		return action(c)
	}
}

// settingFlag collects what is given on the command line; parsing it is authz's business. It shows the declared
// default in --help, never a variable's value.
type settingFlag struct {
	p       *program
	setting *authz.Setting
}

func (f *settingFlag) Set(v string) error { f.p.flags[f.setting.Name] = v; return nil }
func (f *settingFlag) String() string     { return "" }

// IsBoolFlag lets --strict stand for --strict=true.
func (f *settingFlag) IsBoolFlag() bool {
	return f.setting != nil && (f.setting.Default == "true" || f.setting.Default == "false")
}

func (p *program) settingFlags() (flags []cli.Flag) {
	for i := range authz.Settings {
		s := &authz.Settings[i]
		if s.Flag == "" {
			continue
		}
		flags = append(flags, &cli.GenericFlag{
			Name: s.Flag, Usage: s.Help + " [" + s.Name + "]", DefaultText: s.Default, Value: &settingFlag{p, s},
		})
	}
	return flags
}

func pick(flags []cli.Flag, names ...string) (picked []cli.Flag) {
	for _, f := range flags {
		for _, name := range names {
			if f.Names()[0] == name {
				picked = append(picked, f)
			}
		}
	}
	return picked
}

func with(flags []cli.Flag, more ...cli.Flag) []cli.Flag {
	return append(append([]cli.Flag{}, flags...), more...)
}

// config parses the settings; on a bad one it fails with the given code.
func (p *program) config(code int) (*authz.Config, error) {
	c, err := authz.Parse(authz.Source{Flags: p.flags, Environ: p.environ})
	if err == nil {
		err = proxy.CheckWebConfig(c)
	}
	if err != nil {
		return nil, failure{code, err}
	}
	return c, nil
}

func (p *program) serve(*cli.Context) error {
	c, err := p.config(exitUsage)
	if err != nil {
		return err
	}
	if ws := append(c.Warnings(), proxy.Exposure(c)...); c.Strict && len(ws) > 0 {
		return failure{exitUsage, strictError(ws)}
	}
	proxy.LimitMemory("")
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	sink := proxy.NewSink(p.stderr)
	defer sink.Close()
	server := proxy.NewServer(c, build(), newLogger(c, sink))
	sink.OnLoss(server.Metrics().Suppressed)
	server.ReloadBy(func() (*authz.Config, error) {
		c, err := p.config(exitUsage)
		if err == nil && c.Strict && len(c.Warnings()) > 0 {
			err = strictError(c.Warnings())
		}
		return c, err
	})
	if err := server.Run(signals); err != nil {
		return failure{exitWrong, err}
	}
	return nil
}

// strictError has a line for each warning.
func strictError(ws []authz.Warning) error {
	var errs []error
	for _, w := range ws {
		errs = append(errs, fmt.Errorf("ENVGATE_STRICT: warning %s: %s; %s", w.Check, w.Message, w.Set))
	}
	return errors.Join(errs...)
}

func newLogger(c *authz.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // checked by authz
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

func build() metrics.Build {
	b := metrics.Build{Version: version, GoVersion: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

func (p *program) check(c *cli.Context) error {
	asJSON, err := wantsJSON(c)
	if err != nil {
		return err
	}
	config, err := p.config(exitWrong)
	if err != nil {
		if asJSON {
			return errors.Join(p.json(authz.Report{Errors: strings.Split(err.Error(), "\n"), Warnings: []authz.Warning{}}), err)
		}
		return err
	}
	report := authz.NewReport(config, proxy.Exposure(config)...)
	report.Certificates, report.AtOnce = proxy.Certificates(config), proxy.AtOnce(config)
	if err := p.print(asJSON, report, report.Text); err != nil {
		return err
	}
	if config.Strict && len(report.Warnings) > 0 {
		return failure{exitWrong, strictError(report.Warnings)}
	}
	return nil
}

func wantsJSON(c *cli.Context) (bool, error) {
	switch o := c.String("output"); o {
	case "json":
		return true, nil
	case "text":
		return false, nil
	default:
		return false, usage("output: %q: want text or json", authz.Printable(o))
	}
}

func (p *program) print(asJSON bool, v any, text func(io.Writer) error) error {
	if asJSON {
		return p.json(v)
	}
	return text(p.stdout)
}

func (p *program) json(v any) error {
	e := json.NewEncoder(p.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (p *program) policy(*cli.Context) error {
	text, err := authz.PolicyText("contextforge")
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(text)
	return err
}

func (p *program) mintFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "subject", Usage: "the user's e-mail address (required)"},
		&cli.StringFlag{Name: "kind", Value: authz.KindSession, Usage: "session, as from a login, or api, as from POST /tokens"},
		&cli.BoolFlag{Name: "admin", Usage: "claim is_admin"},
		&cli.DurationFlag{Name: "expires-in", Value: time.Hour, Usage: "lifetime"},
		&cli.StringFlag{Name: "token-environment", DefaultText: "this environment", Usage: "the env claim"},
		&cli.BoolFlag{Name: "no-token-environment", Usage: "leave the env claim out, as legacy gateways do"},
		&cli.StringFlag{Name: "id", DefaultText: "random", Usage: "the jti claim"},
	}
}

func (p *program) mint(c *cli.Context) error {
	config, err := p.config(exitUsage)
	if err != nil {
		return err
	}
	environment := config.Environment
	switch {
	case c.Bool("no-token-environment") && c.IsSet("token-environment"):
		return usage("token-environment: given together with no-token-environment: want one of the two")
	case c.Bool("no-token-environment"):
		environment = ""
	case c.IsSet("token-environment"):
		if environment = c.String("token-environment"); environment == "" {
			return usage("token-environment: empty: want a name, or --no-token-environment")
		}
	}
	now := time.Now()
	token, err := config.Mint(authz.MintOptions{
		Kind: c.String("kind"), Subject: c.String("subject"), Admin: c.Bool("admin"), Environment: environment,
		ID: c.String("id"), IssuedAt: now, Expiry: now.Add(c.Duration("expires-in")),
	})
	if err != nil {
		return failure{exitUsage, err}
	}
	_, err = fmt.Fprintln(p.stdout, token)
	return err
}

// token reads the one token that a command is about: argument, file or standard input.
func (p *program) token(c *cli.Context) (string, error) {
	path := c.String("file")
	if c.NArg() > 1 {
		return "", usage("%d arguments: want one token, and flags before it", c.NArg())
	}
	if c.NArg() == 1 {
		if c.IsSet("file") {
			return "", usage("a token and --file: want one of the two")
		}
		if strings.HasPrefix(c.Args().First(), "-") && c.Args().First() != "-" {
			return "", usage("flags go before the token")
		}
		if c.Args().First() != "-" {
			return trimToken(c.Args().First()), nil
		}
	}
	in := p.stdin
	if path != "" && path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", usage("file: %q: %w", authz.Printable(path), errors.Unwrap(err))
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return "", failure{exitWrong, err}
	}
	if token := trimToken(string(b)); token != "" {
		return token, nil
	}
	return "", usage("no token: want one as argument, in --file or on standard input")
}

func trimToken(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 7 && strings.EqualFold(s[:7], "bearer ") {
		s = strings.TrimSpace(s[7:])
	}
	return s
}

func (p *program) inspection(c *cli.Context, code int) (in authz.Inspection, asJSON bool, err error) {
	if asJSON, err = wantsJSON(c); err != nil {
		return in, asJSON, err
	}
	token, err := p.token(c)
	if err != nil {
		return in, asJSON, err
	}
	config, err := p.config(code)
	if err != nil {
		return in, asJSON, err
	}
	guard := authz.New(config)
	if err := guard.Fetch(context.Background(), token); err != nil {
		_, _ = fmt.Fprintln(p.stderr, "envgate:", err)
	}
	return guard.Inspect(token), asJSON, nil
}

func (p *program) inspect(c *cli.Context) error {
	in, asJSON, err := p.inspection(c, exitUsage)
	if err != nil {
		return err
	}
	return p.print(asJSON, in, in.Text)
}

func (p *program) verify(c *cli.Context) error {
	in, asJSON, err := p.inspection(c, exitWrong)
	if err != nil {
		return err
	}
	short := struct {
		Decision authz.Outcome `json:"decision"`
		Reason   authz.Reason  `json:"reason"`
	}{in.Decision, in.Reason}
	if asJSON {
		err = p.json(short)
	} else if in.Decision == authz.Accepted {
		_, err = fmt.Fprintln(p.stdout, in.Line())
	}
	if err == nil && in.Decision != authz.Accepted {
		return failure{exitWrong, errors.New(in.Line())}
	}
	return err
}

func (p *program) healthcheck(c *cli.Context) error {
	return p.ask(func(config *authz.Config) error { return proxy.Healthcheck(config, c.Bool("live")) })
}

func (p *program) drain(*cli.Context) error { return p.ask(proxy.RequestDrain) }

// ask runs a question to the sidecar in this pod. Only the settings that lead there must be good.
func (p *program) ask(question func(*authz.Config) error) error {
	c, err := authz.ParseOnly(authz.Source{Flags: p.flags, Environ: p.environ}, "ENVGATE_ADMIN_LISTEN", "ENVGATE_WEB_CONFIG_FILE")
	if err != nil {
		return failure{exitUsage, err}
	}
	if err := question(c); err != nil {
		return failure{exitWrong, err}
	}
	return nil
}

func demoFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "stay", Usage: "keep running, and print addresses and curl lines"},
		&cli.StringFlag{Name: "gateway", Usage: "URL of a real gateway instead of the stand-in; needs its JWT_SECRET_KEY and PLATFORM_ADMIN_PASSWORD"},
	}
}

func (p *program) demo(c *cli.Context) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	err := demo.Run(demo.Options{Out: p.stdout, Stay: c.Bool("stay"), Gateway: c.String("gateway"), Environ: p.environ, Stop: signals, Build: build()})
	if err != nil {
		return failure{exitWrong, err}
	}
	return nil
}

func injectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "environment", Usage: "this environment's name; becomes ENVGATE_ENVIRONMENT (required)"},
		&cli.StringFlag{Name: "mode", Value: "report", Usage: "report (count and log, refuse nothing) or enforce"},
		&cli.StringFlag{Name: "image", DefaultText: "this release's", Usage: "the sidecar's image"},
		&cli.StringFlag{Name: "container", Usage: "the gateway's container, where its image doesn't tell"},
		&cli.StringSliceFlag{Name: "gateway-image", Value: cli.NewStringSlice(inject.DefaultGatewayImages...), Usage: "pattern of a gateway's image; * matches any text"},
		&cli.StringFlag{Name: "redirect", Value: inject.RedirectPort, Usage: "port (envgate takes the gateway's port), manual (the gateway was moved to upstream-port) or service (Services in the input are led to envgate)"},
		&cli.IntFlag{Name: "upstream-port", Usage: "with redirect manual: the loopback port on which the gateway listens"},
		&cli.StringFlag{Name: "policy", DefaultText: "contextforge", Usage: "a built-in policy, or the name of a ConfigMap with the key policy.yaml"},
		&cli.BoolFlag{Name: "native", Value: true, Usage: "a native sidecar; --native=false: a plain container"},
		&cli.StringFlag{Name: "probe", Value: "exec", Usage: "how the kubelet asks the sidecar: exec or http"},
		&cli.StringFlag{Name: "env-from", Value: "all", Usage: "which of the gateway's envFrom the sidecar shares: all, config-maps or none"},
		&cli.StringFlag{Name: "secret", Usage: "with env-from none or config-maps: the Secret that holds the shared variables"},
		&cli.StringSliceFlag{Name: "mount", Usage: "volume whose mounts the sidecar shares, read-only, beside those of literal key paths"},
		&cli.StringFlag{Name: "memory-limit", Value: "128Mi", Usage: "the sidecar's memory limit; GOMEMLIMIT is nine tenths of it"},
		&cli.StringFlag{Name: "cpu-limit", DefaultText: "none", Usage: "the sidecar's CPU limit, at least the 10m that it requests"},
		&cli.StringFlag{Name: "mesh", Usage: "istio or linkerd: keep the admin port out of the mesh"},
		&cli.BoolFlag{Name: "pod-monitor", Usage: "add a PodMonitor for the admin port"},
		&cli.BoolFlag{Name: "network-policy", Usage: "add a NetworkPolicy that opens every declared port but the gateway's own"},
		&cli.BoolFlag{Name: "force", Usage: "inject in spite of hostNetwork, a second gateway in the Pod, or a secret in plain text"},
	}
}

func (p *program) inject(c *cli.Context) error {
	image, err := sidecarImage(c)
	if err != nil {
		return err
	}
	o := inject.Options{
		Environment: c.String("environment"), Mode: c.String("mode"), Image: image, Version: version, Container: c.String("container"),
		GatewayImages: c.StringSlice("gateway-image"), Redirect: c.String("redirect"), UpstreamPort: c.Int("upstream-port"), Policy: c.String("policy"),
		Plain: !c.Bool("native"), Probe: c.String("probe"), EnvFrom: c.String("env-from"), Secret: c.String("secret"), Mounts: c.StringSlice("mount"),
		MemoryLimit: c.String("memory-limit"), CPULimit: c.String("cpu-limit"), Mesh: c.String("mesh"),
		PodMonitor: c.Bool("pod-monitor"), NetworkPolicy: c.Bool("network-policy"), Force: c.Bool("force"),
	}
	if err := o.Check(); err != nil {
		return failure{exitUsage, err}
	}
	in, err := p.manifests(c)
	if err != nil {
		return err
	}
	r, err := inject.Manifests(in, o)
	if err != nil {
		return failure{exitWrong, err}
	}
	for _, note := range r.Notes {
		_, _ = fmt.Fprintln(p.stderr, "envgate:", note)
	}
	reporting, annotated := false, []string{}
	for _, injected := range r.Injected {
		_, _ = fmt.Fprintf(p.stderr, "envgate: %s: injected, mode %s\n", injected.Name, injected.Mode)
		switch {
		case injected.Mode != string(authz.ModeReport):
		case injected.Annotated: // which wins over the flag
			annotated = append(annotated, injected.Name)
		default:
			reporting = true
		}
	}
	if _, err := p.stdout.Write(r.Text); err != nil {
		return failure{exitWrong, err}
	}
	if len(r.Injected) == 0 {
		_, _ = fmt.Fprintln(p.stderr, "envgate: nothing to inject in the input")
	}
	if len(annotated) > 0 {
		_, _ = fmt.Fprintf(p.stderr, "envgate: nothing is refused yet by %s; to enforce, set the annotation envgate/mode: enforce on its Pods, which says report, and inject again\n", strings.Join(annotated, ", "))
	}
	if reporting {
		_, _ = fmt.Fprintf(p.stderr, "envgate: nothing is refused yet; to enforce: %s\n", p.enforcing(c))
	}
	return nil
}

func webhookFlags() []cli.Flag {
	var shared []cli.Flag
	for _, f := range injectFlags() {
		switch f.Names()[0] {
		case "mode", "image", "gateway-image", "probe", "env-from", "memory-limit", "cpu-limit", "mesh":
			shared = append(shared, f)
		}
	}
	return with(shared,
		&cli.StringFlag{Name: "listen", Value: ":8443", Usage: "address for the API server's questions (TLS)"},
		&cli.StringFlag{Name: "admin-listen", Value: ":4446", Usage: "address for metrics and health"},
		&cli.StringFlag{Name: "namespace", DefaultText: "the service account's", Usage: "the webhook's own namespace"},
		&cli.StringFlag{Name: "service", Value: "envgate-webhook", Usage: "the Service that leads here"},
		&cli.StringFlag{Name: "configuration", Value: "envgate", Usage: "the MutatingWebhookConfiguration whose caBundle is kept"},
		&cli.StringFlag{Name: "secret", Value: "envgate-webhook-tls", Usage: "the Secret that holds CA and certificate, shared by all replicas"},
		&cli.StringFlag{Name: "certificate-directory", Usage: "tls.crt and tls.key, as cert-manager writes them: then neither secret nor configuration is touched"},
		&cli.StringSliceFlag{Name: "hostname", Usage: "further name or address in the certificate"},
		&cli.StringFlag{Name: "native", Value: "auto", Usage: "native sidecars: auto (by the API server's version), true or false"},
		&cli.StringFlag{Name: "policy", Value: "envgate-policy", Usage: "the ConfigMap with the key policy.yaml that a namespace may have, or a built-in policy"},
		&cli.StringFlag{Name: "shared-secret", Usage: "with env-from none or config-maps: the Secret beside each gateway that holds the shared variables"},
		&cli.StringFlag{Name: "server", DefaultText: "the cluster's", Usage: "URL of the API server"},
		&cli.StringFlag{Name: "token-file", DefaultText: "the service account's", Usage: "file with the token for it"},
		&cli.StringFlag{Name: "certificate-authority", DefaultText: "the service account's", Usage: "PEM file with its CA"},
	)
}

func (p *program) webhook(c *cli.Context) error {
	image, err := sidecarImage(c)
	if err != nil {
		return err
	}
	config, err := authz.ParseOnly(authz.Source{Flags: p.flags, Environ: p.environ}, "ENVGATE_LOG_LEVEL", "ENVGATE_LOG_FORMAT")
	if err != nil {
		return failure{exitUsage, err}
	}
	sink := proxy.NewSink(p.stderr)
	defer sink.Close()
	server, err := webhook.New(webhook.Options{
		Listen: c.String("listen"), AdminListen: c.String("admin-listen"), Server: c.String("server"), TokenFile: c.String("token-file"),
		CertificateAuthority: c.String("certificate-authority"), Namespace: c.String("namespace"), Service: c.String("service"),
		Configuration: c.String("configuration"), Secret: c.String("secret"), CertificateDirectory: c.String("certificate-directory"),
		Hostnames: c.StringSlice("hostname"), Image: image, GatewayImages: c.StringSlice("gateway-image"), Mode: c.String("mode"), Native: c.String("native"),
		Probe: c.String("probe"), EnvFrom: c.String("env-from"), SharedSecret: c.String("shared-secret"), Policy: c.String("policy"), Mesh: c.String("mesh"),
		MemoryLimit: c.String("memory-limit"), CPULimit: c.String("cpu-limit"),
		Build: build(),
	}, newLogger(config, sink))
	if err != nil {
		return failure{exitUsage, err}
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	if err := server.Run(signals); err != nil {
		return failure{exitWrong, err}
	}
	return nil
}

// sidecarImage is the image that injection names. A development build has none of its own.
func sidecarImage(c *cli.Context) (string, error) {
	switch {
	case c.IsSet("image"):
		return c.String("image"), nil
	case repository == "" || version == "dev":
		return "", usage("image: missing: this is a development build, and no image holds it: name one by --image")
	}
	return repository + ":" + version, nil
}

// enforcing is the command that injects the same input in mode enforce.
func (p *program) enforcing(c *cli.Context) string {
	words := []string{"envgate", "inject"}
	for _, f := range injectFlags() {
		name := f.Names()[0]
		if !c.IsSet(name) || name == "mode" {
			continue
		}
		values := []string{fmt.Sprint(c.Value(name))}
		if slice, ok := c.Value(name).(cli.StringSlice); ok {
			values = slice.Value()
		}
		for _, value := range values {
			words = append(words, "--"+name+"="+shellWord(value))
		}
	}
	words = append(words, "--mode=enforce")
	if c.NArg() == 0 {
		words = append(words, "-")
	}
	for _, file := range c.Args().Slice() {
		words = append(words, shellWord(file))
	}
	return strings.Join(words, " ") + " | kubectl apply -f -"
}

// shellWord quotes what a shell would read otherwise.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// audit exits with 1 where any pair of environments isn't known to be separated.
func (p *program) audit(c *cli.Context) error {
	asJSON, err := wantsJSON(c)
	if err != nil {
		return err
	}
	if c.NArg() == 0 {
		return usage("audit: no file: want the settings of two environments at least, - is standard input")
	}
	var all []audit.Environment
	for _, name := range c.Args().Slice() {
		text, err := p.file(name)
		if err != nil {
			return err
		}
		found, err := audit.Read(name, text)
		if err != nil {
			return failure{exitWrong, err}
		}
		all = append(all, found...)
	}
	report, err := audit.Audit(all)
	if err != nil {
		return failure{exitUsage, err}
	}
	if err := p.print(asJSON, report, report.Text); err != nil {
		return err
	}
	if err := report.Problem(); err != nil {
		return failure{exitWrong, err}
	}
	return nil
}

// manifests reads the files that a command is about, or standard input.
func (p *program) manifests(c *cli.Context) ([]byte, error) {
	names := c.Args().Slice()
	if len(names) == 0 {
		names = []string{"-"}
	}
	var all []byte
	for _, name := range names {
		b, err := p.file(name)
		if err != nil {
			return nil, err
		}
		if len(names) == 1 {
			return b, nil
		}
		end := "\n"
		if bytes.Contains(b, []byte("\r\n")) {
			end = "\r\n"
		}
		if len(all) > 0 && all[len(all)-1] != '\n' {
			all = append(all, '\n')
		}
		all = append(all, "---"+end...) // before the first, too: kubectl takes nothing but JSON behind JSON
		all = append(all, bytes.TrimPrefix(b, []byte("\ufeff"))...)
	}
	return all, nil
}

// file reads one file, or standard input for -.
func (p *program) file(name string) ([]byte, error) {
	if strings.HasPrefix(name, "-") && name != "-" {
		return nil, usage("flags go before the files: %q", authz.Printable(name))
	}
	in := p.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usage("file: %q: %w", authz.Printable(name), errors.Unwrap(err))
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	const most = 64 << 20
	b, err := io.ReadAll(io.LimitReader(in, most+1))
	switch {
	case errors.Is(err, syscall.EISDIR):
		return nil, usage("file: %q: is a directory: want files", authz.Printable(name))
	case err != nil:
		return nil, failure{exitWrong, fmt.Errorf("file: %q: %w", authz.Printable(name), err)}
	case len(b) > most:
		return nil, usage("file: %q: larger than 64 MiB", authz.Printable(name))
	}
	return b, nil
}

func (p *program) uninject(c *cli.Context) error {
	in, err := p.manifests(c)
	if err != nil {
		return err
	}
	out, err := inject.Restore(in)
	if err == nil {
		_, err = p.stdout.Write(out)
	}
	if err != nil {
		return failure{exitWrong, err}
	}
	return nil
}

func (p *program) assets(c *cli.Context) error {
	release := deploy.Release{Repository: repository}
	if version != "dev" {
		release.Version = version
	}
	switch {
	case c.NArg() > 1, c.NArg() == 1 && (c.IsSet("write") || strings.HasPrefix(c.Args().First(), "-")):
		return usage("assets: want one name, or --write FOLDER, or nothing")
	case c.NArg() == 1:
		text, err := deploy.Asset(c.Args().First(), release)
		if err != nil {
			return failure{exitUsage, err}
		}
		_, err = p.stdout.Write(text)
		return err
	case c.IsSet("write"):
		n, err := deploy.WriteAssets(c.String("write"), release)
		if err != nil {
			return failure{exitWrong, err}
		}
		_, err = fmt.Fprintf(p.stdout, "%d files written to %s\n", n, c.String("write"))
		return err
	}
	_, err := fmt.Fprintln(p.stdout, strings.Join(deploy.Assets(), "\n"))
	return err
}

func (p *program) version(c *cli.Context) error {
	asJSON, err := wantsJSON(c)
	if err != nil {
		return err
	}
	b := build()
	if asJSON {
		return p.json(map[string]string{"version": b.Version, "revision": b.Revision, "goversion": b.GoVersion})
	}
	_, err = fmt.Fprintln(p.stdout, strings.TrimSpace(strings.Join([]string{"envgate", b.Version, b.Revision, b.GoVersion}, " ")))
	return err
}
