package inject

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// writer writes a value as YAML in a style that is drawn anew at every turn: block or flow, quotes, indentation, comments.
type writer struct {
	t      *rapid.T
	indent int  // of mappings
	dashes int  // of lists under their key
	flows  bool // flow style may turn up
}

func (w writer) chance(percent int) bool { return rapid.IntRange(0, 99).Draw(w.t, "chance") < percent }

// comment is a comment at the end of a line, or nothing.
func (w writer) comment() string {
	if w.chance(10) {
		return " # é: {comment"
	}
	return ""
}

// line is one that means nothing, or none.
func (w writer) line(indent int) string {
	switch rapid.IntRange(0, 19).Draw(w.t, "line") {
	case 0:
		return "\n"
	case 1:
		return strings.Repeat(" ", indent) + "# - name: 'comment\n"
	case 2:
		return "# at the margin\n"
	}
	return ""
}

func (w writer) text(s string) string {
	switch rapid.IntRange(0, 2).Draw(w.t, "quotes") {
	case 0:
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	case 1:
		return quoted(s)
	}
	text, _ := json.Marshal(s)
	return string(text)
}

func (w writer) flow(v any) string {
	var parts []string
	switch v := v.(type) {
	case object:
		for _, f := range v {
			parts = append(parts, w.text(f.name)+": "+w.flow(f.value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		for _, item := range v {
			parts = append(parts, w.flow(item))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case string:
		return w.text(v)
	}
	return fmt.Sprint(v)
}

// value writes what stands behind a colon or dash, with its line end.
func (w writer) value(v any, indent int) string {
	if w.flows && w.chance(10) {
		return " " + w.flow(v) + w.comment() + "\n"
	}
	switch v := v.(type) {
	case object:
		if len(v) > 0 {
			return w.comment() + "\n" + w.mapping(v, indent+w.indent, false)
		}
		return " {}\n"
	case []any:
		if len(v) > 0 {
			return w.comment() + "\n" + w.list(v, indent+w.dashes)
		}
		return " []" + w.comment() + "\n"
	case string:
		if strings.HasSuffix(v, "\n") {
			margin := strings.Repeat(" ", indent+w.indent)
			return " |\n" + margin + strings.ReplaceAll(strings.TrimSuffix(v, "\n"), "\n", "\n"+margin) + "\n"
		}
		return " " + w.text(v) + w.comment() + "\n"
	case nil:
		return w.comment() + "\n"
	}
	return fmt.Sprintf(" %v%s\n", v, w.comment())
}

func (w writer) mapping(o object, indent int, begun bool) string {
	var b strings.Builder
	for i, f := range o {
		if i > 0 || !begun {
			b.WriteString(w.line(indent) + strings.Repeat(" ", indent))
		}
		b.WriteString(f.name + ":" + w.value(f.value, indent))
	}
	return b.String()
}

func (w writer) list(l []any, indent int) string {
	var b strings.Builder
	for _, item := range l {
		b.WriteString(w.line(indent) + strings.Repeat(" ", indent) + "-")
		if o, ok := item.(object); ok && len(o) > 0 && (!w.flows || !w.chance(10)) {
			space := rapid.IntRange(1, 3).Draw(w.t, "space")
			b.WriteString(strings.Repeat(" ", space) + w.mapping(o, indent+1+space, true))
		} else {
			b.WriteString(w.value(item, indent))
		}
	}
	return b.String()
}

// gatewayPod draws a template of Pods with a gateway in it.
func gatewayPod(t *rapid.T) object {
	draw := func(o *object, name string, values ...any) {
		if i := rapid.IntRange(-1, len(values)-1).Draw(t, name); i >= 0 {
			*o = append(*o, field{name, values[i]})
		}
	}
	shuffled := func(o object) object { return rapid.Permutation(o).Draw(t, "order") }
	variable := func(name, value string) object { return object{{"name", name}, {"value", value}} }
	from := object{{"name", "HOST"}, {"valueFrom", object{{"configMapKeyRef", object{{"name", "c"}, {"key", "k"}}}}}}
	gateway := object{{"name", "gateway"}, {"image", "ghcr.io/ibm/mcp-context-forge:0.9.0"}, {"ports", []any{object{{"containerPort", 4444}}}}}
	draw(&gateway, "env", nil, []any{}, []any{variable("JWT_ISSUER", "it's: \"a\"")}, []any{from, variable("A", "b\nc # d\n")}, []any{variable("PORT", "4444"), variable("HOST", "x")})
	draw(&gateway, "envFrom", []any{object{{"secretRef", object{{"name", "s"}}}}, object{{"configMapRef", object{{"name", "c"}}}, {"prefix", "P_"}}})
	draw(&gateway, "livenessProbe", object{{"tcpSocket", object{{"port", 4444}}}, {"periodSeconds", 3}}, object{{"httpGet", object{{"path", "/version"}, {"port", 4444}}}})
	draw(&gateway, "lifecycle", nil, object{}, object{{"postStart", object{{"exec", object{{"command", []any{"sh", "-c", "echo\n# 1\n"}}}}}}})
	other := object{{"name", "other"}, {"image", "example.com/other:1"}, {"args", []any{"a # b", "text\n\n  more\n"}}}
	spec := object{{"containers", rapid.Permutation([]any{shuffled(gateway), shuffled(other)}).Draw(t, "containers")}}
	draw(&spec, "initContainers", nil, []any{object{{"name", "migrate"}, {"image", "example.com/migrate:1"}}})
	draw(&spec, "terminationGracePeriodSeconds", 5, 300)
	draw(&spec, "volumes", []any{}, []any{object{{"name", "v"}, {"emptyDir", object{}}}})
	metadata := object{{"labels", object{{"app", "gateway"}}}}
	draw(&metadata, "annotations", nil, object{}, object{{"a", "b"}, {"c", "d\n"}})
	return object{{"metadata", shuffled(metadata)}, {"spec", shuffled(spec)}}
}

// Whatever the style of a manifest: it is injected, the text then says what the decision says, injecting again changes
// nothing, and taking the sidecar out gives the first bytes back.
func TestEveryStyleIsEditedInPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := writer{t: t, indent: rapid.IntRange(1, 4).Draw(t, "indent"), dashes: rapid.IntRange(0, 3).Draw(t, "dashes"), flows: rapid.Bool().Draw(t, "flows")}
		text := w.mapping(object{{"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"metadata", object{{"name", "gateway"}}}, {"spec", object{{"template", gatewayPod(t)}}}}, 0, false)
		other := "# nothing to do here\nkind:   ConfigMap\ndata: {a: 1,   b: [ ]}\n"
		text = rapid.SampledFrom([]string{text, "---\n" + text, other + "---\n" + text, text + "---\n" + other, text + "...\n---\n"}).Draw(t, "stream")
		if rapid.Bool().Draw(t, "no end") && !slices.ContainsFunc([]string{"more\n", " d\n", "# 1\n", "# d\n"}, func(s string) bool { return strings.HasSuffix(text, s) }) { // of a block scalar, the end would change the value
			text = strings.TrimRight(text, "\n")
		}
		if rapid.Bool().Draw(t, "CRLF") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		r, err := Manifests([]byte(text), options)
		if err != nil {
			t.Fatalf("%v\n%q", err, text)
		}
		if len(r.Injected) != 1 {
			t.Fatalf("injected %v", r.Injected)
		}
		again, err := Manifests(r.Text, options)
		if err != nil || string(again.Text) != string(r.Text) {
			t.Fatalf("inject of inject differs: %v\n%s", err, again.Text)
		}
		back, err := Restore(r.Text)
		if err != nil || string(back) != text {
			t.Fatalf("uninject: %v\n%q\nwant\n%q", err, back, text)
		}
	})
}
