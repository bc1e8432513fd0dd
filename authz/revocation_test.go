package authz

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

// denying is the setting of a deny-list with that text.
func denying(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "denied")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "ENVGATE_DENY_LIST=" + file
}

func TestRevocation(t *testing.T) {
	const list = "jti a-1\njti \"b 2\"\nsub alice@example.com before 2030-06-01T11:00:00Z\nsub bob before 1906542000 # 11:00, too\n"
	before, after := clock.Add(-2*time.Hour).Unix(), clock.Add(-time.Hour).Unix()
	tests := []struct {
		name, claims string
		want         Reason
	}{
		{"its jti is listed", `"jti":"a-1"`, Revoked},
		{"its jti is listed as a JSON string", `"jti":"b 2"`, Revoked},
		{"its jti is written with escapes", `"jti":"\u0061-1"`, Revoked},
		{"another jti", `"jti":"a-2"`, None},
		{"the jti in capitals is another", `"jti":"A-1"`, None},
		{"no jti and no sub", `"x":1`, None},
		{"an empty jti", `"jti":""`, None},
		{"a sub that is spelled as a listed jti", `"sub":"a-1"`, None},
		{"a jti that is spelled as a listed sub", `"jti":"bob","iat":1`, None},
		{"issued before", fmt.Sprintf(`"sub":"alice@example.com","iat":%d`, before), Revoked},
		{"issued half a second before", fmt.Sprintf(`"sub":"alice@example.com","iat":%d.5`, after-1), Revoked},
		{"issued then", fmt.Sprintf(`"sub":"alice@example.com","iat":%d`, after), None},
		{"issued before a time in seconds", fmt.Sprintf(`"sub":"bob","iat":%d`, before), Revoked},
		{"issued after a time in seconds", fmt.Sprintf(`"sub":"bob","iat":%d`, after+1), None},
		{"without iat it was issued before", `"sub":"bob"`, Revoked},
		{"with iat 0, too", `"sub":"bob","iat":0`, Revoked},
		{"issued before 1970", `"sub":"bob","iat":-5`, Revoked},
		{"another sub", `"sub":"carol"`, None},
		{"another sub, issued before 1970", `"sub":"carol","iat":-5`, None},
		{"no sub, issued before 1970", `"iat":-5`, None},
		{"a good sub with a listed jti", `"sub":"carol","jti":"a-1"`, Revoked},
	}
	g := newGuard(t, denying(t, list))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := sign(t, `{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future,"env":"production",`+tt.claims+`}`)
			if v := g.v.verify(token); v.Reason != tt.want || !v.Verified {
				t.Errorf("got %s, want %s", v.Reason, tt.want)
			}
			if forged := g.v.verify(sign(t, `{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future,`+tt.claims+`}`, signing{key: []byte(otherSecret)})); forged.Reason != Signature {
				t.Errorf("a forgery is %s, want signature", forged.Reason)
			}
		})
	}
}

// A list is closed when it was read: a sidecar reads it anew for months.
func TestADenyListIsClosed(t *testing.T) {
	setting := denying(t, "jti a\n")
	for range 5 {
		newGuard(t, setting)
	}
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(open) == 0 {
		t.Skip("no list of open files")
	}
	for _, fd := range open {
		if path, err := os.Readlink(fd); err == nil && strings.HasSuffix(setting, "="+path) {
			t.Errorf("%s is open", path)
		}
	}
}

