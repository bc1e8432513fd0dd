//go:build realgateway

package realgateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// attempt is a request that was sent both ways.
type attempt struct {
	q              request
	g              *generator
	direct, behind outcome
}

// outcome is what a client and the gateway saw of one way.
type outcome struct {
	wired
	seen *record
}

// honoured lists the acceptable tokens that the gateway took for true.
func (o outcome) honoured() (tokens []string) {
	if o.seen == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(o.seen.Honoured), func(token string) bool { return !isAcceptable(token) })
}

// compare says what came of an attempt: notes to count, and a fault where there is one.
func (a attempt) compare() (notes []string, fault string) {
	notes = append(notes, a.directly(), a.outcome())
	if a.direct.hung {
		notes = append(notes, "directly: no answer in time: "+a.q.line)
	}
	if fault = a.unaccepted(&notes); fault == "" {
		fault = a.withheld(&notes)
	}
	if fault == "" {
		fault = a.answeredOtherwise(&notes)
	}
	return notes, fault
}

// directly is how the gateway alone judged.
func (a attempt) directly() string {
	seen := a.direct.seen
	switch {
	case seen == nil:
		return "directly: not HTTP for the gateway"
	case len(a.direct.honoured()) > 0:
		return "directly: honoured an acceptable token"
	case len(seen.Honoured) > 0:
		return "directly: honoured none but what is not acceptable"
	case len(seen.Parsed) > 0:
		return "directly: took tokens apart and honoured none"
	}
	return "directly: saw no token"
}

// outcome is what envgate did.
func (a attempt) outcome() string {
	switch {
	case a.behind.seen == nil && a.behind.login:
		return "envgate: refused, to the login page"
	case a.behind.seen == nil:
		return fmt.Sprintf("envgate: refused, %d %s", a.behind.status, a.behind.reason)
	case a.q.isPublic() && len(a.behind.seen.Honoured) == 0:
		return "envgate: public"
	case len(a.behind.seen.Honoured) == 0:
		return "envgate: accepted, and the gateway honoured nothing"
	}
	return "envgate: accepted, and the gateway honoured it"
}

// unaccepted is the first property: nothing but acceptable tokens is seen behind envgate, and something is.
func (a attempt) unaccepted(notes *[]string) string {
	seen := a.behind.seen
	if seen == nil {
		return ""
	}
	for _, token := range seen.Honoured {
		if a.forTheLog(token) {
			*notes = append(*notes, "exception: cookie called token: the request log of 0.9.0 names its user, and nothing else reads it")
			continue
		}
		if verdict := judged(token, time.Now()); verdict != acceptable {
			return fmt.Sprintf("behind envgate the gateway honours a token that is %s: %.40q", verdict, token)
		}
	}
	for _, token := range seen.Parsed {
		if isAcceptable(token) || a.forTheLog(token) {
			continue
		}
		if !a.leftToUpstream(token) {
			return fmt.Sprintf("behind envgate the gateway takes apart what is %s: %.40q", judged(token, time.Now()), token)
		}
		*notes = append(*notes, "exception: Authorization is left to the upstream: what doesn't verify under the gateway's key stays there, and 0.9.0 looks at it")
	}
	if !a.q.isPublic() && !slices.ContainsFunc(tokensIn(seen, a.g.authHeader), isAcceptable) {
		return "a protected path is reached without an acceptable token"
	}
	return ""
}

// leftToUpstream tells whether a text stands in Authorization, where that isn't the auth header.
func (a attempt) leftToUpstream(token string) bool {
	return a.g.authHeader != "Authorization" && slices.ContainsFunc(a.behind.seen.header("Authorization"), func(value string) bool {
		return strings.Contains(value, latin1(token)) || strings.Contains(strings.ReplaceAll(value, "Bearer ", ""), latin1(token))
	})
}

