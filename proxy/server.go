package proxy

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// Server is the sidecar: the traffic listener, the admin listener, and their life from start to drain.
type Server struct {
	config      *authz.Config
	proxy       *Proxy
	log         *slog.Logger
	traffic     *http.Server
	admin       *http.Server
	created     time.Time
	keepers     *keepers
	prints      *fingerprints
	read        [sha256.Size]byte         // what the files held when the configuration was made of them
	watcher     *watcher                  // while it runs
	load        Load                      // nil: nothing is reloaded
	web         atomic.Pointer[webConfig] // of the admin listener
	unstartable error                     // what Start ends with

	gateway restarts // while it runs

	trafficAddress, adminAddress net.Addr

	drainOnce sync.Once
	delayOver chan struct{} // closed when a drain's delay has passed
}

// Limits of what a client may take up before it is judged.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	exposureInterval  = 30 * time.Second
	restartInterval   = time.Second
)

// NewServer returns the sidecar for one configuration. Nothing listens yet.
func NewServer(c *authz.Config, b metrics.Build, logger *slog.Logger) *Server {
	m := metrics.New(c, b)
	m.Keys(c.Issuer, c.KeyCount())
	s := &Server{
		config: c.Settings(), proxy: New(c, m, logger), log: logger, created: time.Now().UTC(), delayOver: make(chan struct{}),
		prints: &fingerprints{metrics: m, known: map[[sha256.Size]byte]string{}},
	}
	web, err := readWebConfig(c.WebConfigFile)
	if err != nil { // since it was checked
		web, s.unstartable = &webConfig{}, err
	}
	s.web.Store(web)
	s.read = contents(filesOf(c, web))
	s.keepers = newKeepers(m, logger, s.proxy.leases.judgeAll)
	quiet := quietLog(logger, m)
	log.SetFlags(0)
	log.SetOutput(quiet.Writer()) // net/http's transport has no logger of its own
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.traffic = &http.Server{
		Handler: s.proxy, ErrorLog: quiet, Protocols: protocols,
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes:               c.HeaderBytes() + headSlack,
		DisableGeneralOptionsHandler: true, // OPTIONS * is judged like any other request
	}
	if c.ServerTLS != nil {
		protocols.SetHTTP2(true)
		protocols.SetUnencryptedHTTP2(false)
		s.traffic.TLSConfig = following(func() *tls.Config { return s.proxy.config().ServerTLS })
		m.CertificateExpiry("traffic", c.CertificateExpiry)
	}
	s.admin = &http.Server{
		Handler: s.guardAdmin(s.adminHandler(b)), ErrorLog: quiet,
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 16 << 10,
	}
	if web.tls != nil {
		s.admin.TLSConfig = following(func() *tls.Config { return s.web.Load().tls })
	}
	return s
}

// following are the TLS settings of a server whose current ones a reload replaces: they hold from the next handshake on.
func following(current func() *tls.Config) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: current().NextProtos, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return current(), nil
	}}
}

// Start opens both listeners and serves until Stop. It returns when they are open, or with the first error.
func (s *Server) Start() error {
	if s.unstartable != nil {
		return s.unstartable
	}
	var listen net.ListenConfig
	traffic, err := listen.Listen(context.Background(), "tcp", s.config.Listen)
	if err != nil {
		return fmt.Errorf("ENVGATE_LISTEN: %w", err)
	}
	admin, err := listen.Listen(context.Background(), "tcp", s.config.AdminListen)
	if err != nil {
		_ = traffic.Close()
		return fmt.Errorf("ENVGATE_ADMIN_LISTEN: %w", err)
	}
	s.trafficAddress, s.adminAddress = traffic.Addr(), admin.Addr()
	s.keepers.keep(s.config)
	guarded := admit(traffic, s.config, s.proxy.metrics)
	if requests := int(s.proxy.limits.requests); guarded.most != s.config.MaxConnections || requests != s.config.MaxRequests {
		s.log.Info("connections and requests are bounded by file descriptors", "connections", guarded.most, "requests", requests, "descriptors", allowedDescriptors())
	}
	go s.serve(s.traffic, guarded)
	go s.serve(s.admin, admin)
	s.showAdminCertificate()
	s.proxy.warnings.checkExposure()
	s.proxy.metrics.Ready(s.ready())
	s.prints.show(s.config)
	s.log.Info("listening", "address", traffic.Addr().String(), "admin", admin.Addr().String(),
		"upstream", s.config.Upstream.String(), "environment", s.config.Environment, "mode", s.config.Mode, "environment_rule", s.config.Rule)
	releaseList(s.proxy.config().DenyList())
	releasePages()
	return nil
}

