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

// What a former configuration knew of secrets is forgotten where the settings or a later change no longer have a use for it.
func TestWhatAReloadForgetsOfSecrets(t *testing.T) {
	letters := map[byte]string{'A': strings.Repeat("first-", 8), 'B': strings.Repeat("second", 8), 'C': strings.Repeat("third-", 8)}
	for _, row := range []struct {
		name     string
		loads    string // each the secret, the additional one if there is any, and ? where the gateway may have restarted unawares
		accepted string
		awaits   bool
	}{
		{"one secret", "A", "A", false},
		{"the former one stays", "A B", "AB", true},
		{"the former one goes with the next change", "A B? C?", "BC", true},
		{"the former one stays after a reload without a change", "A B? B", "AB", true},
		{"the former one of a known gateway, after a change of which it may know", "A B C?", "BC", true},
		{"the gateway's former one, where the settings have another one beside it", "A B BC", "BC", false},
		{"an additional one of the settings, where a change makes it the current one", "AB BA", "AB", true},
		{"an additional one of the settings, taken out", "A BA? B", "B", false},
		{"an additional one of the settings, taken out although the gateway knows no other", "A BA B", "B", false},
		{"an additional one that was never current", "A AB A", "A", false},
	} {
		var c *Config
		for load := range strings.FieldsSeq(row.loads) {
			secrets := strings.TrimSuffix(load, "?")
			settings := []string{"JWT_SECRET_KEY=" + letters[secrets[0]]}
			if len(secrets) > 1 {
				settings = append(settings, "ENVGATE_ADDITIONAL_SECRET_KEY="+letters[secrets[1]])
			}
			again := newGuard(t, settings...).c
			if c != nil {
				again.Adopt(c, secrets == load)
			}
			c = again
		}
		accepted := ""
		for _, letter := range []byte("ABC") {
			p, _ := newParsed(sign(t, `{@base,"env":"production"}`, signing{key: []byte(letters[letter])}))
			if c.keys.find(p) != nil {
				accepted += string(letter)
			}
		}
		if accepted != row.accepted || c.KeyCount() != len(accepted) || c.AwaitsRestart() != row.awaits {
			t.Errorf("%s: %s: accepts %s by %d keys, awaits a restart: %t; want %s, %t", row.name, row.loads, accepted, c.KeyCount(), c.AwaitsRestart(), row.accepted, row.awaits)
		}
	}
}

// A secret beside a key pair is none of its keys: a change of it is no rotation.
func TestAChangedSecretBesideAKeyPairIsNoRotation(t *testing.T) {
	public := publicFile(t, keyOf["RS256"])
	load := func(secret string) *Config {
		return newGuard(t, "JWT_ALGORITHM=RS256", "JWT_PUBLIC_KEY_PATH="+public, "JWT_SECRET_KEY="+secret).c
	}
	former, c := load(strings.Repeat("first-", 8)), load(strings.Repeat("second", 8))
	if c.Adopt(former, true); c.AwaitsRestart() || c.AdditionalSecret.IsSet() {
		t.Error("a gateway of a key pair is taken to await a restart for a secret")
	}
}
