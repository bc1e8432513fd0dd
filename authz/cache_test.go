package authz

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"envgate/authz/attacktest"
	"envgate/authz/issuertest"

	"pgregory.net/rapid"
)

// Decisions with and without the cache are the same for any sequence of tokens, clock steps and reloads.
func TestTheCacheChangesNoDecision(t *testing.T) {
	var configs []*Config
	for _, settings := range [][]string{
		nil, {"ENVGATE_MISSING_ENVIRONMENT=deny"}, {"ENVGATE_ENVIRONMENT_RULE=report"}, {"ENVGATE_LEEWAY=90s", "ENVGATE_ADDITIONAL_SECRET_KEY=" + attacktest.Additional},
		{"JWT_SECRET_KEY=" + attacktest.Other}, {"REQUIRE_TOKEN_EXPIRATION=false", "JWT_AUDIENCE=other"},
	} {
		configs = append(configs, newGuard(t, settings...).c)
	}
	var drawn []string
	for _, claims := range []string{
		`{@base}`, `{@base,"env":"production"}`, `{@base,"env":"staging"}`, `{@names}`, `{@names,"exp":@past}`, `{@base,"nbf":@future}`,
		fmt.Sprintf(`{@names,"exp":%d}`, clock.Unix()+60), fmt.Sprintf(`{@base,"iat":%d}`, clock.Unix()-30), `{@base,"sub":"b@example.com"}`,
	} {
		for _, key := range []string{attacktest.Secret, attacktest.Other, attacktest.Additional} {
			token := sign(t, claims, signing{key: []byte(key)})
			drawn = append(drawn, token, token[:len(token)-2]+"AA", token+"A", strings.Replace(token, ".", ".e", 1))
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		cache := NewCache(rapid.SampledFrom([]int{64 << 10, 8 << 20}).Draw(r, "bytes"))
		now := clock
		guards := func() (cached, plain *Guard) {
			c := rapid.SampledFrom(configs).Draw(r, "settings")
			cached, plain = NewCached(c, cache), New(c)
			cached.v.now, plain.v.now = func() time.Time { return now }, func() time.Time { return now }
			return cached, plain
		}
		cached, plain := guards()
		for range rapid.IntRange(1, 60).Draw(r, "steps") {
			switch rapid.IntRange(0, 9).Draw(r, "step") {
			case 0:
				cached, plain = guards()
			case 1:
				now = now.Add(time.Duration(rapid.IntRange(-7200, 7200).Draw(r, "seconds")) * time.Second)
			}
			token := rapid.SampledFrom(drawn).Draw(r, "token")
			if got, want := cached.v.verify(token), plain.v.verify(token); !reflect.DeepEqual(got, want) {
				r.Fatalf("with the cache %s %q, without %s %q", got.Reason, got.forward, want.Reason, want.forward)
			}
		}
	})
}

// Rows of ATTACKS: what must not be served from memory.
func TestWhatIsNotRemembered(t *testing.T) {
	cache := NewCache(1 << 20)
	now := clock
	guard := func(settings ...string) *Guard {
		g := NewCached(newGuard(t, settings...).c, cache)
		g.v.now = func() time.Time { return now }
		return g
	}
	g := guard()
	good := sign(t, `{@base,"env":"production"}`)
	verify := func(token string) (Reason, bool) {
		hits := cache.Stats().Hits
		v := g.v.verify(token)
		return v.Reason, cache.Stats().Hits > hits
	}
	expect := func(what, token string, reason Reason, hit bool) {
		t.Helper()
		if r, h := verify(token); r != reason || h != hit {
			t.Errorf("%s: got %s, from memory %v; want %s, %v", what, r, h, reason, hit)
		}
	}
	expect("at first", good, None, false)
	expect("again", good, None, true)
	for i := range good { // any character of it
		if flipped := good[:i] + string(rune(good[i]^1)) + good[i+1:]; flipped != good {
			if r, hit := verify(flipped); r == None || hit {
				t.Fatalf("character %d changed: %s, from memory %v", i, r, hit)
			}
		}
	}
	expect("forged", sign(t, `{@base}`, signing{key: []byte(otherSecret)}), Signature, false)
	expect("forged again", sign(t, `{@base}`, signing{key: []byte(otherSecret)}), Signature, false)
	expect("foreign again", sign(t, `{@base,"env":"staging"}`), Environment, false)
	now = clock.Add(time.Hour)
	expect("expired since", good, Expired, false)
	now = clock.Add(-2 * time.Hour)
	expect("the clock stepped back before iat", good, NotYetValid, false)
	now = clock
	expect("and forth", good, None, false)
	former := g
	g = guard("JWT_AUDIENCE=another")
	expect("after a reload", good, Audience, false)
	if v := former.v.verify(good); v.Reason != None { // a request under way
		t.Errorf("the former guard: %s", v.Reason)
	}
	expect("what the former guard remembers", good, Audience, false)
}

