package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// decisionLog writes what was refused or reported, at most perSecond lines a second for each reason, and the access
// log. No token, query or cookie gets here: fields are decisions, facts of verified tokens, and text made printable.
type decisionLog struct {
	log       *slog.Logger
	metrics   *metrics.Metrics
	accessLog bool
	hashKey   [32]byte
	refusals  limiter
	upstreams limiter
}

// perSecond bounds each kind of line.
const perSecond = 10

func newDecisionLog(l *slog.Logger, m *metrics.Metrics, accessLog bool) *decisionLog {
	d := &decisionLog{log: l, metrics: m, accessLog: accessLog}
	_, _ = rand.Read(d.hashKey[:]) // never fails (crypto/rand)
	return d
}

// subjectHash tells subjects apart within one process, and can't be reversed outside of it.
func (l *decisionLog) subjectHash(subject string) string {
	mac := hmac.New(sha256.New, l.hashKey[:])
	mac.Write([]byte(subject))
	return hex.EncodeToString(mac.Sum(nil)[:6])
}

// decision logs a refused or reported request.
func (l *decisionLog) decision(r *http.Request, d *authz.Decision) {
	if d.Outcome != authz.Refused && d.Outcome != authz.Reported {
		return
	}
	suppressed, ok := l.refusals.allow(string(d.Reason))
	if !ok {
		l.metrics.Suppressed(1)
		return
	}
	attrs := append(requestAttrs(r, d), slog.Int("status", d.Status), slog.String("detail", d.Detail))
	if v := speaking(d); v != nil {
		attrs = append(attrs, slog.Group("token",
			slog.String("issuer", v.Issuer), slog.String("environment", authz.Printable(v.Environment)),
			slog.String("jti", authz.Printable(v.ID)), slog.String("subject_hash", l.subjectHash(v.Subject))))
	}
	if i := slices.IndexFunc(d.Tokens, func(v authz.Verdict) bool { return v.Hint != "" }); i >= 0 {
		attrs = append(attrs, slog.String("hint", d.Tokens[i].Hint))
	}
	if suppressed > 0 {
		attrs = append(attrs, slog.Int("suppressed", suppressed))
	}
	l.log.LogAttrs(context.Background(), slog.LevelInfo, string(d.Outcome), attrs...)
}

// speaking returns the verified token that a decision is about: one with its reason, else the first; nil without any.
func speaking(d *authz.Decision) (found *authz.Verdict) {
	for i := range d.Tokens {
		v := &d.Tokens[i]
		switch {
		case !v.Verified:
		case v.Reason == d.Reason || v.Reported == d.Reason:
			return v
		case found == nil:
			found = v
		}
	}
	return found
}

// access logs one line for a finished request, where the setting asks for it.
func (l *decisionLog) access(e *exchange) {
	if !l.accessLog {
		return
	}
	attrs := append(requestAttrs(e.r, &e.decision), slog.String("decision", string(e.decision.Outcome)),
		slog.Int("status", e.status), slog.String("source", e.source), slog.Duration("duration", time.Since(e.started)))
	l.log.LogAttrs(context.Background(), slog.LevelInfo, "request", attrs...)
}

// upstream logs that the upstream did not answer; and why, where it could not be reached. Other errors may quote an answer.
func (l *decisionLog) upstream(kind string, err error, r *http.Request) {
	suppressed, ok := l.upstreams.allow(kind)
	if !ok {
		l.metrics.Suppressed(1)
		return
	}
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	detail := ""
	switch {
	case kind != "connect":
	case errors.As(err, &certificate):
		detail = authz.Printable(certificate.Err.Error())
	case errors.As(err, &op):
		detail = authz.Printable(op.Err.Error())
	}
	l.log.Warn("the upstream did not answer", "kind", kind, "detail", detail, "method", metrics.MethodLabel(r.Method), "suppressed", suppressed)
}

// unembedded logs that an answer, or one token in it, passed as it was because it can't be read or is too long.
func (l *decisionLog) unembedded(what authz.Embedding, r *http.Request) {
	suppressed, ok := l.upstreams.allow(string(what))
	if !ok {
		l.metrics.Suppressed(1)
		return
	}
	l.log.Warn("an answer that hands out tokens passed unchanged: they don't get this environment's name", "kind", string(what), "method", metrics.MethodLabel(r.Method),
		"path", printablePath(r.URL.Path), "suppressed", suppressed)
}

func requestAttrs(r *http.Request, d *authz.Decision) []slog.Attr {
	return append(traceAttrs(r.Header), []slog.Attr{
		slog.String("reason", string(d.Reason)), slog.String("method", metrics.MethodLabel(r.Method)),
		slog.String("route", d.Route), slog.String("path", printablePath(r.URL.Path)),
		slog.String("client", peerAddress(r.RemoteAddr).String()),
	}...)
}

// printablePath keeps what tells an API call apart and leaves out what could be a secret: a segment that is long or
// holds a dot, as tokens, reset codes and ids do.
func printablePath(path string) string {
	segments := strings.SplitN(path, "/", 8)
	for i, s := range segments {
		if len(s) > 24 || strings.Contains(s, ".") || i == 7 {
			segments[i] = "*"
		}
	}
	return authz.Printable(strings.Join(segments, "/"))
}

// limiter lets perSecond events of each key through in every second, and counts the others.
type limiter struct {
	mu   sync.Mutex
	keys map[string]*window // keys are from closed lists
}

type window struct {
	second           int64
	passed, withheld int
}

// allow tells whether the event may pass, and how many were withheld since the last that did.
func (l *limiter) allow(key string) (withheld int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[string]*window{}
	}
	w := l.keys[key]
	if w == nil {
		w = &window{}
		l.keys[key] = w
	}
	if now := time.Now().Unix(); now != w.second {
		w.second, w.passed = now, 0
	}
	if w.passed >= perSecond {
		w.withheld++
		return 0, false
	}
	w.passed++
	withheld, w.withheld = w.withheld, 0
	return withheld, true
}

// quietLog is where net/http writes its own complaints: one short printable line each, bounded in number. They can
// quote bytes of a peer, so everything from the first quote on is cut off.
func quietLog(l *slog.Logger, m *metrics.Metrics) *log.Logger {
	return log.New(&quietWriter{log: l, metrics: m}, "", 0)
}

type quietWriter struct {
	log     *slog.Logger
	metrics *metrics.Metrics
	limiter limiter
}

func (w *quietWriter) Write(p []byte) (int, error) {
	line, _, _ := strings.Cut(string(p), "\n")
	line, _, _ = strings.Cut(line, `"`)
	if _, ok := w.limiter.allow(""); !ok {
		w.metrics.Suppressed(1)
		return len(p), nil
	}
	w.log.Warn("net/http", "detail", authz.Printable(line))
	return len(p), nil
}
