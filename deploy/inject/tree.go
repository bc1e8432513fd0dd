package inject

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"envgate/authz"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// node is a value of a YAML or JSON document with its place in the text, as byte offsets.
type node struct {
	start, end int // of its text; both behind the colon or dash where it has none
	alias      bool
	flow       bool
	mapping    bool
	sequence   bool
	entries    []*entry // of a mapping or sequence
}

// entry is a field of a mapping or an item of a sequence.
type entry struct {
	key    string // of a field
	start  int    // of its key, or of its dash; of the value in a flow sequence
	colon  int    // behind the colon, or the dash
	column int    // of start in its line
	own    bool   // stands first in its line
	value  *node
}

func (e *entry) end() int { return max(e.colon, e.value.end) }

// field finds an entry of a mapping.
func (n *node) field(key string) *entry {
	for _, e := range n.entries {
		if n.mapping && e.key == key {
			return e
		}
	}
	return nil
}

// lines are the offsets at which the lines of a text start.
type lines []int

func linesOf(text string) lines {
	l := lines{0}
	for i, c := range []byte(text) {
		if c == '\n' {
			l = append(l, i+1)
		}
	}
	return l
}

// column is how far from the start of its line an offset is, and whether nothing but indentation stands before it.
func (l lines) column(text string, at int) (column int, own bool) {
	i, found := slices.BinarySearch(l, at)
	if !found {
		i--
	}
	return at - l[i], strings.TrimLeft(text[l[i]:at], " \t") == ""
}

// errPlace says that the library's positions and the text don't agree.
var errPlace = errors.New("a value can't be found in the text: write the document plainly")

// yamlText is a text in which tokens of the library are looked for.
type yamlText struct {
	text  string
	lines lines
	last  struct{ line, column, at int }
}

// yamlPlaces finds where the values of a YAML document stand.
func yamlPlaces(text string, body ast.Node) (*node, error) {
	d := &yamlText{text: text, lines: linesOf(text)}
	n, err := d.node(body, 0, -1)
	if errors.Is(err, errPlace) && strings.Contains(text, "\t") { // the library counts them wrong
		err = errors.New("a value can't be found in the text: write spaces in place of tabs")
	}
	return n, err
}

// offset is where a token starts. The library counts columns in characters.
func (d *yamlText) offset(t *token.Token) (int, error) {
	if t == nil || t.Position == nil || t.Position.Line < 1 || t.Position.Line > len(d.lines) {
		return 0, errPlace
	}
	line, column, at := t.Position.Line, 1, d.lines[t.Position.Line-1]
	if d.last.line == line && d.last.column <= t.Position.Column { // lines of flow style can be long
		column, at = d.last.column, d.last.at
	}
	for ; column < t.Position.Column; column++ {
		if at >= len(d.text) {
			return 0, errPlace
		}
		_, size := utf8.DecodeRuneInString(d.text[at:])
		at += size
	}
	d.last.line, d.last.column, d.last.at = line, column, at
	return at, nil
}

// node finds the place of a value that stands behind the offset after; column is that of the entry it belongs to.
func (d *yamlText) node(n ast.Node, after, column int) (*node, error) {
	found := &node{start: after, end: after}
	switch n := n.(type) {
	case *ast.MappingNode:
		found.mapping, found.flow = true, n.IsFlowStyle
		for _, v := range n.Values {
			if err := d.field(found, v); err != nil {
				return nil, err
			}
		}
		return found, d.enclose(found, n.Start, n.End)
	case *ast.MappingValueNode:
		found.mapping = true
		if err := d.field(found, n); err != nil {
			return nil, err
		}
		return found, d.enclose(found, nil, nil)
	case *ast.SequenceNode:
		found.sequence, found.flow = true, n.IsFlowStyle
		for i, v := range n.Values {
			if err := d.item(found, n, i, v); err != nil {
				return nil, err
			}
		}
		return found, d.enclose(found, n.Start, n.End)
	case *ast.AnchorNode:
		return d.prefixed(n.Start, n.Value, column)
	case *ast.TagNode:
		return d.prefixed(n.Start, n.Value, column)
	case *ast.AliasNode:
		start, err := d.offset(n.Start)
		found.alias, found.start, found.end = true, start, start+len(firstWord(d.text[start:]))
		return found, err
	}
	if n == nil {
		return found, nil
	}
	return found, d.scalar(found, n, column)
}

// prefixed is a value with an anchor or a tag before it.
func (d *yamlText) prefixed(first *token.Token, value ast.Node, column int) (*node, error) {
	start, err := d.offset(first)
	if err != nil {
		return nil, err
	}
	n, err := d.node(value, start+len(firstWord(d.text[start:])), column)
	if n != nil {
		n.start = start
	}
	return n, err
}

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \n,]}"); i >= 0 {
		return s[:i]
	}
	return s
}

func (d *yamlText) field(parent *node, v *ast.MappingValueNode) error {
	start, err := d.offset(v.Key.GetToken())
	if err != nil {
		return err
	}
	colon, err := d.offset(v.Start)
	if err != nil || d.text[colon] != ':' {
		return errPlace
	}
	e := d.entry(start, colon+1)
	key, ok := v.Key.(ast.ScalarNode)
	if ok {
		e.key = fmt.Sprint(key.GetValue())
	}
	e.value, err = d.node(v.Value, colon+1, e.column)
	parent.entries = append(parent.entries, e)
	return err
}

