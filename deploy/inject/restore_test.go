package inject

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// anew writes a stream in another form: the objects are the same, no byte need be.
var anew = []struct {
	name  string
	write func(values []any) string
}{
	{"pretty JSON", func(values []any) (s string) {
		return joined(values, "", func(v any) string { return flow(v, "", true) })
	}},
	{"compact JSON", func(values []any) (s string) {
		return joined(values, "", func(v any) string { return flow(v, "", false) })
	}},
	{"YAML of two spaces", func(values []any) string {
		return joined(values, "---\n", func(v any) string { return block(v, "") })
	}},
	{"a YAML List, which lies deeper", func(values []any) string {
		return block(object{{"apiVersion", "v1"}, {"kind", "List"}, {"items", values}}, "") + "\n"
	}},
	{"YAML with its keys in the alphabet's order", func(values []any) string {
		return joined(values, "---\n", func(v any) string {
			text, _ := marshal(v)
			text, _ = yaml.JSONToYAML(text)
			return string(text)
		})
	}},
	{"YAML in flow style", func(values []any) string {
		return joined(values, "--- # flow\n", func(v any) string { return flow(v, "  ", true) })
	}},
}

func joined(values []any, before string, write func(any) string) string {
	var b strings.Builder
	for _, v := range values {
		b.WriteString(before + write(v) + "\n")
	}
	return b.String()
}

// values are the objects of a stream, those of Lists one by one.
func values(t *testing.T, text string) (all []any) {
	t.Helper()
	s, err := split([]byte(text))
	if err != nil || len(s.notes) > 0 {
		t.Fatalf("%v %v: %s", err, s.notes, text)
	}
	for _, p := range s.pieces {
		for _, r := range resources(p.value(), "") {
			if r.value != nil {
				all = append(all, r.value)
			}
		}
	}
	return all
}

// An injected object that a server or another tool has written anew is restored to the same object, and injected anew to
// the same.
func TestRestoreOfWhatWasWrittenAnew(t *testing.T) {
	for _, m := range manifests(t) {
		if m.refused != "" {
			continue
		}
		r, err := Manifests(m.text, m.options)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Injected) == 0 || len(r.Notes) > 0 && strings.Contains(strings.Join(r.Notes, " "), "not readable") {
			continue
		}
		before, injected := values(t, string(m.text)), values(t, string(r.Text))
		for _, form := range anew {
			t.Run(m.name+" as "+form.name, func(t *testing.T) {
				text := form.write(injected)
				text = strings.ReplaceAll(text, ": a\tb", `: "a\tb"`) // as kubectl writes it
				back, err := Restore([]byte(text))
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				if got := values(t, string(back)); !same(cleared(got), cleared(before)) {
					t.Errorf("restored to\n%s\nfrom\n%s", back, text)
				}
				again, err := Manifests([]byte(text), m.options)
				if err != nil {
					t.Fatal(err)
				}
				if got := values(t, string(again.Text)); !same(cleared(got), cleared(injected)) {
					t.Errorf("injected anew:\n%s", again.Text)
				}
			})
		}
	}
}

// cleared leaves out the annotation that holds texts, and mappings without entries: for Kubernetes they are as good as none.
func cleared(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for key, value := range v {
			if key != annotationOriginal {
				m[key] = cleared(value)
			}
		}
		if len(m) == 0 {
			return nil
		}
		return m
	case []any:
		var l []any
		for _, item := range v {
			l = append(l, cleared(item))
		}
		return l
	}
	return v
}
