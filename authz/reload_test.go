package authz

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// However a secret file changes and the gateway restarts, tokens under the file's value, its former one and the gateway's
// are accepted, none under any other, and each arrives as the gateway knows it.
func TestTokensArriveAsTheGatewayKnowsThem(t *testing.T) {
	secrets := []string{strings.Repeat("first-", 8), strings.Repeat("second", 8), strings.Repeat("third-", 8), strings.Repeat("fourth", 8)}
	tokens := make([]string, len(secrets))
	for i, s := range secrets {
		tokens[i] = sign(t, `{@base,"env":"production"}`, signing{key: []byte(s)})
	}
	parsed := map[string]*Config{}
	for _, s := range secrets {
		parsed[s] = newGuard(t, "JWT_SECRET_KEY="+s).c
	}
	load := func(secret string) *Config { c := *parsed[secret]; return &c }
	rapid.Check(t, func(t *rapid.T) {
		current, former, gateway := 0, 0, 0
		accepted := []int{0}
		c := load(secrets[0])
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			switch next := rapid.IntRange(-2, len(secrets)-1).Draw(t, "file's secret, -1: a restart, -2: another file"); {
			case next == -1:
				gateway = current
				if c.AwaitsRestart() {
					c = c.AfterRestart()
				}
			case next < 0 || next == current:
				again := load(secrets[current])
				again.Adopt(c, true)
				c = again
			default:
				former, current = current, next
				again := load(secrets[current])
				again.Adopt(c, true)
				c = again
				accepted = []int{current, former, gateway}
			}
			for i := range tokens {
				p, _ := newParsed(tokens[i])
				by := c.keys.find(p)
				if (by != nil) != slices.Contains(accepted, i) {
					t.Fatalf("secret %d accepted: %v; current %d, former %d, the gateway's %d", i, by != nil, current, former, gateway)
				}
				if by == nil {
					continue
				}
				out, _, err := c.keys.forward(tokens[i], p, by)
				arrives, _ := newParsed(out)
				if err != nil || c.keys.method.Verify(arrives.signed, arrives.signature, []byte(secrets[gateway])) != nil {
					t.Fatalf("a token under secret %d: the gateway, which knows %d, doesn't (current %d, former %d): %v", i, gateway, current, former, err)
				}
			}
			if c.AwaitsRestart() != (gateway != current) {
				t.Fatalf("awaits a restart: %v, the gateway knows %d, current %d", c.AwaitsRestart(), gateway, current)
			}
		}
	})
}

// Where it can't be said what the gateway knows, tokens keep their secret until it has restarted.
func TestTokensKeepTheirSecretWhereNothingIsSaidOfTheGateway(t *testing.T) {
	load := func(secret string) *Config { return newGuard(t, "JWT_SECRET_KEY="+secret).c }
	first, second := strings.Repeat("first-", 8), strings.Repeat("second", 8)
	former, c := load(first), load(second)
	c.Adopt(former, false)
	for _, row := range []struct {
		when    string
		c       *Config
		secret  string
		arrives string
	}{
		{"before the restart", c, first, first},
		{"before the restart", c, second, second},
		{"after the restart", c.AfterRestart(), first, second},
		{"after the restart", c.AfterRestart(), second, second},
	} {
		token := sign(t, `{@base,"env":"production"}`, signing{key: []byte(row.secret)})
		p, _ := newParsed(token)
		by := row.c.keys.find(p)
		if by == nil {
			t.Fatalf("%s: a token under %s is not accepted", row.when, row.secret)
		}
		out, _, _ := row.c.keys.forward(token, p, by)
		if arrives, _ := newParsed(out); row.c.keys.method.Verify(arrives.signed, arrives.signature, []byte(row.arrives)) != nil {
			t.Errorf("%s: a token under %s doesn't arrive under %s", row.when, row.secret, row.arrives)
		}
	}
}
