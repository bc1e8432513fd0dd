package authz

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// candidates are the credentials of one request, with their verdicts once judged.
type candidates struct {
	context context.Context // of the request: a key set may have to be fetched
	scheme  scheme
	header  string
	bearer  Verdict
	cookies [][]piece
	query   []piece
	upright []piece // the values of Authorization, where the auth header is another one

	accepted   bool   // some cookie or query token is accepted
	basic      bool   // a lone Basic header goes on
	failing    Reason // the first failing token outside of the cookies
	failDetail string
	cookie     []Verdict // by index of the policy's cookie names: the last failing one
	judged     []judgement
	reported   Reason   // what the environment rule reports of the tokens that decide
	failed     []Reason // everything that would be taken off
}

// judgement remembers the verdict of a token within one request.
type judgement struct {
	token   string
	verdict int // its place among the decision's
}

// maxCandidates is how many different tokens of one request are verified: a public-key algorithm takes up to 2 ms for
// each. Browsers send two or three; what is beyond fails unverified.
const maxCandidates = 16

// verify judges a candidate, and one that repeats only once.
func (f *candidates) verify(g *Guard, d *Decision, token string) Verdict {
	for i := range f.judged {
		if f.judged[i].token == token {
			v := d.Tokens[f.judged[i].verdict]
			d.Tokens = append(d.Tokens, v)
			return v
		}
	}
	if len(f.judged) == maxCandidates {
		return Verdict{Reason: AmbiguousCredential}
	}
	v := g.v.verifyFor(f.context, token)
	f.judged = append(f.judged, judgement{token, len(d.Tokens)})
	d.Tokens = append(d.Tokens, v)
	return v
}

// find collects the candidates of a request.
func (g *Guard) find(r *http.Request) candidates {
	f := candidates{context: r.Context(), failing: None, reported: None}
	f.scheme, f.header = readAuthHeader(r.Header, g.c.AuthHeader)
	f.cookies = cookieLines(r.Header["Cookie"], g.c.Policy.Tokens.Cookies)
	if names := g.queryNames(r.URL.Path); names != nil {
		f.query = queryPieces(r.URL.RawQuery, names)
	}
	if g.c.AuthHeader != "Authorization" {
		for _, value := range r.Header["Authorization"] {
			f.upright = append(f.upright, g.v.upright(value))
		}
	}
	return f
}

// queryNames lists the query parameters that carry a token on a decoded path.
func (g *Guard) queryNames(path string) (names []string) {
	if len(g.c.Policy.Tokens.Query) == 0 {
		return nil
	}
	for _, p := range withoutRoot(path, g.c.RootPath) {
		for _, q := range g.c.Policy.Tokens.Query {
			if q.Path == p {
				names = append(names, q.Name)
			}
		}
	}
	return names
}

// judge verifies every candidate, also those that can't change the decision any more: foreign tokens are counted
// wherever they turn up.
func (f *candidates) judge(g *Guard, d *Decision) {
	fail := func(v Verdict) {
		f.failed = append(f.failed, v.Reason)
		if f.failing == None {
			f.failing, f.failDetail = v.Reason, v.Detail
		}
	}
	if f.scheme == schemeBearer {
		f.bearer = f.verify(g, d, f.header)
		if f.bearer.Reason != None {
			fail(f.bearer)
		}
		f.note(f.bearer)
	}
	if f.judgePieces(g, d, f.query, fail, func(p *piece, token string) string {
		name, _, _ := strings.Cut(p.raw, "=")
		return name + "=" + token
	}) {
		f.accepted = true
	}
	f.judgePieces(g, d, f.upright, fail, func(_ *piece, token string) string { return "Bearer " + token })
	f.judgeCookies(g, d)
}

// judgePieces verifies the tokens among pieces, each of which must be accepted, and tells whether one was. again words a
// piece whose token was signed again for the gateway.
func (f *candidates) judgePieces(g *Guard, d *Decision, pieces []piece, fail func(Verdict), again func(*piece, string) string) (accepted bool) {
	for i := range pieces {
		p := &pieces[i]
		if !p.carrier {
			continue
		}
		v := f.verify(g, d, p.token)
		if v.Reason != None {
			p.drop = true
			fail(v)
			continue
		}
		accepted = true
		f.note(v)
		if v.again {
			p.replace = again(p, v.forward)
		}
	}
	return accepted
}

