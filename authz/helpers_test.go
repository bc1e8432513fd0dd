package authz

import (
	"bufio"
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"envgate/authz/attacktest"

	"github.com/golang-jwt/jwt/v5"
	"pgregory.net/rapid"
)

// clock is the time at which every test of this package judges.
var clock = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

const (
	secret      = attacktest.Secret
	otherSecret = attacktest.Other
	plainJOSE   = `{"alg":"HS256","typ":"JWT"}`
)

// newGuard makes the guard of the production environment, with more settings as NAME=VALUE.
func newGuard(t testing.TB, settings ...string) *Guard {
	t.Helper()
	c, err := Parse(Source{Environ: append(attacktest.Environ(), settings...)})
	if err != nil {
		t.Fatal(err)
	}
	g := New(c)
	g.v.now = func() time.Time { return clock }
	return g
}

// signing says how sign signs; the zero value is HS256 with the shared secret and the plain header.
type signing struct {
	header string
	method jwt.SigningMethod
	key    any
}

// sign makes a token of raw JSON claims, with the @ words of attacktest.Claims: nothing parses them on the way, so that
// duplicates and odd spellings stay.
func sign(t testing.TB, claims string, how ...signing) string {
	t.Helper()
	s := signing{}
	if len(how) > 0 {
		s = how[0]
	}
	if s.method == nil {
		s.method = jwt.SigningMethodHS256
	}
	if s.key == nil {
		s.key = []byte(secret)
	}
	if s.header == "" {
		s.header = `{"alg":"` + s.method.Alg() + `","typ":"JWT"}`
	}
	return attacktest.Sign(t, s.header, attacktest.Claims(claims, clock), s.method, s.key)
}

// tokens are the placeholders of request.
func tokens(t testing.TB) map[string]string {
	t.Helper()
	return map[string]string{
		"{good}":     sign(t, `{@base,"env":"production"}`),
		"{good2}":    sign(t, `{@base,"env":"production","n":2}`),
		"{envless}":  sign(t, `{@base}`),
		"{foreign}":  sign(t, `{@base,"env":"staging"}`),
		"{expired}":  sign(t, `{@names,"exp":@past,"env":"production"}`),
		"{forged}":   sign(t, `{@base,"env":"production"}`, signing{key: []byte(otherSecret)}),
		"{extra}":    sign(t, `{@base,"env":"production"}`, signing{key: []byte(attacktest.Additional)}),
		"{extraold}": sign(t, `{@names,"exp":@past,"env":"production"}`, signing{key: []byte(attacktest.Additional)}),
	}
}

func fill(t testing.TB, s string) string {
	t.Helper()
	for name, token := range tokens(t) {
		s = strings.ReplaceAll(s, name, token)
	}
	return s
}

// request reads "METHOD TARGET | Header: value | …" with tokens filled in, as a server reads it.
func request(t testing.TB, line string) *http.Request {
	t.Helper()
	parts := strings.Split(fill(t, line), " | ")
	raw := parts[0] + " HTTP/1.1\r\nHost: gateway.example.com\r\n" + strings.Join(parts[1:], "\r\n")
	if len(parts) > 1 {
		raw += "\r\n"
	}
	return readRequest(t, []byte(raw+"\r\n"))
}

func readRequest(t rapid.TB, raw []byte) *http.Request {
	t.Helper()
	// The library refuses control bytes in headers. The guard must not rely on it: they are put in afterwards.
	const mark = 0xfe
	var hidden []byte
	for _, c := range raw {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' {
			hidden = append(hidden, mark, c+'@')
		} else {
			hidden = append(hidden, c)
		}
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(hidden)))
	if err != nil {
		t.Fatalf("%.200q: %v", raw, err)
	}
	for _, values := range r.Header {
		for i, value := range values {
			for j := strings.IndexByte(value, mark); j >= 0; j = strings.IndexByte(value, mark) {
				value = value[:j] + string([]byte{value[j+1] - '@'}) + value[j+2:]
			}
			values[i] = value
		}
	}
	return r
}

// said is a decision in one word: the reason, or the outcome where there is none.
func said(d Decision) string {
	if d.Outcome == Reported {
		return "reported " + string(d.Reason)
	}
	if d.Reason == None {
		return string(d.Outcome)
	}
	return string(d.Reason)
}

// reasons joins reasons in the order of their names.
func reasons(list []Reason) string {
	var s []string
	for _, r := range list {
		s = append(s, string(r))
	}
	slices.Sort(s)
	return strings.Join(s, ", ")
}

// consistent fails where a decision contradicts itself, whatever the request.
func consistent(t rapid.TB, d Decision) {
	t.Helper()
	_, known := reasonIndex[d.Reason]
	switch d.Outcome {
	case Accepted, Public:
		if d.Reason != None || d.Status != 0 || d.Detail != "" {
			t.Errorf("%s with reason %q, status %d, detail %q", d.Outcome, d.Reason, d.Status, d.Detail)
		}
	case Refused:
		if !known || d.Status < 400 || d.Detail == "" {
			t.Errorf("refused with reason %q, status %d, detail %q", d.Reason, d.Status, d.Detail)
		}
		if d.Forward.AuthHeader != nil || d.Forward.Cookie != nil || d.Forward.RawQuery != "" || d.Removed != nil {
			t.Errorf("refused, but something is forwarded or removed")
		}
	case Reported:
		if !known {
			t.Errorf("reported with reason %q", d.Reason)
		}
	default:
		t.Errorf("outcome %q is not in the list", d.Outcome)
	}
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }
