package proxy

import (
	"strings"
	"time"

	"envgate/authz"
)

// Load reads the configuration anew, as at start: settings stay what they were, files may hold something else. It fails
// as a whole.
type Load func() (*authz.Config, error)

// reload reads the configuration anew and puts it in force, all or nothing: on an error the former one stays.
func (s *Server) reload() {
	c, err := s.load()
	web := s.web.Load()
	if err == nil {
		web, err = web.renewed(c.WebConfigFile)
	}
	if err != nil {
		s.proxy.metrics.Reloaded(false)
		s.log.Error("not reloaded: the former configuration stays in force", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	s.noticeRestart()
	former := s.proxy.config()
	c.Adopt(former, s.gateway.certain(time.Now()))
	s.web.Store(web)
	s.watcher.follow(filesOf(c, web))
	s.keepers.keep(c)
	s.proxy.metrics.Keys(c.Issuer, c.KeyCount())
	s.proxy.metrics.Denied(c.DenyList().Size())
	s.proxy.rules.Store(s.proxy.newRules(c))
	go s.proxy.leases.judgeAll()
	s.proxy.warnings.reconsider(c)
	s.prints.show(c)
	if c.ServerTLS != nil {
		s.proxy.metrics.CertificateExpiry("traffic", c.CertificateExpiry)
	}
	s.showAdminCertificate()
	s.proxy.metrics.Reloaded(true)
	s.proxy.metrics.Ready(s.ready())
	releaseList(former.DenyList(), c.DenyList())
	s.log.Info("reloaded", "files", len(filesOf(c, web)))
}

// noticeRestart looks whether the gateway has restarted. One that was left with another secret knows the current one then.
func (s *Server) noticeRestart() {
	c := s.proxy.config()
	if !s.gateway.look(upstreamSockets(c)) {
		return
	}
	if !c.AwaitsRestart() {
		s.gateway.unawaited = time.Now()
		return
	}
	s.proxy.rules.Store(s.proxy.newRules(c.AfterRestart()))
	s.log.Info("the gateway has restarted: it is taken to know the current secret")
}

// reloadIfChanged reloads when a file holds something else than when it was last looked at.
func (s *Server) reloadIfChanged() {
	if s.load != nil && s.watcher.changed() {
		s.reload()
	}
}
