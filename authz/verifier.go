package authz

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Verdict is what was found about one candidate. It holds facts of verified tokens, never the token itself, save
// in forward, which stays inside the package.
type Verdict struct {
	Reason   Reason // None: accepted
	Reported Reason // the environment rule's finding, where it only reports; else empty
	Detail   string // overrides the reason's own detail
	Hint     string // what an operator may want to know of it besides: logged, never answered

	Verified    bool   // the signature verified; nothing below counts before that
	Issuer      string // configured name of the issuer whose key verified it
	Environment string // the env claim; "" when absent
	Foreign     bool   // env is present and another environment's
	Unbound     bool   // env is absent
	Expiry      time.Time
	Subject, ID string
	Additional  bool // verified by the additional key
	BaseKey     bool // signed with the secret that keys are derived from: not verified, unless ENVGATE_ACCEPT_BASE_KEY holds
	Translated  bool // goes on signed as the gateway knows it

	forward string // the token as the gateway shall see it
	again   bool   // it was signed again for that
}

// Format keeps the token out of every log and error: fmt prints fields that are not exported, too.
func (v Verdict) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "[verdict %s]", v.Reason) }

// strictBase64 refuses what two decoders could read differently: padding, line ends and stray trailing bits.
var strictBase64 = base64.RawURLEncoding.Strict()

// verifier judges tokens of the gateway's own issuer and of those that the policy trusts.
type verifier struct {
	c          *Config
	now        func() time.Time
	cache      *Cache // nil: every token is judged anew
	generation uint64
}

// verify judges one candidate without a request around it.
func (v *verifier) verify(token string) Verdict { return v.verifyFor(context.Background(), token) }

// verifyFor judges one candidate in the order of Reasons; the first failure is the reason. The unverified iss picks the
// issuer, and only that issuer's keys are tried; one that isn't configured is tried with the gateway's key, so that a
// genuine token of another issuer name is told from a forgery. It waits for a key set to be fetched, at most as long as
// the context lasts.
func (v *verifier) verifyFor(ctx context.Context, token string) Verdict {
	if len(token) > v.c.MaxTokenBytes {
		return Verdict{Reason: TooLarge}
	}
	if v.cache == nil {
		out, _ := v.verifyNew(ctx, token)
		return out
	}
	key := newCacheKey(token, v.generation)
	out, known := v.cache.get(key, token, v.seconds())
	if !known {
		var r *remembered
		if out, r = v.verifyNew(ctx, token); r != nil {
			v.cache.put(key, token, r)
		}
	}
	if out.Reason == None && !out.again {
		out.forward = token
	}
	return out
}

// verifyNew judges a token, and gives what may be remembered of it: nothing of one that isn't accepted.
func (v *verifier) verifyNew(ctx context.Context, token string) (out Verdict, r *remembered) {
	p := parsedTokens.Get().(*parsed)
	defer p.giveBack()
	if !parseToken(token, p) {
		return Verdict{Reason: Malformed}, nil
	}
	t := v.trusted(p)
	of := &v.c.own
	var keys keySource
	var version uint64
	switch {
	case t != nil:
		of, keys, version = &t.terms, t.keys, t.keys.Version()
		out = t.signature(ctx, token, p)
	case p.algorithm != v.c.keys.signing:
		return Verdict{Reason: Algorithm}, nil
	default:
		out = v.signature(token, p)
	}
	if out.Verified {
		v.judge(&out, of, p)
	}
	if out.Reason != None {
		return out, nil
	}
	r = &remembered{verdict: out, after: p.claims.from(v.c.Leeway), until: p.claims.until(v.c.Leeway), keys: keys, version: version}
	if !out.again {
		r.verdict.forward = "" // it is the token itself
	}
	return out, r
}

// trusted is the further issuer that a token claims to be of; nil for the gateway's own, and for those not configured.
func (v *verifier) trusted(p *parsed) *trusted {
	if len(v.c.trusted) == 0 {
		return nil
	}
	return v.c.trusted[p.claims.issuer]
}

// parsed is a token taken apart, before anything of it is believed.
type parsed struct {
	algorithm string
	keyID     string
	signed    string // header.payload, the bytes under the signature
	signature []byte // nil when the text is base64url of no byte string: it verifies under no key
	payload   []byte
	object    object
	claims    claims

	parts  []byte // the three, decoded: payload, signature and object share its memory
	header object
}

// parsedTokens are used again: they were two thirds of what judging a token allocated. What a verdict says of one are strings,
// which are copies.
var parsedTokens = sync.Pool{New: func() any { return &parsed{} }}

