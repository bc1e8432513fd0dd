package authz

import (
	"slices"
	"strings"
	"testing"
)

func TestBrokenDenyLists(t *testing.T) {
	const want = ": want jti VALUE, or sub VALUE before TIME, in seconds since 1970 or as 2030-01-31T12:00:00Z"
	tests := []struct{ name, text, want string }{
		{"no word", "jti a\n\nb2c3\n", `line 3: "b2c3"` + want},
		{"a word in capitals", "JTI a", `line 1: "JTI"` + want},
		{"no value", "# x\njti", "line 2: no value" + want},
		{"an empty value", `jti ""`, "line 1: no value" + want},
		{"two values", "jti a b", `line 1: "b" behind the value` + want},
		{"an open string", `jti "a`, `line 1: "?a" is no JSON string` + want},
		{"a quote inside", `jti a"b`, `line 1: "a?b" holds a quote or an unprintable character: want it as a JSON string`},
		{"an invisible character", "jti a\u200bb", `line 1: "a???b" holds a quote or an unprintable character: want it as a JSON string`},
		{"text behind a string", `jti "a"b`, `line 1: "b" behind the value` + want},
		{"a sub alone", "sub alice", `line 1: "" behind the value` + want},
		{"a sub until", "sub alice until 5", `line 1: "until" behind the value` + want},
		{"no time", "sub alice before", `line 1: "" is no time` + want},
		{"a time in words", "sub alice before today", `line 1: "today" is no time` + want},
		{"a date alone", "sub alice before 2030-01-31", `line 1: "2030-01-31" is no time` + want},
		{"time 0", "sub alice before 0", `line 1: "0" is no time` + want},
		{"milliseconds", "sub alice before 1906542000000", `line 1: "1906542000000" is no time` + want},
		{"a signed time", "sub alice before +5", `line 1: "+5" is no time` + want},
		{"text behind the time", "sub alice before 5 x", `line 1: "x" behind the time` + want},
		{"a token for a jti", "jti " + sign(t, `{@base}`), "line 1: the value looks like a token: want its jti or sub"},
		{"a token alone", sign(t, `{@base}`), "line 1: [secret]" + want},
		{"not UTF-8", "jti \xff", "line 1: not UTF-8" + want},
		{"a long line", "jti a\njti " + repeat("x", 9000), "line 2: too long: want less than 8192 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if l, err := readDenyList(strings.NewReader(tt.text), maxDenied); err == nil || err.Error() != tt.want || l != nil {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

// Whatever the text is: a list that is read holds every plain line of it, and an error is one line that shows no token.
func FuzzDenyList(f *testing.F) {
	for _, s := range []string{"", "jti a\nsub b before 5\n", "# x\n\n jti \"\\u0061 b\" # y\r\n", "sub \"a\" before 2030-01-31T12:00:00.5+01:00", "jti a\njti a", "jti eyJhbGciOi.eyJh.x", "sub a before -1", "jti \x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := readDenyList(strings.NewReader(text), maxDenied)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || !strings.HasPrefix(err.Error(), "line ") || strings.Contains(err.Error(), "eyJ") || len(err.Error()) > 250 {
				t.Errorf("a message that is none: %q", err)
			}
			return
		}
		if !slices.IsSortedFunc(l.ids, digest.compare) {
			t.Error("the jtis are in no order")
		}
		entries := 0
		for line := range strings.SplitSeq(text, "\n") {
			fields := strings.Fields(line)
			if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
				continue
			}
			entries++
			if fields[0] == "jti" && len(fields) == 2 && !strings.HasPrefix(fields[1], `"`) && !l.denies(&claims{hasID: true, id: fields[1]}) {
				t.Errorf("%q is not denied", fields[1])
			}
			if fields[0] == "sub" && len(fields) == 4 && !strings.HasPrefix(fields[1], `"`) && !l.denies(&claims{subject: fields[1]}) {
				t.Errorf("tokens of %q are not denied", fields[1])
			}
		}
		if ids, subjects := l.Size(); ids+subjects > entries || (entries > 0) != (ids+subjects > 0) {
			t.Errorf("%d jtis and %d subjects of %d lines", ids, subjects, entries)
		}
		if more, err := readDenyList(strings.NewReader(text+"\njti the-last"), maxDenied); err != nil || !more.deniesID("the-last") {
			t.Errorf("with one more line: %v", err)
		}
	})
}
