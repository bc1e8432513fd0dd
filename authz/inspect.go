package authz

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Inspection explains a token without printing it.
type Inspection struct {
	Decision Outcome `json:"decision"`
	Reason   Reason  `json:"reason"`
	Detail   string  `json:"detail,omitempty"`
	Checks   []Check `json:"checks"`
	Claims   []Claim `json:"claims,omitempty"`
	Others   string  `json:"other_claims,omitempty"` // names only
	Gateway  string  `json:"gateway_gets,omitempty"` // how the token goes on; empty: not at all
}

// Check is one rule, in the order of the decision table.
type Check struct {
	Name   Reason `json:"check"`
	Result string `json:"result"` // ok, failed, reported, off, or not reached
	Text   string `json:"text,omitempty"`
}

// Claim is one registered claim, made printable.
type Claim struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Results of a check.
const (
	resultOK         = "ok"
	resultFailed     = "failed"
	resultReported   = "reported"
	resultOff        = "off"
	resultNotReached = "not reached"
)

// Inspect judges a token as the guard would judge it in the auth header of a protected route, and tells what each rule
// finds. Claims are shown even where the signature does not verify: to the one who holds the token they are no secret.
func (g *Guard) Inspect(token string) Inspection {
	v := g.v.verify(token)
	in := Inspection{Decision: Accepted, Reason: v.Reason, Detail: v.Detail}
	switch {
	case v.Reason != None:
		in.Decision = Refused
		if g.c.Mode == ModeReport {
			in.Decision = Reported
		}
		if in.Detail == "" {
			in.Detail = v.Reason.Text().Detail
		}
	case v.Reported != "":
		in.Decision, in.Reason = Reported, v.Reported
	}
	in.Gateway = gatewayGets(v, in.Decision)
	p, parsedWell := newParsed(token)
	of, algorithms := &g.c.own, []string{g.c.keys.signing}
	if t := g.v.trusted(p); t != nil {
		of, algorithms = &t.terms, t.Algorithms
	}
	type row struct {
		reason Reason
		text   string
	}
	before := []row{
		{TooLarge, fmt.Sprintf("%d bytes of at most %d", len(token), g.c.MaxTokenBytes)},
		{Malformed, "a compact JWS of two JSON objects"},
		{Algorithm, fmt.Sprintf("alg is %q, expected %s", Printable(p.algorithm), strings.Join(algorithms, " or "))},
		{Signature, signatureText(v)},
	}
	if of != &g.c.own { // only keys that are fetched can be missing
		before = slices.Insert(before, 3, row{UnknownKey, fmt.Sprintf("kid is %q", Printable(p.keyID))})
		before = slices.Insert(before, 2, row{KeysUnavailable, "of " + Printable(of.issuer)})
	}
	reached := true
	for _, b := range before {
		c := Check{Name: b.reason, Result: resultOK, Text: b.text}
		switch {
		case !reached:
			c.Result, c.Text = resultNotReached, ""
		case v.Reason == b.reason:
			c.Result, c.Text, reached = resultFailed, b.reason.Text().Description+": "+b.text, false
		}
		in.Checks = append(in.Checks, c)
	}
	if !parsedWell || len(token) > g.c.MaxTokenBytes {
		return in
	}
	for _, r := range claimRules {
		in.Checks = append(in.Checks, g.inspectRule(r, of, &p.claims, v))
	}
	in.Claims, in.Others = g.showClaims(p)
	return in
}

func signatureText(v Verdict) string {
	switch {
	case v.Additional:
		return "verified by the additional key"
	case v.BaseKey && v.Verified:
		return "verified by the base secret, which ENVGATE_ACCEPT_BASE_KEY still accepts"
	case v.Translated:
		return "verified by the derived key"
	case v.Hint != "":
		return v.Hint
	case v.Verified:
		return "verified by the current key"
	}
	return "no configured key verifies it"
}

// gatewayGets says how a token goes on.
func gatewayGets(v Verdict, decided Outcome) string {
	switch {
	case decided == Refused:
		return ""
	case v.Translated:
		return "the same claims, signed with the base secret"
	case v.again:
		return "the same claims, signed with the secret that it knows"
	}
	return "the same token"
}

func (g *Guard) inspectRule(r claimRule, of *terms, t *claims, v Verdict) Check {
	c := Check{Name: r.reason, Result: resultOK, Text: g.ruleText(r.reason, of, t)}
	switch {
	case !v.Verified:
		c.Result, c.Text = resultNotReached, ""
	case g.ruleOff(r.reason, of):
		c.Result = resultOff
	case r.broken(g.c, of, t, g.v.seconds()):
		c.Result = resultFailed
		if v.Reported == r.reason {
			c.Result = resultReported
		}
	}
	return c
}

func (g *Guard) ruleOff(r Reason, of *terms) bool {
	switch r {
	case Issuer:
		return !of.checkIssuer
	case Audience:
		return !of.checkAudience
	case Revoked:
		return g.c.denied == nil
	case NoExpiry:
		return !g.c.RequireExpiry
	case NoJTI:
		return !g.c.RequireJTI
	case Environment:
		return of.rule == RuleOff
	case NoEnvironment:
		return of.rule == RuleOff || !g.c.DenyMissing
	}
	return false
}

func (g *Guard) ruleText(r Reason, of *terms, t *claims) string {
	switch r {
	case Issuer:
		return fmt.Sprintf("iss is %q, expected %q", Printable(t.issuer), Printable(of.issuer))
	case Audience:
		return fmt.Sprintf("aud is %q, expected %q", Printable(strings.Join(t.audience, " ")), Printable(strings.Join(of.audiences, " or ")))
	case Revoked:
		return g.c.denied.finding(t)
	case NoExpiry:
		return presence("exp", t.hasExpiry)
	case Expired:
		return "exp is " + when(t.expiry, t.hasExpiry)
	case NotYetValid:
		return "nbf is " + when(t.notBefore, t.notBefore != 0) + ", iat is " + when(t.issuedAt, t.issuedAt != 0)
	case NoJTI:
		return presence("jti", t.hasID)
	case Environment:
		name, _ := environmentOf(t.environment, g.c.Environment)
		if t.environment == nil {
			return fmt.Sprintf("env is absent, this environment is %q", g.c.Environment)
		}
		return fmt.Sprintf("env is %q, this environment is %q", Printable(name), g.c.Environment)
	}
	return presence("env", t.environment != nil)
}

func presence(name string, is bool) string {
	if is {
		return name + " is present"
	}
	return name + " is absent"
}

func when(seconds float64, is bool) string {
	switch {
	case !is:
		return "absent"
	case seconds < 0 || seconds > 253402300799: // the year 9999
		return fmt.Sprintf("%g", seconds)
	}
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}

// showClaims lists the registered claims, and the names of all others.
func (g *Guard) showClaims(p *parsed) (shown []Claim, others string) {
	var names []string
	for _, m := range p.object {
		name := string(m.name)
		switch name {
		case "exp", "nbf", "iat":
			n, _ := number(m.value)
			shown = append(shown, Claim{name, when(n, true)})
		case "iss", "sub", "jti", "env", "aud":
			value := string(m.value)
			if s, ok := text(m.value); ok {
				value = s
			}
			shown = append(shown, Claim{name, Printable(value)})
		default:
			names = append(names, Printable(name))
		}
	}
	slices.Sort(names)
	return shown, strings.Join(names, ", ")
}
