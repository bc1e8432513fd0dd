package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const original = `package small

type limit int

func over(n, most limit, off bool) bool {
	if off {
		return false
	}
	n++
	return n > most-1 && !off
}
`

// Every place is mutated once, and the text around it stays.
func TestMutate(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "small.go"), []byte(original), 0o600); err != nil {
		t.Fatal(err)
	}
	sources, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var mutants []*mutant
	text := string(sources["small.go"].mutate(&mutants))
	var names []string
	for _, m := range mutants {
		names = append(names, m.String())
	}
	want := []string{
		"small.go: over: n++ -> nothing", "small.go: over: off -> !off", "small.go: over: false -> !false",
		"small.go: over: n > most-1 && !off -> n > most-1", "small.go: over: n > most-1 && !off -> !off",
		"small.go: over: n > most-1 -> n >= most-1", "small.go: over: n > most-1 -> n <= most-1",
		"small.go: over: most-1 -> most + 1", "small.go: over: !off -> off",
	}
	if strings.Join(names, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
	for _, part := range []string{
		"if mutantKeeps(1) { n++ }",
		"if mutantBool(2, func() bool { return off }, func() bool { return !off }) {",
		"n > mutantValue(8, func() limit { return most-1 }, func() limit { return most + 1 })",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

func TestNoticedBy(t *testing.T) {
	for out, want := range map[string]string{
		"ok\n": "", "--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/b (0.00s)\nFAIL\n": "TestA", "x\n    --- FAIL: TestA/b (0.00s)\n": "TestA/b",
		"panic: test timed out after 20s\n\trunning tests:\n": "panic: test timed out after 20s", "goleak: Errors on successful test run: x\n": "goleak: Errors on successful test run: x",
		"fatal error: all goroutines are asleep - deadlock!\n": "fatal error: all goroutines are asleep - deadlock!",
	} {
		if got := noticedBy([]byte(out)); got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
}

func TestSurvivors(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		ok         bool
	}{
		{"# why\na: b: c\n", "why", true},
		{"# why\n\n# because\na: b: c\n", "because", true},
		{"a: b: c\n", "", false},
	} {
		known, err := readSurvivors(tt.text)
		if (err == nil) != tt.ok || known["a: b: c"] != tt.want {
			t.Errorf("%q: %v, %v", tt.text, known, err)
		}
	}
	m := &mutant{file: "a", function: "b", what: "c", reached: true}
	var out strings.Builder
	for _, tt := range []struct {
		alive []*mutant
		known map[string]string
		ok    bool
	}{
		{[]*mutant{m}, nil, false},
		{[]*mutant{m}, map[string]string{"a: b: c": "why"}, true},
		{nil, map[string]string{"a: b: c": "why"}, false},
		{nil, nil, true},
	} {
		if err := report(&out, []*mutant{m}, tt.alive, tt.known); (err == nil) != tt.ok {
			t.Errorf("%v of %v: %v", tt.alive, tt.known, err)
		}
	}
}
