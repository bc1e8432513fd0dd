package proxy

import (
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// status is what / shows and /api/status says: no secret and no token. docs/status.schema.json describes it.
type status struct {
	Time               time.Time               `json:"time"`
	Environment        string                  `json:"environment"`
	Ready              bool                    `json:"ready"`
	NotReadyBecause    string                  `json:"not_ready_because"`
	Mode               authz.Mode              `json:"mode"`
	EnvironmentRule    authz.Rule              `json:"environment_rule"`
	MissingEnvironment string                  `json:"missing_environment"`
	Issuer             string                  `json:"issuer"`
	Audience           string                  `json:"audience"`
	Algorithm          string                  `json:"algorithm"`
	Keys               []authz.KeyFacts        `json:"keys"`
	KeysRead           time.Time               `json:"keys_read"`
	Upstream           string                  `json:"upstream"`
	Warnings           []authz.Warning         `json:"warnings"`
	Decisions          []metrics.DecisionCount `json:"decisions"`
	Environments       []metrics.ForeignCount  `json:"environments"`
	Tokens             tokenCounts             `json:"tokens"`
	Recent             []finding               `json:"recent"`
	Streams            map[string]int          `json:"streams"`
	Started            time.Time               `json:"started"`
	Version            string                  `json:"version"`
	Revision           string                  `json:"revision"`
	GoVersion          string                  `json:"go_version"`
}

// tokenCounts answer whether tokens without env are still in use.
type tokenCounts struct {
	Verified                     int       `json:"verified"`
	WithoutEnvironment           int       `json:"without_environment"`
	WithoutEnvironmentLastExpiry time.Time `json:"without_environment_last_expiry,omitzero"`
}

func (s *Server) status(b metrics.Build) status {
	c, counts := s.proxy.config(), s.proxy.metrics.Read()
	because := s.notReadyBecause()
	missing := "allow"
	if c.DenyMissing {
		missing = "deny"
	}
	return status{
		Time: time.Now().UTC(), Environment: c.Environment, Ready: because == "", NotReadyBecause: because,
		Mode: c.Mode, EnvironmentRule: c.Rule, MissingEnvironment: missing,
		Issuer: c.Issuer, Audience: c.Audience, Algorithm: c.Algorithm, Keys: c.Keys(), KeysRead: s.proxy.rules.Load().read, Upstream: c.Upstream.Redacted(),
		Warnings: append([]authz.Warning{}, s.proxy.warnings.list()...), Decisions: append([]metrics.DecisionCount{}, counts.Decisions...),
		Environments: counts.Environments,
		Tokens:       tokenCounts{counts.Verified, counts.WithoutEnvironment, counts.LastExpiry},
		Recent:       s.proxy.recent.list(), Streams: counts.Streams, Started: s.created,
		Version: b.Version, Revision: b.Revision, GoVersion: b.GoVersion,
	}
}
