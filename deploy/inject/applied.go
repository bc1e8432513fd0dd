package inject

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// applied is a decoded value with edits made below base: what the edited text must say.
func applied(v any, base string, edits []edit) any {
	for _, e := range edits {
		v = changed(v, keysOf(base+e.path), e)
	}
	return v
}

// changed copies what it changes: the value may be in use.
func changed(v any, keys []string, e edit) any {
	key := keys[0]
	switch v := v.(type) {
	case map[string]any:
		m := maps.Clone(v)
		if len(keys) > 1 {
			m[key] = changed(m[key], keys[1:], e)
			return m
		}
		if e.rename != "" {
			delete(m, key)
			key = e.rename
		}
		m[key] = e.value
		return m
	case []any:
		l := slices.Clone(v)
		if key == "-" {
			return append(l, e.value)
		}
		if i, err := strconv.Atoi(key); err == nil && i < len(l) {
			if len(keys) > 1 {
				l[i] = changed(l[i], keys[1:], e)
			} else {
				l[i] = e.value
			}
		}
		return l
	}
	return e.value
}

// same compares values as JSON, in which Kubernetes keeps them.
func same(a, b any) bool {
	x, errX := json.Marshal(sorted(a))
	y, errY := json.Marshal(sorted(b))
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// sorted makes objects of ours plain mappings, whose order JSON doesn't keep.
func sorted(v any) any {
	switch v := v.(type) {
	case object:
		m := map[string]any{}
		for _, f := range v {
			m[f.name] = sorted(f.value)
		}
		return m
	case map[string]any:
		m := map[string]any{}
		for name, value := range v {
			m[name] = sorted(value)
		}
		return m
	case []any:
		var l []any
		for _, item := range v {
			l = append(l, sorted(item))
		}
		return l
	}
	return v
}
