package inject

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// cut is a piece of the text to be written anew.
type cut struct {
	start, end int
	text       string
	depth      int // of additions at one place, what is deeper ends first
}

// apply writes the edits below base (the path of a Pod or of a template) into the document's text.
func (d *document) apply(base string, edits []edit) (string, error) {
	var cuts []cut
	grouped := map[string][]edit{} // additions to one place belong together
	var order []string
	for _, e := range edits {
		if e.replace {
			c, err := d.replacement(base, e)
			if err != nil {
				return "", err
			}
			c.depth = len(d.text) // deeper than any addition
			cuts = append(cuts, c)
			continue
		}
		place := parent(e.path)
		if _, present := grouped[place]; !present {
			order = append(order, place)
		}
		grouped[place] = append(grouped[place], e)
	}
	for _, place := range order {
		c, err := d.addition(base+place, grouped[place])
		if err != nil {
			return "", err
		}
		c.depth = len(keysOf(place + "/"))
		cuts = append(cuts, c)
	}
	return d.write(cuts), nil
}

// write makes the cuts.
func (d *document) write(cuts []cut) string {
	slices.SortStableFunc(cuts, func(a, b cut) int { return cmp.Or(a.start-b.start, b.depth-a.depth) })
	var b strings.Builder
	at := 0
	for _, c := range cuts {
		b.WriteString(d.text[at:c.start])
		b.WriteString(c.text)
		at = c.end
	}
	b.WriteString(d.text[at:])
	return b.String()
}

// find follows a path to an entry. The parent is the mapping or sequence that holds it.
func (d *document) find(path string) (parent *node, e *entry, err error) {
	n := d.root
	e = &entry{value: n, column: -2}
	if path == "" {
		return nil, e, nil
	}
	for _, key := range keysOf(path) {
		parent = n
		switch {
		case n.mapping:
			e = n.field(key)
		case n.sequence:
			if i, ok := index(key, len(n.entries)); ok {
				e = n.entries[i]
			} else {
				e = nil
			}
		default:
			e = nil
		}
		if e == nil {
			return nil, nil, notHere(path)
		}
		n = e.value
	}
	return parent, e, nil
}

func notHere(path string) error {
	return fmt.Errorf("%s: is an alias or merged from elsewhere: write it out", path)
}

// replacement writes a value, or a whole entry under a new key, in the place of the old one.
func (d *document) replacement(base string, e edit) (cut, error) {
	parent, old, err := d.find(base + e.path)
	if err != nil {
		return cut{}, err
	}
	key := last(e.path)
	if e.rename != "" {
		key = e.rename
	}
	indent := strings.Repeat(" ", old.column)
	switch {
	case parent.flow && e.rename == "":
		return cut{start: max(old.value.start, old.colon), end: old.value.end, text: spaced(old) + flow(e.value, "", false)}, nil
	case parent.flow:
		return cut{start: old.start, end: old.end(), text: flow(key, "", false) + ": " + flow(e.value, "", false)}, nil
	case e.rename == "" && isScalar(e.value):
		return cut{start: old.value.start, end: old.value.end, text: spaced(old) + scalar(e.value)}, nil
	case e.rename == "":
		return cut{start: old.colon, end: old.end(), text: strings.TrimPrefix(blockField("k", e.value, indent), "k:")}, nil
	}
	return cut{start: old.start, end: old.end(), text: blockField(key, e.value, indent)}, nil
}

// spaced is the space that a value needs where there was none.
func spaced(e *entry) string {
	if e.value.start == e.colon {
		return " "
	}
	return ""
}

// addition writes entries to the end of a mapping or list.
func (d *document) addition(place string, edits []edit) (cut, error) {
	_, e, err := d.find(place)
	if err != nil {
		return cut{}, err
	}
	n := e.value
	if n.alias || len(n.entries) == 0 && !n.flow {
		return cut{}, notHere(place)
	}
	if n.flow {
		return d.flowAddition(n, edits), nil
	}
	first := n.entries[0]
	indent := strings.Repeat(" ", first.column)
	var lines []string
	for _, e := range edits {
		if n.sequence {
			lines = append(lines, indent+"- "+block(e.value, indent+"  "))
		} else {
			lines = append(lines, indent+blockField(last(e.path), e.value, indent))
		}
	}
	text := strings.Join(lines, "\n")
	at := n.end + len(d.line(n.end))
	if at < len(d.text) {
		return cut{start: at + 1, end: at + 1, text: text + "\n"}, nil
	}
	return cut{start: at, end: at, text: "\n" + text}, nil // the last line has no end, and shall have none
}

