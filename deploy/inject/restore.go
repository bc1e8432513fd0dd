package inject

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// restoration is an undo for a Pod as it is now, whose items may have moved.
type restoration struct {
	gone map[string]bool     // paths of what goes
	back map[string]original // what comes back, by where its replacement stands
}

// original is an entry that was replaced.
type original struct {
	key   string
	value any
	text  string // with its key; empty where the webhook wrote it down, or where it can't stand alone
}

// restore undoes an injection of the Pod or template at base. The first text is put back where it still means the same;
// where the document was written anew since, in other indentation or as JSON, its value is.
func (d *document) restore(base string, u undo) (*document, error) {
	pod, _ := lookUp(d.value, base)
	r, err := u.resolve(pod)
	if err != nil {
		return nil, err
	}
	return d.without(base, r)
}

// without writes the document's text without an injection.
func (d *document) without(base string, r restoration) (_ *document, err error) {
	pod, _ := lookUp(d.value, base)
	wanted := d.restored(pod, base, "", r)
	if base != "" {
		wanted = changed(d.value, keysOf(base), edit{value: wanted})
	}
	for _, verbatim := range []bool{true, false} {
		var text string
		if text, err = d.rewrite(base, r, verbatim); err != nil {
			continue
		}
		var after *document
		if after, err = parse(text); err != nil {
			continue
		}
		if after.json == d.json && same(after.value, wanted) {
			return after, nil
		}
		err = errors.New("its text changed since")
	}
	return nil, fmt.Errorf("can't be restored (%w): take the sidecar out by hand", err)
}

// resolve finds where everything of an undo stands now.
func (u undo) resolve(pod any) (r restoration, err error) {
	r = restoration{gone: map[string]bool{}, back: map[string]original{}}
	for _, path := range u.Remove {
		if found, ok := indexed(path, pod); ok {
			r.gone[found] = true
		}
	}
	for _, path := range u.Empty {
		if found, ok := indexed(path, pod); ok && r.empties(found, pod) {
			for _, below := range r.under(found) {
				delete(r.gone, below)
			}
			r.gone[found] = true
		}
	}
	for path, written := range u.Restore {
		found, ok := indexed(path, pod)
		if !ok {
			continue // someone took it out already
		}
		first, err := originalOf(written)
		if err != nil {
			return r, err
		}
		if below := r.under(found); len(below) > 0 { // it was null: so it is again, if nobody else filled it
			if !r.empties(found, pod) {
				continue
			}
			for _, path := range below {
				delete(r.gone, path)
			}
		}
		r.back[found] = first
	}
	return r, nil
}

// originalOf reads an entry of the annotation: a text, or an object of one field.
func originalOf(written any) (o original, err error) {
	text, isText := written.(string)
	if isText {
		d, err := parse(text)
		if err != nil || len(mapping(d.value)) != 1 {
			if d, err = parse("{" + text + "}"); err != nil { // a field of a flow
				return o, errOriginal
			}
		}
		written = d.value
	}
	m := mapping(written)
	if len(m) != 1 {
		return o, errOriginal
	}
	for key, value := range m {
		o = original{key, value, text}
	}
	return o, nil
}

func (r restoration) under(path string) (below []string) {
	for p := range r.gone {
		if strings.HasPrefix(p, path+"/") {
			below = append(below, p)
		}
	}
	return below
}

// empties tells whether nothing of the mapping or list at a path stays.
func (r restoration) empties(path string, pod any) bool {
	v, _ := lookUp(pod, path)
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			if !r.gone[path+pointer(key)] {
				return false
			}
		}
	case []any:
		for i := range v {
			if !r.gone[path+fmt.Sprintf("/%d", i)] {
				return false
			}
		}
	default:
		return false
	}
	return true
}

// restored is the value at a path below base without the injection: what the restored text must say.
func (d *document) restored(v any, base, path string, r restoration) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for key, value := range v {
			at := path + pointer(key)
			if first, ok := r.back[at]; ok {
				m[first.key] = first.value
			} else if !r.gone[at] {
				m[key] = d.restored(value, base, at, r)
			}
		}
		if len(m) == 0 && len(v) > 0 && !d.isFlow(base+path) {
			return nil // a key with nothing behind it
		}
		return m
	case []any:
		var l []any
		for i, item := range v {
			if at := path + fmt.Sprintf("/%d", i); !r.gone[at] {
				l = append(l, d.restored(item, base, at, r))
			}
		}
		return l
	}
	return v
}

func (d *document) isFlow(path string) bool {
	_, e, err := d.find(path)
	return err == nil && e.value.flow
}

// rewrite is the restored text: with the first texts, or with their values.
func (d *document) rewrite(base string, r restoration, verbatim bool) (string, error) {
	var cuts []cut
	for path, first := range r.back {
		around, e, err := d.find(base + path)
		if err != nil {
			return "", err
		}
		c := rewritten(around, e, first.key, first.value)
		if verbatim && first.text != "" {
			c.text = first.text
		}
		cuts = append(cuts, c)
	}
	for path := range r.gone {
		c, err := d.removal(base+path, func(key string) bool { return r.gone[parent(path)+pointer(key)] })
		if err != nil {
			return "", err
		}
		cuts = append(cuts, c)
	}
	cuts = merged(cuts)
	if n := len(cuts); n > 0 && cuts[n-1].text == "" && cuts[n-1].end == len(d.text) && !strings.HasSuffix(d.text, "\n") {
		cuts[n-1].start-- // the last line has no end, and shall have none
	}
	return d.write(cuts)
}

// merged joins removals that touch, as those of neighbours in a flow do.
func merged(cuts []cut) (joined []cut) {
	slices.SortStableFunc(cuts, func(a, b cut) int { return a.start - b.start })
	for _, c := range cuts {
		if n := len(joined); n > 0 && joined[n-1].text == "" && c.text == "" && c.start <= joined[n-1].end {
			joined[n-1].end = max(joined[n-1].end, c.end)
			continue
		}
		joined = append(joined, c)
	}
	return joined
}