// A revoked token is no credential anywhere: refused in the header, taken off beside a good one, reported in report mode.
func TestRevokedCredentials(t *testing.T) {
	list := denying(t, "jti stolen")
	stolen := sign(t, `{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future,"env":"production","jti":"stolen"}`)
	tests := []struct {
		name, request, mode, want, removed string
	}{
		{"in the header", "GET /tools | Authorization: Bearer " + stolen, "enforce", "revoked", ""},
		{"in the only cookie", "GET /tools | Cookie: jwt_token=" + stolen, "enforce", "revoked", ""},
		{"in a cookie beside a good header", "GET /tools | Authorization: Bearer {good} | Cookie: jwt_token=" + stolen, "enforce", "accepted", "revoked"},
		{"on a public route", "GET /health | Authorization: Bearer " + stolen, "enforce", "public", "revoked"},
		{"in report mode", "GET /tools | Authorization: Bearer " + stolen, "report", "reported revoked", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newGuard(t, list, "ENVGATE_MODE="+tt.mode).Check(request(t, tt.request))
			consistent(t, d)
			if said(d) != tt.want || reasons(d.Removed) != tt.removed {
				t.Errorf("got %s, removed %q, want %s, %q", said(d), reasons(d.Removed), tt.want, tt.removed)
			}
			hides(t, shown(t, d), stolen)
		})
	}
}

// What was accepted from memory before a reload isn't after it.
func TestRevocationHoldsForRememberedTokens(t *testing.T) {
	cache := NewCache(1 << 20)
	remembering := func(settings ...string) *Guard {
		g := NewCached(newGuard(t, settings...).c, cache)
		g.v.now = func() time.Time { return clock }
		return g
	}
	token := sign(t, `{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future,"env":"production","jti":"a","sub":"alice"}`)
	for i, tt := range []struct {
		list string
		want Reason
	}{{"", None}, {"jti a", Revoked}, {"jti b", None}, {"sub alice before 99", Revoked}, {"# nobody", None}} {
		g := remembering(denying(t, tt.list))
		for range 2 {
			if v := g.v.verify(token); v.Reason != tt.want {
				t.Errorf("list %d: %s, want %s", i, v.Reason, tt.want)
			}
		}
	}
	if cache.Stats().Hits != 3 {
		t.Errorf("%d hits, want 3: accepted tokens are remembered all the same", cache.Stats().Hits)
	}
}

// A list says of every token what a map of its entries says.
func TestDenyListIsWhatItsEntriesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "c", "a b", `"`, "#", "é", "before"}), rapid.StringN(1, 6, 20))
		ids, subjects := map[string]bool{}, map[string]float64{}
		var text strings.Builder
		for range rapid.IntRange(0, 30).Draw(t, "entries") {
			value := name.Draw(t, "value")
			word := jsonString(value)
			if plain := !strings.ContainsFunc(value, func(r rune) bool { return r == '"' || r == ' ' || !unicode.IsPrint(r) }); plain && rapid.Bool().Draw(t, "plain") {
				word = value
			}
			if rapid.Bool().Draw(t, "jti") {
				ids[value] = true
				fmt.Fprintf(&text, "jti %s\n", word)
				continue
			}
			before := rapid.Int64Range(1, 20).Draw(t, "before")
			subjects[value] = max(subjects[value], float64(before))
			when := strconv.FormatInt(before, 10)
			if rapid.Bool().Draw(t, "RFC 3339") {
				when = time.Unix(before, 0).UTC().Format(time.RFC3339)
			}
			fmt.Fprintf(&text, "\tsub  %s before %s # so\r\n\n", word, when)
		}
		l, err := readDenyList(strings.NewReader(text.String()), maxDenied)
		if err != nil {
			t.Fatalf("%v in %q", err, text.String())
		}
		if n, m := l.Size(); n != len(ids) || m != len(subjects) {
			t.Fatalf("%d jtis and %d subjects, want %d and %d", n, m, len(ids), len(subjects))
		}
		for range 20 {
			c := claims{id: name.Draw(t, "id"), subject: name.Draw(t, "subject"), issuedAt: float64(rapid.IntRange(0, 21).Draw(t, "iat")), hasID: rapid.Bool().Draw(t, "has jti")}
			want := c.hasID && ids[c.id] || c.issuedAt < subjects[c.subject]
			if l.denies(&c) != want {
				t.Fatalf("%+v: denied %t, want %t", c, !want, want)
			}
		}
	})
}