func (d *document) flowAddition(n *node, edits []edit) cut {
	at, separator, indent := n.start+1, "", ""
	if len(n.entries) > 0 {
		end := n.entries[len(n.entries)-1]
		at, separator = end.end(), ", "
		if end.own && strings.Contains(d.text[n.start:end.start], "\n") {
			indent = d.text[strings.LastIndexByte(d.text[:end.start], '\n')+1 : end.start]
			separator = ",\n" + indent
		}
	}
	var b strings.Builder
	for i, e := range edits {
		if i > 0 && separator == "" {
			b.WriteString(", ")
		}
		b.WriteString(separator)
		if n.mapping {
			b.WriteString(flow(last(e.path), "", false) + ": ")
		}
		b.WriteString(flow(e.value, indent, strings.Contains(separator, "\n")))
	}
	return cut{start: at, end: at, text: b.String()}
}

// removal takes an entry out: its lines, or its part of a flow.
func (d *document) removal(path string) (cut, error) {
	parent, e, err := d.find(path)
	if err != nil {
		return cut{}, err
	}
	if parent.flow {
		i := slices.Index(parent.entries, e)
		switch {
		case i > 0:
			return cut{start: parent.entries[i-1].end(), end: e.end()}, nil
		case len(parent.entries) > 1:
			return cut{start: e.start, end: parent.entries[1].start}, nil
		}
		return cut{start: e.start, end: e.end()}, nil
	}
	if !e.own {
		return cut{}, fmt.Errorf("%s: does not stand on lines of its own: take it out by hand", path)
	}
	end := e.end() + len(d.line(e.end())) + 1
	return cut{start: e.start - e.column, end: min(end, len(d.text))}, nil
}

// raw is the text of the entry at a path, with its key.
func (d *document) raw(path string) (string, error) {
	_, e, err := d.find(path)
	if err != nil {
		return "", err
	}
	return d.text[e.start:e.end()], nil
}

// restore undoes an injection of the Pod or template at base.
func (d *document) restore(base string, u undo) (string, error) {
	pod, _ := lookUp(d.value, base)
	gone := map[string]bool{}
	for _, path := range u.Remove {
		if found, ok := indexed(path, pod); ok {
			gone[found] = true
		}
	}
	for _, path := range u.Empty {
		if found, ok := indexed(path, pod); ok && emptied(found, pod, gone) {
			for _, below := range under(found, gone) {
				delete(gone, below)
			}
			gone[found] = true
		}
	}
	var cuts []cut
	for path, original := range u.Restore {
		found, ok := indexed(path, pod)
		text, isText := original.(string)
		if !ok {
			continue // someone took it out already
		}
		if !isText {
			return "", fmt.Errorf("annotation %s: was written by the webhook: undo it where the Pod comes from", annotationOriginal)
		}
		if below := under(found, gone); len(below) > 0 { // it was null: so it is again, if nobody else filled it
			if !emptied(found, pod, gone) {
				continue
			}
			for _, path := range below {
				delete(gone, path)
			}
		}
		_, e, err := d.find(base + found)
		if err != nil {
			return "", err
		}
		cuts = append(cuts, cut{start: e.start, end: e.end(), text: text})
	}
	for path := range gone {
		c, err := d.removal(base + path)
		if err != nil {
			return "", err
		}
		cuts = append(cuts, c)
	}
	cuts = merged(cuts)
	if n := len(cuts); n > 0 && cuts[n-1].text == "" && cuts[n-1].end == len(d.text) && !strings.HasSuffix(d.text, "\n") {
		cuts[n-1].start-- // the last line has no end, and shall have none
	}
	return d.write(cuts), nil
}

func under(path string, all map[string]bool) (below []string) {
	for p := range all {
		if strings.HasPrefix(p, path+"/") {
			below = append(below, p)
		}
	}
	return below
}

// emptied tells whether nothing of the mapping or list at a path stays.
func emptied(path string, pod any, gone map[string]bool) bool {
	v, _ := lookUp(pod, path)
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			if !gone[path+pointer(key)] {
				return false
			}
		}
	case []any:
		for i := range v {
			if !gone[path+fmt.Sprintf("/%d", i)] {
				return false
			}
		}
	default:
		return false
	}
	return true
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
