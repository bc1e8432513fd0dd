package authz

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"envgate/authz/attacktest"
	"envgate/authz/issuertest"
	"envgate/authz/jwks"

	"github.com/golang-jwt/jwt/v5"
)

// policyOf writes a policy with one further issuer; more are lines of YAML for it.
func policyOf(t testing.TB, i *issuertest.Issuer, more ...string) string {
	t.Helper()
	text := "issuers:\n  - issuer: " + i.URL + "\n    audiences: [gateway, other]\n    algorithms: [ES256, RS256]\n    ca_file: " + i.CAFile + "\n"
	if !strings.Contains(strings.Join(more, " "), "_url") {
		more = append(more, "jwks_url: "+i.JWKS())
	}
	for _, line := range more {
		text += "    " + line + "\n"
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// trusting makes a guard of the production environment that trusts an issuer, and runs its key sets. The clock is the
// real one: issuers sign by it.
func trusting(t testing.TB, policy string, settings ...string) *Guard {
	t.Helper()
	c, err := Parse(Source{Environ: append(attacktest.Environ(), append(settings, "ENVGATE_POLICY="+policy)...)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	for _, set := range c.Fetched() {
		first := make(chan struct{}, 100)
		go set.Run(ctx, func(jwks.Status, error) { first <- struct{}{} })
		<-first
	}
	return New(c)
}

func TestTokensOfFurtherIssuers(t *testing.T) {
	i := issuertest.New(t, "ES256")
	stranger := issuertest.New(t, "ES256")
	g := trusting(t, policyOf(t, i))
	checking := trusting(t, policyOf(t, i, "environment: check"), "ENVGATE_MISSING_ENVIRONMENT=deny")
	reporting := trusting(t, policyOf(t, i, "environment: check"), "ENVGATE_ENVIRONMENT_RULE=report")
	aud := map[string]any{"aud": "gateway"}
	with := func(name string, value any) map[string]any { return map[string]any{"aud": "gateway", name: value} }
	for _, row := range []struct {
		name  string
		guard *Guard
		token string
		want  Reason
	}{
		{"a good one", g, i.Sign(t, aud), None},
		{"for a list that holds the audience", g, i.Sign(t, map[string]any{"aud": []string{"x", "other"}}), None},
		{"without a key id", g, i.SignAs(t, "", aud), None},
		{"of an unknown key id", g, i.SignAs(t, "key-9", aud), UnknownKey},
		{"for another audience", g, i.Sign(t, map[string]any{"aud": "mcpgateway-api"}), Audience},
		{"for no audience", g, i.Sign(t, nil), Audience},
		{"expired", g, i.Sign(t, with("exp", time.Now().Add(-time.Minute).Unix())), Expired},
		{"without exp", g, i.Sign(t, with("exp", nil)), NoExpiry},
		{"not yet valid", g, i.Sign(t, with("nbf", time.Now().Add(time.Hour).Unix())), NotYetValid},
		{"its env is left alone", g, i.Sign(t, with("env", "staging")), None},
		{"its env is checked", checking, i.Sign(t, with("env", "staging")), Environment},
		{"its env is this one", checking, i.Sign(t, with("env", "production")), None},
		{"without env, which is denied", checking, i.Sign(t, aud), NoEnvironment},
		{"its foreign env is reported", reporting, i.Sign(t, with("env", "staging")), None},
		{"of an issuer that nobody configured", g, stranger.Sign(t, aud), Algorithm},
		{"signed by a stranger in the issuer's name", g, stranger.SignAs(t, "key-1", with("iss", i.URL)), Signature},
		{"signed by the issuer in the gateway's name", g, i.Sign(t, map[string]any{"iss": "mcpgateway", "aud": "mcpgateway-api"}), Algorithm},
		{"signed with the gateway's secret in the issuer's name", g, hs256(t, []byte(attacktest.Secret), i.URL), Algorithm},
		{"signed with the issuer's key set as a secret", g, hs256(t, []byte(i.Key()), i.URL), Algorithm},
		{"of the issuer, in other letters", g, i.Sign(t, with("iss", strings.ToUpper(i.URL))), Algorithm},
		{"of the issuer with a slash", g, i.Sign(t, with("iss", i.URL+"/")), Algorithm},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := row.guard.v.verify(row.token)
			if v.Reason != row.want {
				t.Errorf("got %s, want %s", v.Reason, row.want)
			}
			if v.Reason == None && (v.Issuer != i.URL || v.forward != row.token || v.Foreign != (row.guard == reporting)) {
				t.Errorf("%+v", v)
			}
			if row.guard == g && (v.Unbound || v.Foreign || v.Environment != "") {
				t.Error("the environment rule doesn't leave the token alone")
			}
		})
	}
	if v := reporting.v.verify(i.Sign(t, with("env", "staging"))); v.Reported != Environment {
		t.Errorf("got %q", v.Reported)
	}
	own := trusting(t, policyOf(t, i)) // the gateway's own tokens are judged as ever
	own.v.now = func() time.Time { return clock }
	for claims, want := range map[string]Reason{`{@base}`: None, `{@base,"env":"staging"}`: Environment} {
		if v := own.v.verify(sign(t, claims)); v.Reason != want {
			t.Errorf("%s: got %s, want %s", claims, v.Reason, want)
		}
	}
}

func hs256(t *testing.T, key []byte, issuer string) string {
	t.Helper()
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"key-1"}`))
	body := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iss":%q,"aud":"gateway","exp":4000000000}`, issuer))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(head + "." + body))
	return head + "." + body + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Before its keys are there, an issuer's tokens are told so, and nobody else's are kept out.
