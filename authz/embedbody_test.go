package authz

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var bodies = []string{
	`{"access_token":"TOKEN","token_type":"bearer","expires_in":604800,"user":{"id":12345678901234567890,"x":"TOKEN"}}`,
	`{"token":{"access_token":"TOKEN"},"access_token" : "TOKEN" }`, "{}", "[]", "", `"TOKEN"`, "{\"access_token\": null}",
	`{"access_token":{"a":"TOKEN"}}`, `{"access_token":"TOKEN","access_token":"TOKEN"}`, "\xff{}", ` {"access_token":"TOKEN"} `, `{"access_token":"TOKEN"`,
	`{"acces\u0073_token":"TOKEN","d":1.10,"e":1e3}`, `{"access_token":"opaque"}`,
}

// checkBody compares a body with what was made of it: it differs in token strings only.
func checkBody(t testing.TB, g *Guard, body []byte, pointers []string) {
	t.Helper()
	first := bytes.Clone(body)
	got, found, err := EmbedBody(body, pointers, func(token string) (string, Embedding) { return g.Embed(token, true) })
	if !bytes.Equal(first, body) {
		t.Fatal("the body itself was written to")
	}
	if err != nil || !strings.Contains(fmt.Sprint(found), string(Embedded)) {
		if !bytes.Equal(got, body) {
			t.Fatalf("changed without cause (%v): %q to %q", err, body, got)
		}
		return
	}
	var before, after any
	if json.Unmarshal(body, &before) != nil || json.Unmarshal(got, &after) != nil {
		t.Fatalf("no JSON any more: %q", got)
	}
	var same func(a, b any) bool
	same = func(a, b any) bool {
		switch a := a.(type) {
		case map[string]any:
			b, ok := b.(map[string]any)
			if !ok || len(a) != len(b) {
				return false
			}
			for name := range a {
				if !same(a[name], b[name]) {
					return false
				}
			}
			return true
		case string:
			b, ok := b.(string)
			if embedded, what := g.Embed(a, true); what == Embedded && b == embedded {
				return true
			}
			return ok && a == b
		}
		return reflect.DeepEqual(a, b)
	}
	if !same(before, after) {
		t.Fatalf("more than tokens changed:\n%s\n%s", body, got)
	}
}

// checkBytes undoes in the text of a body what was made of its one token: then it must be the body it was.
func checkBytes(t rapid.TB, g *Guard, body, token string, pointers []string) (changed bool) {
	t.Helper()
	embedded, _ := g.Embed(token, true)
	got, found, err := EmbedBody([]byte(body), pointers, func(token string) (string, Embedding) { return g.Embed(token, true) })
	if err != nil {
		t.Fatalf("%v: %q", err, body)
	}
	if back := strings.ReplaceAll(string(got), `"`+embedded+`"`, `"`+token+`"`); back != body {
		t.Fatalf("more than tokens changed:\n%q\n%q", body, got)
	}
	if n := strings.Count(string(got), embedded); n != len(found) {
		t.Fatalf("%d tokens changed, %d found: %q", n, len(found), got)
	}
	return len(found) > 0
}

// Any JSON answer, with tokens anywhere, differs afterwards in the strings at the pointers only, byte for byte.
func TestAnyAnswerDiffersInTokensOnly(t *testing.T) {
	g := newGuard(t, embedding)
	token := sign(t, `{@base}`)
	changed := 0
	rapid.Check(t, func(r *rapid.T) {
		space := rapid.SampledFrom([]string{"", "", " ", "\n", "\t\r\n "})
		scalar := rapid.SampledFrom([]string{"TOKEN", "TOKEN", "null", "true", "-0.10e+300", "12345678901234567890", `""`, `"\ud83d\ude00\"\\}"`, `"é"`, `"a.b.c"`, `"http:\/\/x"`})
		name := rapid.SampledFrom([]string{"access_token", "token", "user", "a/b", "~", "", "é", "Access_token"})
		var value func(depth int) string
		object := func(depth int) string {
			var members []string
			for _, n := range rapid.SliceOfNDistinct(name, 0, 4, rapid.ID).Draw(r, "names") {
				members = append(members, space.Draw(r, "space")+`"`+n+`"`+space.Draw(r, "space")+":"+space.Draw(r, "space")+value(depth-1)+space.Draw(r, "space"))
			}
			return "{" + strings.Join(members, ",") + "}"
		}
		value = func(depth int) string {
			switch kind := rapid.IntRange(0, 3).Draw(r, "kind"); {
			case depth > 0 && kind == 0:
				return object(depth)
			case depth > 0 && kind == 1:
				return "[" + value(depth-1) + space.Draw(r, "space") + "," + value(depth-1) + "]"
			}
			return scalar.Draw(r, "scalar")
		}
		body := space.Draw(r, "around") + strings.ReplaceAll(object(4), "TOKEN", `"`+token+`"`) + space.Draw(r, "around")
		pointer := func() string {
			return strings.ReplaceAll(strings.ReplaceAll(name.Draw(r, "pointer"), "~", "~0"), "/", "~1")
		}
		pointers := []string{"/access_token", "/" + pointer(), "/" + pointer() + "/" + pointer()}
		pointers = pointers[:rapid.IntRange(1, 3).Draw(r, "pointers")]
		if len(pointers) > 1 && pointers[0] == pointers[1] {
			pointers = pointers[1:]
		}
		for i := range pointers { // a pointer below a string finds no object there
			if _, err := at([]byte(body), pointers[i]); err != nil {
				return
			}
		}
		if checkBytes(r, g, body, token, withoutOtherStrings(body, pointers, token)) {
			changed++
		}
	})
	if changed == 0 {
		t.Error("no body had a token where it was looked for")
	}
}

// withoutOtherStrings leaves out the pointers to strings that are not the token.
func withoutOtherStrings(body string, pointers []string, token string) (kept []string) {
	for _, pointer := range pointers {
		value, _ := at([]byte(body), pointer)
		if s, ok := text(value); !ok || s == token {
			kept = append(kept, pointer)
		}
	}
	return kept
}

func TestEmbedBody(t *testing.T) {
	g := newGuard(t, embedding)
	token := sign(t, `{@base}`)
	changed := 0
	for _, body := range bodies {
		body = strings.ReplaceAll(body, "TOKEN", token)
		for _, pointers := range [][]string{{"/access_token"}, {"/token/access_token", "/access_token"}, {"/user/x"}, {"/a~1b/~0"}} {
			checkBody(t, g, []byte(body), pointers)
			if got, _, err := EmbedBody([]byte(body), pointers, func(token string) (string, Embedding) { return g.Embed(token, true) }); err == nil && string(got) != body {
				changed++
			}
		}
	}
	if changed != 9 {
		t.Errorf("%d bodies changed, want 9", changed)
	}
}

// FuzzEmbedBody: for any answer, the output differs from the input in token strings only.
func FuzzEmbedBody(f *testing.F) {
	g := newGuard(f, embedding)
	token := sign(f, `{@base}`)
	for _, body := range bodies {
		f.Add(strings.ReplaceAll(body, "TOKEN", token), "/access_token")
	}
	f.Add(`{"a":{"b":"`+token+`"}}`, "/a/b")
	f.Fuzz(func(t *testing.T, body, pointer string) {
		if strings.HasPrefix(pointer, "/") {
			checkBody(t, g, []byte(strings.ReplaceAll(body, "TOKEN", token)), []string{pointer, "/access_token"})
		}
	})
}