func (f *candidates) judgeCookies(g *Guard, d *Decision) {
	if f.cookies == nil {
		return
	}
	names := g.c.Policy.Tokens.Cookies
	f.cookie = make([]Verdict, len(names))
	var reported Reason
	clean, byQuery := false, f.accepted
	for _, line := range f.cookies {
		for i := range line {
			p := &line[i]
			if p.drop {
				f.failed = append(f.failed, AmbiguousCredential)
			}
			if !p.carrier {
				continue
			}
			v := Verdict{Reason: AmbiguousCredential}
			if p.plain {
				v = f.verify(g, d, p.token)
			}
			if v.Reason != None {
				p.drop = true
				f.failed = append(f.failed, v.Reason)
				f.cookie[slices.Index(names, p.name)] = v
				continue
			}
			f.accepted = true
			clean = clean || v.Reported == ""
			if reported = v.Reported; v.again {
				before, _, _ := strings.Cut(p.raw, "=")
				p.replace = before + "=" + v.forward
			}
		}
	}
	// Cookies decide only where no other credential does, and one clean cookie is enough.
	if f.scheme != schemeBearer && !byQuery && !clean && reported != "" && f.reported == None {
		f.reported = reported
	}
}

// note keeps what the environment rule reports of a token that must be accepted.
func (f *candidates) note(v Verdict) {
	if v.Reported != "" && f.reported == None {
		f.reported = v.Reported
	}
}

// bound tells whether no token goes on but those that are bound to this environment: accepted ones that carry its name, and
// in report mode, where failing ones go on as well, nothing else.
func (f *candidates) bound(g *Guard, d *Decision) bool {
	if g.c.Mode == ModeReport && len(f.failed) > 0 {
		return false
	}
	for i := range d.Tokens {
		v := &d.Tokens[i]
		if v.Reason == None && (v.Foreign || v.Environment != g.c.Environment) { // foreign: a number that reads as the name
			return false
		}
	}
	return true
}

// lastCookie is the verdict that speaks for the cookies: the last failing one of the first name that the policy lists.
func (f *candidates) lastCookie() Verdict {
	for _, v := range f.cookie {
		if v.Reason != "" {
			return v
		}
	}
	return Verdict{}
}

// forward writes down what the upstream may see. In report mode nothing is taken off.
func (f *candidates) forward(g *Guard, r *http.Request, d *Decision) {
	report := g.c.Mode == ModeReport
	if !report {
		d.Removed = f.failed
	}
	out := &d.Forward
	switch {
	case f.scheme == schemeBearer && f.bearer.Reason == None && (!report || f.bearer.again):
		out.AuthHeader = r.Header[g.c.AuthHeader]
		if token, _ := strings.CutPrefix(out.AuthHeader[0], "Bearer "); token != f.bearer.forward { // without the prefix it is all of the value
			out.AuthHeader = []string{"Bearer " + f.bearer.forward}
		}
	case report || f.basic:
		out.AuthHeader = r.Header[g.c.AuthHeader]
	}
	for _, p := range f.upright {
		switch {
		case p.replace != "":
			out.Authorization = append(out.Authorization, p.replace)
		case p.carrier && !p.drop && !report: // as it was judged, without what was trimmed
			out.Authorization = append(out.Authorization, "Bearer "+p.token)
		case report || !p.drop:
			out.Authorization = append(out.Authorization, p.raw)
		}
	}
	for i, line := range f.cookies {
		if report {
			for j := range line {
				line[j].drop = false
			}
		}
		if !edited(line) {
			out.Cookie = append(out.Cookie, r.Header["Cookie"][i])
		} else if s := joinPieces(line, ";"); strings.Trim(s, " ;") != "" {
			out.Cookie = append(out.Cookie, s)
		}
	}
	out.RawQuery = r.URL.RawQuery
	if report {
		for i := range f.query {
			f.query[i].drop = false
		}
	}
	if edited(f.query) {
		out.RawQuery = joinPieces(f.query, "&")
	}
}

func edited(pieces []piece) bool {
	return slices.ContainsFunc(pieces, func(p piece) bool { return p.drop || p.replace != "" })
}
