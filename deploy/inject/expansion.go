package inject

import (
	"regexp"
	"strings"
)

// reference is how a value refers to another variable; $$ stands for a dollar sign.
var reference = regexp.MustCompile(`\$\$|\$\(([^()$]+)\)`)

// escapeReferences keeps the kubelet from reading $(X) in a value.
func escapeReferences(value string) string { return strings.ReplaceAll(value, "$(", "$$(") }

// textOf is an environment entry's own text. As for the kubelet, one that is empty gives way to valueFrom.
func textOf(entry map[string]any) (string, bool) {
	text, ok := entry["value"].(string)
	return text, ok && (text != "" || entry["valueFrom"] == nil)
}

// literalOf is what the container will see as the variable's value, where plain text alone decides it.
func literalOf(c container, name string) (string, bool) {
	entry, at := c.env(name)
	text, ok := textOf(entry)
	if !ok {
		return "", false
	}
	return c.expand(text, at, nil)
}

// expand writes out the references in a value as the kubelet does, as far as plain text goes: each sees the last entry of
// its name before the given index. References to the moved names stay, for injection gives them new values; where nothing
// of that name stands before, they see the old value, from elsewhere. It tells whether no reference was left.
func (c container) expand(value string, before int, moved []string) (text string, whole bool) {
	whole = true
	text = reference.ReplaceAllStringFunc(value, func(match string) string {
		if match == "$$" {
			return "$"
		}
		name := match[2 : len(match)-1]
		at := c.entryBefore(name, before)
		for _, m := range moved {
			if m == name && (at >= 0 || before == len(list(c.fields["env"]))) {
				whole = false
				return match
			} else if m == name {
				whole = false
				return "(" + name + ")"
			}
		}
		if at >= 0 {
			if below, ok := textOf(mapping(list(c.fields["env"])[at])); ok {
				below, all := c.expand(below, at, moved)
				whole = whole && all
				return below
			}
		}
		whole = false
		return match
	})
	return text, whole
}

// entryBefore is the index of the last environment entry of that name before an index; -1 where there is none.
func (c container) entryBefore(name string, before int) int {
	entries := list(c.fields["env"])
	for i := before - 1; i >= 0; i-- {
		if mapping(entries[i])["name"] == name {
			return i
		}
	}
	return -1
}