func jsonString(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// manyEntries is the text of a million lines that nobody holds in memory.
type manyEntries struct {
	line string // with %d
	next int
	rest bytes.Buffer
}

const million = 1_000_000

func (m *manyEntries) Read(p []byte) (int, error) {
	for m.rest.Len() < len(p) && m.next < million {
		fmt.Fprintf(&m.rest, m.line, m.next)
		m.next++
	}
	return m.rest.Read(p)
}

func (m *manyEntries) Seek(int64, int) (int64, error) { m.next = 0; m.rest.Reset(); return 0, nil }

func readMillion(t testing.TB, line string) *DenyList {
	t.Helper()
	l, err := readDenyList(&manyEntries{line: line}, maxDenied)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const (
	manyIDs      = "jti 3f2504e0-4f89-41d3-9a0c-%012d\n"
	manySubjects = "sub somebody.%08d@example.com before 2030-06-01T11:00:00Z\n"
)

// A million entries take less than 64 MB, jtis and subjects alike.
func TestAMillionEntriesFit(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for line, most := range map[string]uint64{manyIDs: 17e6, manySubjects: 25e6} {
		before := heap()
		l := readMillion(t, line)
		if took := heap() - before; took > most {
			t.Errorf("%.3s: %d bytes, want at most %d", line, took, most)
		}
		ids, subjects := l.Size()
		if ids+subjects != million {
			t.Errorf("%d and %d entries", ids, subjects)
		}
		for _, n := range []int{0, 1, 77777, million - 1, million, million + 1} {
			c := claims{hasID: true, id: fmt.Sprintf("3f2504e0-4f89-41d3-9a0c-%012d", n), subject: fmt.Sprintf("somebody.%08d@example.com", n)}
			if l.denies(&c) != (n < million) {
				t.Errorf("entry %d: denied %t", n, n >= million)
			}
		}
	}
}

// BenchmarkCheckDenied is what a deny-list adds to a token that is new: with one that was seen before, nothing, since only
// accepted tokens are remembered.
func BenchmarkCheckDenied(b *testing.B) {
	all := make([]string, 20000)
	for i := range all {
		all[i] = sign(b, fmt.Sprintf(`{"iss":"mcpgateway","aud":"mcpgateway-api","exp":@future,"env":"production","sub":"nobody.%08d@example.com","jti":"4f2504e0-4f89-41d3-9a0c-%012d","iat":1,"user":{"email":"somebody@example.com","full_name":"Somebody With A Rather Long Name, Of Accounting","is_admin":false,"auth_provider":"local"}}`, i, i))
	}
	for _, tt := range []struct {
		name string
		list *DenyList
	}{{"no list", nil}, {"a million jtis", readMillion(b, manyIDs)}, {"a million subjects", readMillion(b, manySubjects)}} {
		b.Run(tt.name, func(b *testing.B) {
			g := newGuard(b)
			g.c.denied = tt.list
			benchCheck(b, g, None, all...)
		})
	}
}

// BenchmarkDenyListRead is what a reload with a million entries takes.
func BenchmarkDenyListRead(b *testing.B) {
	var text bytes.Buffer
	if _, err := io.Copy(&text, &manyEntries{line: manyIDs}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		if _, err := readDenyList(bytes.NewReader(text.Bytes()), maxDenied); err != nil {
			b.Fatal(err)
		}
	}
}

// Who keeps settings keeps no deny-list.
func TestSettingsHoldNoDenyList(t *testing.T) {
	c := newGuard(t, "ENVGATE_DENY_LIST="+writeFile(t, []byte("jti a\n"))).c
	if settings := c.Settings(); settings.DenyList() != nil || c.DenyList() == nil || settings.Environment != c.Environment {
		t.Errorf("%v and %v", settings.DenyList(), c.DenyList())
	}
}