// forTheLog tells whether a text stands nowhere but in a cookie called token.
func (a attempt) forTheLog(token string) bool {
	return a.behind.seen.Cookies["token"] == token && !slices.Contains(tokensIn(a.behind.seen, a.g.authHeader, "Authorization"), token)
}

// tokensIn lists the texts that stand where tokens are read, the auth header being one of the given.
func tokensIn(r *record, authHeaders ...string) (tokens []string) {
	for _, name := range authHeaders {
		for _, value := range r.header(name) {
			if token, ok := bearerOf(value); ok {
				tokens = append(tokens, token)
			}
		}
	}
	for _, c := range cookiesOf(r.header("Cookie")) {
		if c.carries() {
			tokens = append(tokens, c.value)
		}
	}
	for part := range strings.SplitSeq(r.Query, "&") {
		_, value, _ := strings.Cut(part, "=")
		tokens = append(tokens, unescaped(value))
	}
	return tokens
}

const keptOut = "kept out: what the gateway honours and is not acceptable: "

// withheld is the second property: no acceptable token that the gateway honours is kept from it without a rule.
func (a attempt) withheld(notes *[]string) string {
	if a.behind.seen == nil && !a.q.mayBe(a.behind.reason) {
		return "refused for a reason that no credential of it has: " + a.behind.reason
	}
	if a.direct.seen != nil {
		for _, token := range a.direct.seen.Honoured {
			if verdict := judged(token, time.Now()); verdict != acceptable {
				*notes = append(*notes, keptOut+verdict)
			}
		}
	}
	for _, token := range a.direct.honoured() {
		if a.behind.seen != nil && slices.Contains(a.behind.seen.Honoured, token) || a.direct.seen.Cookies["token"] == token {
			continue
		}
		rules := refusals
		if a.behind.seen != nil {
			rules = removals
		}
		i := slices.IndexFunc(rules, func(e exception) bool { return e.explains(a.q, a.g, a.behind.wired, token) })
		if i < 0 {
			return fmt.Sprintf("the gateway honours an acceptable token directly (%d), and not behind envgate: %d %s", a.direct.status, a.behind.status, a.behind.reason)
		}
		*notes = append(*notes, rules[i].note())
		return ""
	}
	return ""
}

// answeredOtherwise is the third property: the same tokens get the same answer.
func (a attempt) answeredOtherwise(notes *[]string) string {
	direct, behind := a.direct, a.behind
	if behind.hung && !direct.hung || behind.status == http.StatusBadGateway && direct.status != 0 && (direct.status < 400 || !a.q.upgrades()) {
		return fmt.Sprintf("no answer behind envgate: %d, directly %d", behind.status, direct.status)
	}
	if direct.seen == nil || behind.seen == nil || a.differsOnPurpose() {
		return ""
	}
	same := func(a, b []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}
	if !same(direct.seen.Parsed, behind.seen.Parsed) || !same(direct.seen.Honoured, behind.seen.Honoured) {
		return ""
	}
	if direct.status == behind.status {
		*notes = append(*notes, fmt.Sprintf("same tokens, same answer: %d", direct.status))
		return ""
	}
	return fmt.Sprintf("the gateway saw the same tokens, and answered %d directly, %d behind envgate", direct.status, behind.status)
}

// differsOnPurpose tells whether envgate sends on something else than what came: without an upgrade that isn't to a
// WebSocket, a hop-by-hop header, credentials behind the body or one that failed, an absolute target as its path, a
// chunked body of HTTP/1.0, the auth header in its canonical form.
func (a attempt) differsOnPurpose() bool {
	q := a.q
	if strings.Contains(q.line, " http://") || strings.HasSuffix(q.line, "1.0") || len(q.values("Upgrade")) > 0 && !q.upgrades() || q.inConnection("Accept") || q.trailer != "" {
		return true
	}
	return slices.ContainsFunc([]string{"Cookie", a.g.authHeader, "Authorization"}, func(name string) bool {
		return !slices.Equal(a.direct.seen.header(name), a.behind.seen.header(name))
	})
}