// A key that its issuer takes back is forgotten with the tokens that it verified.
func TestARemovedKeyEmptiesTheCache(t *testing.T) {
	i := issuertest.New(t, "ES256")
	g := NewCached(trusting(t, policyOf(t, i)).c, NewCache(1<<20))
	token := i.Sign(t, map[string]any{"aud": "gateway"})
	for range 2 {
		if v := g.v.verify(token); v.Reason != None {
			t.Fatal(v.Reason)
		}
	}
	if g.v.cache.Stats().Hits != 1 {
		t.Error("not remembered")
	}
	i.Rotate(t, "ES256")
	i.Forget()
	if err := g.Fetch(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if v := g.v.verify(token); v.Reason != UnknownKey {
		t.Errorf("got %s", v.Reason)
	}
}

// Whatever is signed, the cache stays in its bytes; a flood of forged tokens takes none of them.
func TestTheCacheIsBounded(t *testing.T) {
	const most = 256 << 10
	cache := NewCache(most)
	g := NewCached(newGuard(t).c, cache)
	g.v.now = func() time.Time { return clock }
	good := sign(t, `{@base}`)
	g.v.verify(good)
	for n := range 2000 {
		g.v.verify(sign(t, fmt.Sprintf(`{@base,"n":%d}`, n), signing{key: []byte(otherSecret)}))
	}
	if before := cache.Stats().Hits; g.v.verify(good).Reason != None || cache.Stats().Hits != before+1 {
		t.Error("forged tokens pushed a good one out")
	}
	for n := range 5000 {
		g.v.verify(sign(t, fmt.Sprintf(`{@base,"n":%d}`, n)))
	}
	if size := cache.Size(); size > most || size < most/2 {
		t.Errorf("%d bytes of %d", size, most)
	}
	if s := cache.Stats(); s.Evictions == 0 {
		t.Errorf("%+v", s)
	}
}

// The bytes that the cache counts are about those that it takes.
func TestTheCacheCountsItsBytes(t *testing.T) {
	g := newGuard(t)
	var tokens []string
	for n := range 10000 {
		tokens = append(tokens, sign(t, fmt.Sprintf(`{@base,"env":"production","n":%d}`, n)))
	}
	cache := NewCache(1 << 30)
	g = NewCached(g.c, cache)
	g.v.now = func() time.Time { return clock }
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	for _, token := range tokens {
		g.v.verify(token)
	}
	taken, counted := heap()-before, cache.Size()
	if ratio := float64(taken) / float64(counted); ratio < 0.7 || ratio > 1.3 {
		t.Errorf("%d bytes taken for %d, %d counted: ratio %.2f", taken, len(tokens), counted, ratio)
	}
	runtime.KeepAlive(tokens)
}

func TestTheCacheIsSafeForConcurrentUse(t *testing.T) {
	cache := NewCache(64 << 10)
	var wg sync.WaitGroup
	c := newGuard(t).c
	for n := range 8 {
		wg.Go(func() {
			g := NewCached(c, cache)
			g.v.now = func() time.Time { return clock }
			for m := range 200 {
				if v := g.v.verify(sign(t, fmt.Sprintf(`{@base,"n":%d}`, (n+m)%50))); v.Reason != None {
					t.Errorf("got %s", v.Reason)
				}
			}
		})
	}
	wg.Wait()
}