// newParsed takes a token apart in memory of its own.
func newParsed(token string) (p *parsed, ok bool) {
	p = &parsed{}
	return p, parseToken(token, p)
}

// giveBack lets another token have the memory, unless an odd one made it grow.
func (p *parsed) giveBack() {
	if cap(p.parts) <= 16<<10 && cap(p.header)+cap(p.object) <= 128 {
		parsedTokens.Put(p)
	}
}

// parseToken reads a compact JWS (RFC 7515, section 7.1) of two JSON objects. crit is refused, since no extension is
// understood (section 4.1.11); jwk, jku, x5u and x5c are not looked at: keys come from the configuration alone, and kid
// only chooses among those of one issuer.
func parseToken(token string, p *parsed) (ok bool) {
	*p = parsed{parts: p.parts, header: p.header[:0], object: p.object[:0]}
	first := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	if first == last { // no dot, or one; more than two are no base64url
		return false
	}
	if strings.IndexByte(token, '\n') >= 0 || strings.IndexByte(token, '\r') >= 0 { // which the decoder skips
		return false
	}
	p.parts = append(p.parts[:0], token...)
	header, err := decodeInPlace(p.parts[:first])
	if err != nil {
		return false
	}
	if p.payload, err = decodeInPlace(p.parts[first+1 : last]); err != nil || len(token[last+1:])%4 == 1 {
		return false
	}
	if s, err := decodeInPlace(p.parts[last+1:]); err == nil {
		p.signature = s
	} else if !isPlain(token[last+1:]) {
		return false
	}
	if p.header, err = parseObject(header, p.header); err != nil || p.header.get("crit") != nil {
		return false
	}
	p.algorithm, _ = text(p.header.get("alg"))
	p.keyID, _ = text(p.header.get("kid"))
	if p.object, err = parseObject(p.payload, p.object); err != nil {
		return false
	}
	p.signed = token[:last]
	p.claims, ok = parseClaims(p.object)
	return ok
}

// decodeInPlace decodes base64url without padding, where it stands.
func decodeInPlace(b []byte) ([]byte, error) {
	n, err := strictBase64.Decode(b, b)
	return b[:n], err
}

// signature finds the key of the gateway that verifies a token.
func (v *verifier) signature(token string, p *parsed) Verdict {
	k := v.c.keys
	if p.signature == nil {
		return Verdict{Reason: Signature}
	}
	by := k.find(p)
	if by == nil {
		out := Verdict{Reason: Signature}
		if k.explain != nil && k.method.Verify(p.signed, p.signature, k.explain) == nil {
			out.BaseKey, out.Hint = true, v.c.baseKeyHint()
		}
		return out
	}
	out := Verdict{Verified: true, Additional: by.additional, BaseKey: by.base, Issuer: v.c.Issuer}
	var err error
	if out.forward, out.again, err = k.forward(token, p, by); err != nil {
		return Verdict{Reason: Signature}
	}
	out.Translated = out.again && v.c.Translate != TranslateOff
	return out
}

// until is when the claims cease to hold, in seconds since 1970.
func (t *claims) until(leeway time.Duration) float64 {
	if !t.hasExpiry {
		return math.Inf(1)
	}
	return t.expiry + leeway.Seconds()
}

// from is when the claims begin to hold.
func (t *claims) from(leeway time.Duration) float64 {
	return max(t.notBefore, t.issuedAt) - leeway.Seconds()
}

// claimRule is one line of the decision table that looks at claims.
type claimRule struct {
	reason Reason
	broken func(c *Config, of *terms, t *claims, now float64) bool
}

// claimRules are tried in this order; the first broken one is the reason.
var claimRules = []claimRule{
	{Issuer, func(_ *Config, of *terms, t *claims, _ float64) bool { return of.checkIssuer && t.issuer != of.issuer }},
	{Audience, func(_ *Config, of *terms, t *claims, _ float64) bool {
		return of.checkAudience && !slices.ContainsFunc(of.audiences, func(a string) bool { return slices.Contains(t.audience, a) })
	}},
	{Revoked, func(c *Config, _ *terms, t *claims, _ float64) bool { return c.denied.denies(t) }},
	{NoExpiry, func(c *Config, _ *terms, t *claims, _ float64) bool { return c.RequireExpiry && !t.hasExpiry }},
	{Expired, func(c *Config, _ *terms, t *claims, now float64) bool { return now >= t.until(c.Leeway) }},
	{NotYetValid, func(c *Config, _ *terms, t *claims, now float64) bool { return now < t.from(c.Leeway) }},
	{NoJTI, func(c *Config, _ *terms, t *claims, _ float64) bool { return c.RequireJTI && !t.hasID }},
	{Environment, func(c *Config, of *terms, t *claims, _ float64) bool {
		_, foreign := environmentOf(t.environment, c.Environment)
		return of.rule != RuleOff && foreign
	}},
	{NoEnvironment, func(c *Config, of *terms, t *claims, _ float64) bool {
		return of.rule != RuleOff && c.DenyMissing && t.environment == nil
	}},
}