// After a rotation, tokens that name no key, or a new one beside a key without a name, cause a fetch, too: one per cooldown.
func TestRotationsOfKeysWithoutAnID(t *testing.T) {
	aud := map[string]any{"aud": "gateway"}
	i := issuertest.New(t, "ES256")
	var nameless atomic.Bool
	var fetches atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		key := i.Key()
		if nameless.Load() {
			key = strings.Replace(key, `"kid"`, `"x-kid"`, 1)
		}
		_, _ = w.Write([]byte(`{"keys": [` + key + `]}`))
	}))
	t.Cleanup(server.Close)
	for _, row := range []struct {
		name            string
		nameless, after bool   // the keys of the set, before the rotation and after it
		kid             string // of the token after the rotation; + is its key's
		want, forged    Reason
	}{
		{"a token without kid", false, false, "", None, Signature},
		{"a token without kid, keys without", true, true, "", None, Signature},
		{"a new kid, keys without", true, true, "+", None, UnknownKey},
		{"a new kid, keys without before", true, false, "+", None, UnknownKey},
		{"a kid that no key has", false, false, "made-up", UnknownKey, UnknownKey},
	} {
		t.Run(row.name, func(t *testing.T) {
			nameless.Store(row.nameless)
			g := trusting(t, policyOf(t, i, "jwks_url: "+server.URL, "cooldown: 1h"))
			g.v.now = time.Now
			if v := g.v.verify(i.Sign(t, aud)); v.Reason != None {
				t.Fatalf("before the rotation: %s", v.Reason)
			}
			i.Rotate(t, "ES256")
			nameless.Store(row.after)
			before, token := fetches.Load(), i.Sign(t, aud)
			if row.kid != "+" {
				token = i.SignAs(t, row.kid, aud)
			}
			if v := g.v.verify(token); v.Reason != row.want || fetches.Load() != before+1 {
				t.Errorf("after the rotation: %s, %d fetches", v.Reason, fetches.Load()-before)
			}
			stranger := issuertest.New(t, "ES256")
			kid := "made-up"
			if row.kid == "" {
				kid = ""
			}
			forged := stranger.SignAs(t, kid, map[string]any{"aud": "gateway", "iss": i.URL})
			if v := g.v.verify(forged); v.Reason != row.forged || fetches.Load() != before+1 {
				t.Errorf("a forgery within the cooldown: %s, %d fetches", v.Reason, fetches.Load()-before)
			}
		})
	}
}