// serve serves a listener to its end, over TLS where the server has settings for it.
func (s *Server) serve(server *http.Server, l net.Listener) {
	serve := server.Serve
	if server.TLSConfig != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("a listener failed", "address", l.Addr().String(), "error", err.Error())
	}
}

// Addresses returns where traffic and admin are served, once started.
func (s *Server) Addresses() (traffic, admin string) {
	return s.trafficAddress.String(), s.adminAddress.String()
}

// Metrics returns the sidecar's metrics.
func (s *Server) Metrics() *metrics.Metrics { return s.proxy.metrics }

// Warnings returns the active configuration warnings.
func (s *Server) Warnings() []authz.Warning { return s.proxy.warnings.list() }

// ReloadBy says how the configuration is read anew, when one of its files changes or a SIGHUP arrives. It is called
// before Run.
func (s *Server) ReloadBy(load Load) { s.load = load }

// Run serves until a signal arrives, then drains and stops. A second signal cuts the delay short; SIGHUP reloads.
func (s *Server) Run(signals <-chan os.Signal) error {
	s.watcher = newWatcher()
	defer s.watcher.close()
	s.watcher.follow(filesOf(s.config, s.web.Load()))
	s.watcher.seen = s.read
	s.noticeRestart()
	if err := s.Start(); err != nil {
		return err
	}
	s.reloadIfChanged() // since they were read
	s.serveUntil(signals)
	if !s.proxy.draining.Load() { // a signal after a drain skips the delay
		s.Drain()
		select {
		case <-s.delayOver:
		case <-signals:
		}
	}
	s.Stop()
	return nil
}

// serveUntil watches over the running sidecar until a signal to stop arrives.
func (s *Server) serveUntil(signals <-chan os.Signal) {
	ticker := time.NewTicker(exposureInterval)
	defer ticker.Stop()
	awaited := time.NewTicker(restartInterval)
	defer awaited.Stop()
	settled := newSettling()
	defer settled.timer.Stop()
	for {
		select {
		case <-ticker.C:
			s.proxy.warnings.checkExposure()
			s.noticeRestart()
			s.reloadIfChanged() // the kernel may have told nothing
		case <-awaited.C:
			if s.proxy.config().AwaitsRestart() {
				s.noticeRestart()
			}
		case <-s.watcher.events():
			settled.postpone()
		case <-s.watcher.errors(): //nolint:errcheck // whatever it is, something may have changed
			settled.postpone()
		case <-settled.timer.C:
			settled.over()
			s.reloadIfChanged()
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				if s.load != nil {
					s.watcher.changed()
					s.reload()
				}
				continue
			}
			s.log.Info("stopping", "signal", sig.String())
			return
		}
	}
}

// Drain makes the sidecar unready at once, and ends the streams when the delay has passed. It goes on serving, with
// Connection: close, until it is stopped.
func (s *Server) Drain() {
	s.drainOnce.Do(func() {
		s.proxy.draining.Store(true)
		s.proxy.metrics.Ready(false)
		s.log.Info("draining", "delay", s.config.DrainDelay.String(), "timeout", s.config.DrainTimeout.String())
		time.AfterFunc(s.config.DrainDelay, func() {
			close(s.delayOver)
			s.proxy.streams.endAll(s.config.DrainTimeout / 2)
		})
	})
}

// Stop closes the listeners, ends the streams in turn, and waits for requests in flight, at most the drain timeout.
func (s *Server) Stop() {
	s.proxy.draining.Store(true)
	s.proxy.metrics.Ready(false)
	ctx, cancel := context.WithTimeout(context.Background(), s.config.DrainTimeout)
	defer cancel()
	s.proxy.streams.close()
	go s.proxy.streams.endAll(s.config.DrainTimeout / 2)
	err := s.traffic.Shutdown(ctx)
	for err == nil && s.proxy.streams.count() > 0 { // upgraded connections are not the server's any more
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err != nil {
		s.log.Warn("requests were cut off", "streams", s.proxy.streams.count())
		_ = s.traffic.Close()
	}
	_ = s.admin.Close()
	s.proxy.upstream.direct.closeIdle()
	s.keepers.stop()
	s.prints.end()
	s.log.Info("stopped")
}

// ready tells whether traffic should come here: not draining, and a key to verify with (report mode needs none).
func (s *Server) ready() bool { return s.notReadyBecause() == "" }

func (s *Server) notReadyBecause() string {
	switch {
	case s.proxy.draining.Load():
		return "draining"
	case s.proxy.config().KeyCount() == 0 && s.config.Mode != authz.ModeReport:
		return "no key"
	}
	return ""
}
