package proxy

import (
	"net/http"
	"sync"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// recent keeps the last refused and reported requests for the status page. Accepted requests don't come here; a refused
// one costs its own few short strings and one turn of the lock, however many there were before.
type recent struct {
	mu    sync.Mutex
	ring  [recentLength]finding
	total int // ever added
}

const recentLength = 100

// finding is one refused or reported request, in what its log line may say.
type finding struct {
	Time     time.Time     `json:"time"`
	Decision authz.Outcome `json:"decision"`
	Reason   authz.Reason  `json:"reason"`
	Status   int           `json:"status"`
	Detail   string        `json:"detail"`
	Method   string        `json:"method"`
	Route    string        `json:"route"`
	Path     string        `json:"path"`
	Client   string        `json:"client"`
	Token    tokenFacts    `json:"token,omitzero"`
}

// tokenFacts are of a token whose signature verified; zero without any.
type tokenFacts struct {
	Issuer      string `json:"issuer"`
	Environment string `json:"environment"`
	ID          string `json:"jti"`
	SubjectHash string `json:"subject_hash"`
}

// remember keeps a decision if it refused or reported. Nothing kept is part of the request's own bytes, which could be many:
// every string is a copy, cut, or one of the configuration.
func (p *Proxy) remember(r *http.Request, d *authz.Decision) {
	if d.Outcome != authz.Refused && d.Outcome != authz.Reported {
		return
	}
	f := finding{
		Time: time.Now().UTC(), Decision: d.Outcome, Reason: d.Reason, Status: d.Status, Detail: d.Detail,
		Method: metrics.MethodLabel(r.Method), Route: d.Route, Path: printablePath(r.URL.Path), Client: peerAddress(r.RemoteAddr).String(),
	}
	if v := speaking(d); v != nil {
		f.Token = tokenFacts{v.Issuer, authz.Printable(v.Environment), authz.Printable(v.ID), p.log.subjectHash(v.Subject)}
	}
	p.recent.add(f)
}

func (r *recent) add(f finding) {
	r.mu.Lock()
	r.ring[r.total%recentLength] = f
	r.total++
	r.mu.Unlock()
}

// list returns the findings, newest first.
func (r *recent) list() []finding {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]finding, 0, min(r.total, recentLength))
	for i := r.total - 1; i >= max(0, r.total-recentLength); i-- {
		list = append(list, r.ring[i%recentLength])
	}
	return list
}
