package inject

import (
	"strings"
)

// edit is one change at a place: an addition below a mapping or to a list, or a replacement, which may also rename the
// key. JSON patches and edits of text are both made from it.
type edit struct {
	path    string // JSON pointer; its last key is - for an addition to a list
	value   any
	replace bool
	rename  string // with replace: the entry's new key
}

// target is where the edit's value stands afterwards.
func (e edit) target() string {
	if e.rename == "" {
		return e.path
	}
	return parent(e.path) + pointer(e.rename)
}

func parent(path string) string { return path[:strings.LastIndexByte(path, '/')] }
func last(path string) string   { keys := keysOf(path); return keys[len(keys)-1] }

// operations are the edits as RFC 6902 wants them.
func operations(edits []edit) (ops []Operation) {
	for _, e := range edits {
		switch {
		case e.rename != "":
			ops = append(ops, Operation{Op: "remove", Path: e.path}, Operation{Op: "add", Path: e.target(), Value: e.value})
		case e.replace:
			ops = append(ops, Operation{Op: "replace", Path: e.path, Value: e.value})
		default:
			ops = append(ops, Operation{Op: "add", Path: e.path, Value: e.value})
		}
	}
	return ops
}

func (p *plan) add(path string, value any) { p.edits = append(p.edits, edit{path: path, value: value}) }
func (p *plan) replace(path string, value any) {
	p.edits = append(p.edits, edit{path: path, value: value, replace: true})
}

// set adds the key to the mapping at path, or replaces its value.
func (p *plan) set(path, key string, value any) {
	if v, present := at(p.pod, path)[key]; !present {
		p.add(path+pointer(key), value)
	} else if v != value {
		p.replace(path+pointer(key), value)
	}
}

// addAll adds fields to the mapping called key below path, which may be missing or null.
func (p *plan) addAll(path, key string, fields object) {
	below, present := at(p.pod, path)[key]
	switch m, _ := below.(map[string]any); {
	case m != nil:
		for _, f := range fields {
			p.set(path+pointer(key), f.name, f.value)
		}
	case at(p.pod, path) == nil: // no metadata at all
		if _, null := lookUp(p.pod, path); null {
			p.replace(path, object{{key, fields}})
		} else {
			p.add(path, object{{key, fields}})
		}
	case present:
		p.replace(path+pointer(key), fields)
	default:
		p.add(path+pointer(key), fields)
	}
}

// appendAll adds items to the list called key below path, which may be missing or null.
func (p *plan) appendAll(path, key string, items ...any) {
	below, present := at(p.pod, path)[key]
	switch {
	case len(items) == 0:
	case len(list(below)) > 0:
		for _, item := range items {
			p.add(path+pointer(key, "-"), item)
		}
	case present:
		p.replace(path+pointer(key), items)
	default:
		p.add(path+pointer(key), items)
	}
}

// at is the mapping at a JSON pointer; nil where there is none.
func at(v any, path string) map[string]any {
	m, _ := lookUp(v, path)
	found, _ := m.(map[string]any)
	return found
}

// lookUp follows a JSON pointer through decoded JSON or YAML. An item of a list is named by its index.
func lookUp(v any, path string) (any, bool) {
	if path == "" {
		return v, true
	}
	for _, key := range keysOf(path) {
		switch below := v.(type) {
		case map[string]any:
			next, present := below[key]
			if !present {
				return nil, false
			}
			v = next
		case []any:
			i, ok := index(key, len(below))
			if !ok {
				return nil, false
			}
			v = below[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func index(key string, length int) (int, bool) {
	i := 0
	for _, digit := range key {
		if digit < '0' || digit > '9' || i > length {
			return 0, false
		}
		i = i*10 + int(digit-'0')
	}
	return i, key != "" && i < length
}
