package inject

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
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
	return d.write(cuts)
}

// write makes the cuts.
func (d *document) write(cuts []cut) (string, error) {
	slices.SortStableFunc(cuts, func(a, b cut) int { return cmp.Or(a.start-b.start, b.depth-a.depth) })
	var b strings.Builder
	at := 0
	for _, c := range cuts {
		if c.start < at || c.end < c.start {
			return "", errPlace
		}
		b.WriteString(d.text[at:c.start])
		b.WriteString(c.text)
		at = c.end
	}
	b.WriteString(d.text[at:])
	return b.String(), nil
}

// replacement writes a value, or a whole entry under a new key, in the place of the old one.
func (d *document) replacement(base string, e edit) (cut, error) {
	parent, old, err := d.find(base + e.path)
	if err != nil {
		return cut{}, err
	}
	indent := strings.Repeat(" ", old.column)
	switch {
	case e.rename != "":
		return rewritten(parent, old, e.rename, e.value), nil
	case parent.flow:
		return cut{start: max(old.value.start, old.colon), end: old.value.end, text: spaced(old) + flow(e.value, "", false)}, nil
	case isScalar(e.value):
		return cut{start: old.value.start, end: old.value.end, text: spaced(old) + scalar(e.value)}, nil
	}
	return cut{start: old.colon, end: old.end(), text: strings.TrimPrefix(blockField("k", e.value, indent), "k:")}, nil
}

// rewritten writes an entry anew, with its key.
func rewritten(parent *node, old *entry, key string, value any) cut {
	if parent.flow {
		return cut{start: old.start, end: old.end(), text: flow(key, "", false) + ": " + flow(value, "", false)}
	}
	return cut{start: old.start, end: old.end(), text: blockField(key, value, strings.Repeat(" ", old.column))}
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
	at := n.end + len(d.lineAt(n.end))
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

// removal takes an entry out: its lines, or its part of a flow. There, entries that go as well are told by their keys.
func (d *document) removal(path string, gone func(key string) bool) (cut, error) {
	parent, e, err := d.find(path)
	if err != nil {
		return cut{}, err
	}
	i := slices.Index(parent.entries, e)
	if parent.flow {
		stays := false // anything before it
		for j, before := range parent.entries[:i] {
			stays = stays || !gone(or(before.key, strconv.Itoa(j)))
		}
		switch {
		case stays:
			return cut{start: parent.entries[i-1].end(), end: e.end()}, nil
		case i+1 < len(parent.entries):
			return cut{start: e.start, end: parent.entries[i+1].start}, nil
		}
		return cut{start: e.start, end: e.end()}, nil
	}
	if !e.own { // it stands behind a dash: what stays of its mapping moves up
		for _, next := range parent.entries[i+1:] {
			if parent.mapping && !gone(next.key) {
				return cut{start: e.start, end: next.start}, nil
			}
		}
		return cut{}, fmt.Errorf("%s: does not stand on lines of its own: take it out by hand", path)
	}
	end := e.end() + len(d.lineAt(e.end())) + 1
	return cut{start: e.start - e.column, end: min(end, len(d.text))}, nil
}