func (d *yamlText) item(parent *node, n *ast.SequenceNode, i int, v ast.Node) (err error) {
	first := v.GetToken()
	if !n.IsFlowStyle {
		if i >= len(n.Entries) {
			return errPlace
		}
		first = n.Entries[i].Start
	}
	start, err := d.offset(first)
	if err != nil {
		return err
	}
	behind := start
	if !n.IsFlowStyle {
		if d.text[start] != '-' {
			return errPlace
		}
		behind++
	}
	e := d.entry(start, behind)
	e.value, err = d.node(v, behind, e.column)
	if n.IsFlowStyle && e.value != nil {
		e.start = e.value.start
	}
	parent.entries = append(parent.entries, e)
	return err
}

func (d *yamlText) entry(start, colon int) *entry {
	e := &entry{start: start, colon: colon}
	e.column, e.own = d.lines.column(d.text, start)
	return e
}

// enclose finds the ends of a mapping or sequence: its brackets, or its first and last entry.
func (d *yamlText) enclose(n *node, open, closing *token.Token) (err error) {
	if n.flow {
		if n.start, err = d.offset(open); err != nil {
			return err
		}
		n.end, err = d.offset(closing)
		if err == nil && (!strings.ContainsRune("{[", rune(d.text[n.start])) || !strings.ContainsRune("}]", rune(d.text[n.end]))) {
			err = errPlace
		}
		n.end++
		return err
	}
	if len(n.entries) > 0 {
		n.start, n.end = n.entries[0].start, n.entries[len(n.entries)-1].end()
	}
	return nil
}

// scalar finds where a scalar starts and ends.
func (d *yamlText) scalar(found *node, n ast.Node, column int) error {
	t := n.GetToken()
	if literal, ok := n.(*ast.LiteralNode); ok {
		t = literal.Start
	}
	if t.Type == token.ImplicitNullType || t.Type == token.NullType && strings.TrimSpace(t.Origin) == "" {
		return nil // behind the colon, and empty
	}
	start, err := d.offset(t)
	if err != nil {
		return err
	}
	for start < len(d.text) && (d.text[start] == ' ' || d.text[start] == '\t') { // behind a tag the library is a column early
		start++
	}
	if start >= len(d.text) {
		return errPlace
	}
	found.start = start
	switch d.text[start] {
	case '\'', '"':
		found.end, err = d.closingQuote(start)
		return err
	case '|', '>':
		found.end = d.blockScalarEnd(start, column)
		return nil
	}
	raw := strings.TrimSpace(t.Origin)
	if raw == "" && n.Type() == ast.NullType {
		found.start = found.end
		return nil
	}
	// The library counts the spaces behind a plain scalar to its column.
	for !strings.HasPrefix(d.text[start:], raw) {
		if start <= found.end {
			return errPlace
		}
		start--
	}
	found.start = start
	found.end = start + len(raw)
	if strings.Contains(raw, "\t") { // which the library leaves out of the value
		return fmt.Errorf("%q: a tab in a value without quotes: quote it", authz.Printable(raw))
	}
	return nil
}

func (d *yamlText) closingQuote(start int) (int, error) {
	quote := d.text[start]
	for i := start + 1; i < len(d.text); i++ {
		switch {
		case d.text[i] == '\\' && quote == '"':
			i++
		case d.text[i] != quote:
		case quote == '\'' && i+1 < len(d.text) && d.text[i+1] == quote:
			i++
		default:
			return i + 1, nil
		}
	}
	return 0, errPlace
}

// blockScalarEnd is the end of the last line of a literal or folded scalar: of the lines below its header, those that are
// indented at least as the first, and blank ones between them; with + (keep) the blank ones behind them, too.
func (d *yamlText) blockScalarEnd(start, column int) int {
	header := firstLine(d.text[start:])
	end := start + len(strings.TrimRight(header, " "))
	if i := strings.Index(header, " #"); i >= 0 {
		end = start + len(strings.TrimRight(header[:i], " "))
	}
	indicators := d.text[start:end]
	keep := strings.Contains(indicators, "+")
	indent := 0
	for at := start + len(header) + 1; at < len(d.text); {
		line := firstLine(d.text[at:])
		spaces := len(line) - len(strings.TrimLeft(line, " "))
		blank := strings.TrimSpace(line) == ""
		switch {
		case blank && !keep:
		case blank:
			end = at + len(line)
		case indent == 0 && spaces <= column:
			return end
		case indent > 0 && spaces < indent:
			return end
		default:
			if indent == 0 {
				indent = max(1, min(spaces, declaredIndent(indicators, column, spaces)))
			}
			end = at + len(line)
		}
		at += len(line) + 1
	}
	return end
}

// declaredIndent reads an indentation indicator, as in |2, which counts from the parent's indentation.
func declaredIndent(indicators string, column, otherwise int) int {
	for _, c := range indicators {
		if c >= '1' && c <= '9' {
			return max(column, 0) + int(c-'0')
		}
	}
	return otherwise
}
