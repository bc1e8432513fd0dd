package inject

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// plainText needs no quotes in any version of YAML: kubectl reads YAML 1.1, where yes, 012 and 1:30 aren't text.
var plainText = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@-]*(:[A-Za-z0-9_./@-]+)*$`)

var otherThanText = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}

func quoted(s string) string {
	if plainText.MatchString(s) && !slices.Contains(otherThanText, strings.ToLower(s)) {
		return s
	}
	if strings.Contains(s, `"`) && !strings.Contains(s, "'") && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "'" + s + "'" // JSON in a string stays readable
	}
	text, _ := marshal(s)
	return string(text)
}

// block writes a value in block style. Its first line is written where the text stands; later ones get the indentation.
func block(v any, indent string) string {
	var b strings.Builder
	switch v := ordered(v).(type) {
	case object:
		for i, f := range v {
			if i > 0 {
				b.WriteString("\n" + indent)
			}
			b.WriteString(blockField(f.name, f.value, indent))
		}
	case []any:
		for i, item := range v {
			if i > 0 {
				b.WriteString("\n" + indent)
			}
			b.WriteString("- " + block(item, indent+"  "))
		}
	default:
		return scalar(v)
	}
	return b.String()
}

// blockField writes a key with its value, which stands behind it if it is short and below it if not.
func blockField(key string, value any, indent string) string {
	switch v := ordered(value).(type) {
	case object:
		if len(v) > 0 {
			return quoted(key) + ":\n" + indent + "  " + block(v, indent+"  ")
		}
		return quoted(key) + ": {}"
	case []any:
		if !slices.ContainsFunc(v, func(item any) bool { return !isScalar(item) }) {
			var words []string
			for _, item := range v {
				words = append(words, scalar(item))
			}
			return quoted(key) + ": [" + strings.Join(words, ", ") + "]"
		}
		return quoted(key) + ":\n" + indent + block(v, indent)
	}
	return quoted(key) + ": " + scalar(value)
}

func isScalar(v any) bool {
	switch ordered(v).(type) {
	case object, []any:
		return false
	}
	return true
}

func scalar(v any) string {
	if s, ok := v.(string); ok {
		return quoted(s)
	}
	if v == nil {
		return "null"
	}
	return fmt.Sprint(v)
}

// ordered gives a decoded mapping an order: its name first, then the alphabet's.
func ordered(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	o := object{}
	for name, value := range m {
		o = append(o, field{name, value})
	}
	slices.SortFunc(o, func(a, b field) int {
		if (a.name == "name") != (b.name == "name") {
			if a.name == "name" {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return o
}

// flow writes a value as JSON, which is YAML, too: on one line, or over several with the given indentation.
func flow(v any, indent string, lines bool) string {
	text, _ := marshal(v)
	if !lines {
		return string(text)
	}
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent(indent, "  ")
	_ = e.Encode(v) // of our own types: can't fail
	return strings.TrimRight(out.String(), "\n")
}