// What is no signature under any key is refused without a look at the issuer's keys.
func TestASignatureThatIsNoneCausesNoFetch(t *testing.T) {
	i := issuertest.New(t, "ES256")
	g := trusting(t, policyOf(t, i))
	token, before := i.SignAs(t, "", map[string]any{"aud": "gateway"}), i.Fetches()
	if v := g.v.verify(token[:strings.LastIndexByte(token, '.')] + ".AB"); v.Reason != Signature || i.Fetches() != before {
		t.Errorf("%s, %d fetches", v.Reason, i.Fetches()-before)
	}
}

// A reload that finds another ca_file fetches the keys anew, over connections that trust it.
func TestAReloadTrustsAnotherCAFile(t *testing.T) {
	i := issuertest.New(t, "ES256")
	policy := policyOf(t, i)
	ca, err := os.ReadFile(i.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	before := trusting(t, policy).c
	if !slices.Equal(before.Files(), []string{policy, i.CAFile}) {
		t.Errorf("watches %q", before.Files())
	}
	for _, row := range []struct {
		more string
		kept bool
	}{{"", true}, {string(ca), false}} {
		if err := os.WriteFile(i.CAFile, append(ca, row.more...), 0o600); err != nil {
			t.Fatal(err)
		}
		now, err := Parse(Source{Environ: append(attacktest.Environ(), "ENVGATE_POLICY="+policy)})
		if err != nil {
			t.Fatal(err)
		}
		now.Adopt(before, true)
		if kept := now.Fetched()[i.URL] == before.Fetched()[i.URL]; kept != row.kept {
			t.Errorf("%d bytes more: the key set is kept: %t", len(row.more), kept)
		}
	}
}

func TestAnIssuerWithoutKeys(t *testing.T) {
	i := issuertest.New(t, "ES256")
	i.Behave(issuertest.Broken)
	g := trusting(t, policyOf(t, i))
	if v := g.v.verify(i.Sign(t, map[string]any{"aud": "gateway"})); v.Reason != KeysUnavailable || v.Reason.Text().Status != 503 {
		t.Errorf("got %s", v.Reason)
	}
	if v := g.v.verify(hs256(t, []byte("guess"), i.URL)); v.Reason != KeysUnavailable {
		t.Errorf("a forgery: got %s", v.Reason)
	}
	g.v.now = func() time.Time { return clock }
	if v := g.v.verify(sign(t, `{@base}`)); v.Reason != None {
		t.Errorf("the gateway's own: got %s", v.Reason)
	}
}

// Keys from files need no fetch, and an issuer needs a key for one of its algorithms.
func TestAnIssuerWithKeysFromFiles(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	smallKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good, other, small := filepath.Join(t.TempDir(), "rsa.pem"), filepath.Join(t.TempDir(), "ed.pem"), filepath.Join(t.TempDir(), "small.pem")
	for file, key := range map[string]crypto.Signer{good: private, other: otherKey, small: smallKey} {
		if err := os.WriteFile(file, attacktest.PublicPEM(key.Public()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write := func(key string) string {
		file := filepath.Join(t.TempDir(), "policy.yaml")
		text := "issuers: [{issuer: files, audiences: [gateway], algorithms: [RS256], public_keys: [" + key + "]}]\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	g := trusting(t, write(good))
	claims := jwt.MapClaims{"iss": "files", "aud": "gateway", "exp": time.Now().Add(time.Hour).Unix()}
	token, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	if v := g.v.verify(token); v.Reason != None {
		t.Errorf("got %s", v.Reason)
	}
	named := sign(t, `{"iss":"files","aud":"gateway"}`, signing{header: `{"alg":"RS256","kid":"a"}`}) // an HMAC for a signature
	if v := g.v.verify(named); v.Reason != Signature {
		t.Errorf("a forgery that names a key, which has no name: %s", v.Reason)
	}
	if all := g.c.IssuerKeys(); len(all) != 1 || all[0].Issuer != "files" || all[0].Keys != 1 || all[0].Fetched.IsZero() {
		t.Errorf("%+v", all)
	}
	if policy := g.c.PolicyName; !slices.Equal(g.c.Files(), []string{policy, good}) {
		t.Errorf("watches %q", g.c.Files())
	}
	for key, message := range map[string]string{
		other:             `issuers[0] files: public_keys: "` + Printable(other) + `": an Ed25519 key, but algorithms are RS256`,
		small:             `issuers[0] files: public_keys: "` + Printable(small) + `": an RSA key of 1024 bits: want 2048 or more`,
		"/nowhere/at.all": `issuers[0] files: public_keys: "/nowhere/at.all": no such file or directory`,
	} {
		_, err := Parse(Source{Environ: append(attacktest.Environ(), "ENVGATE_POLICY="+write(key))})
		if err == nil || !strings.HasSuffix(err.Error(), message) {
			t.Errorf("got %v, want %s", err, message)
		}
	}
}

func TestAnIssuerThatIsTheGateways(t *testing.T) {
	i := issuertest.New(t, "ES256")
	_, err := Parse(Source{Environ: append(attacktest.Environ(), "ENVGATE_POLICY="+policyOf(t, i), "JWT_ISSUER="+i.URL)})
	if want := "issuers[0] " + Printable(i.URL) + ": is JWT_ISSUER, whose keys are settings: want another issuer"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A command fetches keys for what may be a token alone.
func TestWhatKeysAreFetchedFor(t *testing.T) {
	i := issuertest.New(t, "ES256")
	good, wrong := i.Sign(t, nil), i.Sign(t, map[string]any{"nbf": "soon"})
	for _, row := range []struct {
		token         string
		most, fetches int
	}{{good, len(good), 1}, {good, len(good) - 1, 0}, {wrong, len(wrong), 0}} {
		c, err := Parse(Source{Environ: append(attacktest.Environ(), "ENVGATE_POLICY="+policyOf(t, i))})
		if err != nil {
			t.Fatal(err)
		}
		c.MaxTokenBytes = row.most
		before := i.Fetches()
		if err := New(c).Fetch(t.Context(), row.token); err != nil || i.Fetches() != before+row.fetches {
			t.Errorf("%d bytes of at most %d: %v, %d fetches", len(row.token), row.most, err, i.Fetches()-before)
		}
	}
}

// A command fetches the keys of the one issuer that its token names, and says what each rule finds.
func TestInspectingATokenOfAFurtherIssuer(t *testing.T) {
	i := issuertest.New(t, "ES256")
	inspect := func(token string) (Inspection, error) {
		c, err := Parse(Source{Environ: append(attacktest.Environ(), "ENVGATE_POLICY="+policyOf(t, i))})
		if err != nil {
			t.Fatal(err)
		}
		g := New(c)
		return g.Inspect(token), g.Fetch(t.Context(), token)
	}
	before := i.Fetches()
	if _, err := inspect(sign(t, `{@base}`)); err != nil || i.Fetches() != before {
		t.Errorf("%v, %d fetches for the gateway's own token", err, i.Fetches()-before)
	}
	c, err := Parse(Source{Environ: append(attacktest.Environ(), "ENVGATE_POLICY="+policyOf(t, i))})
	if err != nil {
		t.Fatal(err)
	}
	g, token := New(c), i.SignAs(t, "key-7", map[string]any{"aud": "gateway"})
	if err := g.Fetch(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	in := g.Inspect(token)
	var found []string
	for _, c := range in.Checks {
		found = append(found, string(c.Name)+" "+c.Result)
	}
	if got := strings.Join(found, ", "); !strings.HasPrefix(got, "too_large ok, malformed ok, keys_unavailable ok, algorithm ok, unknown_key failed, signature not reached, issuer not reached") {
		t.Error(got)
	}
	if in = g.Inspect(i.Sign(t, map[string]any{"aud": "gateway", "env": "staging"})); in.Decision != Accepted {
		t.Errorf("%+v", in)
	}
	i.Behave(issuertest.Broken)
	if _, err := inspect(token); err == nil || err.Error() != "keys of "+Printable(i.URL)+" can't be fetched: key set: answered 500, want 200" {
		t.Errorf("got %v", err)
	}
}
