package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"envgate/metrics"
)

// Server is the webhook: the TLS listener that the API server asks, the admin listener, and what keeps both going.
type Server struct {
	options    Options
	log        *slog.Logger
	client     *client
	admission  *admission
	metrics    *metrics.Webhook
	keeper     *keeper // nil with a certificate directory
	question   *http.Server
	admin      *http.Server
	failed     chan error // a listener that ended by itself
	background sync.WaitGroup
	cancel     context.CancelFunc

	certificate  atomic.Pointer[tls.Certificate]
	native       atomic.Bool
	versionKnown atomic.Bool
	draining     atomic.Bool

	address, adminAddress net.Addr
}

// Limits of what a client may take up.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	mostHeaderBytes   = 64 << 10
)

// New checks the options; the error is the first that is wrong. Nothing listens yet, and nobody is asked.
func New(o Options, log *slog.Logger) (*Server, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	c, err := newClient(o)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, log: log, client: c, metrics: metrics.NewWebhook(o.Build), failed: make(chan error, 2)}
	s.admission = &admission{
		sidecar: o.sidecar(), policy: o.Policy, native: func() (yes, known bool) { return s.native.Load(), s.versionKnown.Load() }, namespaces: newNamespaces(c, log),
		policies: &policies{client: c, now: o.now, known: map[string]*policyText{}}, metrics: s.metrics, log: log,
	}
	s.native.Store(o.Native == "true")
	s.versionKnown.Store(o.Native != "auto")
	if o.CertificateDirectory == "" {
		s.keeper = newKeeper(o, c, log, s.load)
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+injectPath, s.admission)
	quiet := slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	s.question = &http.Server{
		Handler: mux, ErrorLog: quiet, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: mostHeaderBytes,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.served},
	}
	s.admin = &http.Server{
		Handler: s.adminHandler(), ErrorLog: quiet, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: mostHeaderBytes,
	}
	return s, nil
}

// Run serves until a signal arrives: then it is unready for the drain delay, in which the endpoints go away, and ends
// when the last question is answered, or after the drain timeout. A second signal cuts the delay short. The error is a
// listener's.
func (s *Server) Run(signals <-chan os.Signal) error {
	if err := s.Start(); err != nil {
		return err
	}
	select {
	case err := <-s.failed:
		s.Stop()
		return err
	case sig := <-signals:
		s.log.Info("stopping", "signal", sig.String(), "delay", s.options.DrainDelay.String())
	}
	s.Drain()
	select {
	case <-time.After(s.options.DrainDelay):
	case <-signals:
	}
	s.Stop()
	return nil
}

// Start opens both listeners and begins to look after everything else. It returns when they are open.
func (s *Server) Start() error {
	var listen net.ListenConfig
	question, err := listen.Listen(context.Background(), "tcp", s.options.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	admin, err := listen.Listen(context.Background(), "tcp", s.options.AdminListen)
	if err != nil {
		_ = question.Close()
		return fmt.Errorf("admin-listen: %w", err)
	}
	s.address, s.adminAddress = question.Addr(), admin.Addr()
	go s.serve("listen", func() error { return s.question.ServeTLS(question, "", "") })
	go s.serve("admin-listen", func() error { return s.admin.Serve(admin) })

	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.background.Go(func() { s.learnVersion(ctx) })
	s.background.Go(func() { s.admission.namespaces.watcher.run(ctx) })
	if s.keeper != nil {
		s.background.Go(func() { s.keeper.run(ctx) })
	} else {
		d := &directory{path: s.options.CertificateDirectory, interval: s.options.ReloadInterval, log: s.log, loaded: s.load}
		s.background.Go(func() { d.run(ctx) })
	}
	s.log.Info("listening", "address", question.Addr().String(), "admin", admin.Addr().String(), "server", s.client.server,
		"image", s.options.Image, "mode", s.admission.sidecar.Mode, "gateway_images", s.options.GatewayImages)
	return nil
}

func (s *Server) serve(name string, serve func() error) {
	if err := serve(); !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("%s: %w", name, err)
	}
}

// learnVersion asks until it is answered.
func (s *Server) learnVersion(ctx context.Context) {
	for pause := firstPause; !s.versionKnown.Load() && ctx.Err() == nil; pause = min(2*pause, longestPause) {
		yes, err := hasNative(ctx, s.client)
		if err == nil {
			s.native.Store(yes)
			s.versionKnown.Store(true)
			return
		}
		s.log.Warn("the API server's version is not known yet", "error", err.Error(), "pause", pause.String())
		sleep(ctx, pause)
	}
}

// load takes up a certificate for all connections from now on.
func (s *Server) load(c *tls.Certificate) {
	s.certificate.Store(c)
	s.metrics.CertificateExpiry(c.Leaf.NotAfter)
}

func (s *Server) served(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := s.certificate.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("no certificate yet")
}

// Addresses returns where questions and admin are served, once started.
func (s *Server) Addresses() (question, admin string) {
	return s.address.String(), s.adminAddress.String()
}

// Drain makes the webhook unready. It goes on answering.
func (s *Server) Drain() { s.draining.Store(true) }

// Stop closes the listeners, and waits for questions that are being answered, at most the drain timeout.
func (s *Server) Stop() {
	s.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), s.options.DrainTimeout)
	defer cancel()
	if err := s.question.Shutdown(ctx); err != nil {
		s.log.Warn("questions were cut off", "error", err.Error())
		_ = s.question.Close()
	}
	s.cancel()
	s.background.Wait()
	_ = s.admin.Close()
	s.client.http.CloseIdleConnections()
	s.log.Info("stopped")
}