// judge applies the claim rules to a token whose signature verified.
func (v *verifier) judge(out *Verdict, of *terms, p *parsed) {
	c, t := v.c, &p.claims
	out.Subject, out.ID = t.subject, t.id
	if of == &c.own || of.rule != RuleOff { // else the environment rule leaves the issuer's tokens alone
		out.Unbound = t.environment == nil
		out.Environment, out.Foreign = environmentOf(t.environment, c.Environment)
	}
	if t.expiry > 0 && t.expiry < 1<<53 {
		out.Expiry = time.Unix(int64(t.expiry), 0)
	}
	out.Reason = None
	now := v.seconds()
	for i := range claimRules {
		if claimRules[i].broken(c, of, t, now) {
			out.Reason = claimRules[i].reason
			break
		}
	}
	if out.Reason == Environment {
		out.Detail = mismatch(out.Environment, c.Environment)
	}
	if of.rule == RuleReport && (out.Reason == Environment || out.Reason == NoEnvironment) {
		out.Reason, out.Reported = None, out.Reason
	}
}

// seconds is the time as NumericDate (RFC 7519, section 2).
func (v *verifier) seconds() float64 { return float64(v.now().UnixNano()) / 1e9 }

// upright reads a value of Authorization, where the auth header is another one. It carries a token if a legacy gateway
// would find a good one there: in what follows the scheme or, for its request log and its user context, in what is left
// when each "Bearer " of it is taken out (mcpgateway/middleware/auth_middleware.py of 0.9.0).
func (v *verifier) upright(value string) piece {
	word, rest, _ := strings.Cut(strings.Trim(value, " \t"), " ")
	p := piece{raw: value, token: trimAsPython(rest)}
	if strings.EqualFold(word, "Bearer") {
		bare := strings.ReplaceAll(p.token, "Bearer ", "")
		p.carrier = v.underGatewayKey(p.token) || bare != p.token && v.underGatewayKey(bare)
	}
	return p
}

// underGatewayKey tells whether the gateway would find this token's signature good, read as leniently as its own parser
// reads (PyJWT cuts at the last dot, and its base64 decoder skips foreign characters). It is for the header that a
// legacy gateway reads although its owner configured another: what only we call malformed must not slip past there.
func (v *verifier) underGatewayKey(token string) bool {
	last := strings.LastIndexByte(token, '.')
	if last < 0 {
		return false
	}
	signature, err := lenientBase64(token[last+1:])
	if err != nil {
		return false
	}
	k := v.c.keys
	keys := []any{k.explain}
	for _, known := range k.keys {
		keys = append(keys, known.verify)
		if secret, ok := known.gateway.([]byte); ok { // where keys are translated, the gateway has others than its clients
			keys = append(keys, secret)
		}
	}
	for _, key := range keys {
		if key != nil && k.method.Verify(token[:last], signature, key) == nil {
			return true
		}
	}
	return false
}

var errShort = errors.New("not base64")

// lenientBase64 decodes as Python does (binascii.a2b_base64): characters of neither alphabet are skipped, and so is
// padding, save where it completes a group of four, which ends the text. Padding that is missing is no error here: then more is judged.
func lenientBase64(s string) ([]byte, error) {
	b := make([]byte, 0, len(s))
	padding := 0
	for i := range len(s) {
		switch c := s[i]; {
		case isAlphanumeric(c) || c == '-' || c == '_':
			b, padding = append(b, c), 0
		case c == '+': // both alphabets decode
			b, padding = append(b, '-'), 0
		case c == '/':
			b, padding = append(b, '_'), 0
		case c == '=':
			if padding++; len(b)%4 >= 2 && len(b)%4+padding >= 4 {
				return base64.RawURLEncoding.DecodeString(string(b))
			}
		}
	}
	if len(b)%4 == 1 {
		return nil, errShort
	}
	return base64.RawURLEncoding.DecodeString(string(b))
}
