package inject

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
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

// document is one document of a stream, with lines ending in \n.
type document struct {
	text  string
	root  *node
	value any // decoded
	lines []int
}

var errPlace = errors.New("a value can't be found in the text: write the document plainly")

// parse reads one document. A document of nothing but comments has no root.
func parse(text string) (d *document, err error) {
	if d, is, err := parseJSON(text); is {
		return d, err
	}
	d = &document{text: text, lines: []int{0}}
	for i, c := range []byte(text) {
		if c == '\n' {
			d.lines = append(d.lines, i+1)
		}
	}
	defer func() {
		if recover() != nil { // the library panics on some broken input
			err = errors.New("not readable as YAML")
		}
	}()
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		return nil, positioned(err)
	}
	if err := yaml.Unmarshal([]byte(text), &d.value); err != nil {
		return nil, positioned(err)
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil || d.value == nil {
		return d, nil
	}
	d.root, err = d.node(file.Docs[0].Body, 0, -1)
	return d, err
}

// placed is an error at a place of the text.
type placed struct {
	line, column int
	message      string
}

func (p placed) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", p.line, p.column, p.message)
}

// positioned turns the library's error, which shows the source over several lines, into one line.
func positioned(err error) error {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil && e.GetToken().Position != nil {
		at := e.GetToken().Position
		return placed{at.Line, at.Column, firstLine(e.GetMessage())}
	}
	return errors.New(firstLine(err.Error()))
}

func firstLine(s string) string { s, _, _ = strings.Cut(s, "\n"); return s }

// offset is where a token starts. The library counts columns in characters.
func (d *document) offset(t *token.Token) (int, error) {
	if t == nil || t.Position == nil || t.Position.Line < 1 || t.Position.Line > len(d.lines) {
		return 0, errPlace
	}
	at := d.lines[t.Position.Line-1]
	for range t.Position.Column - 1 {
		if at >= len(d.text) {
			return 0, errPlace
		}
		_, size := utf8.DecodeRuneInString(d.text[at:])
		at += size
	}
	return at, nil
}

// node finds the place of a value that stands behind the offset after; column is that of the entry it belongs to.
func (d *document) node(n ast.Node, after, column int) (*node, error) {
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
func (d *document) prefixed(first *token.Token, value ast.Node, column int) (*node, error) {
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

func (d *document) field(parent *node, v *ast.MappingValueNode) error {
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

func (d *document) item(parent *node, n *ast.SequenceNode, i int, v ast.Node) (err error) {
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

func (d *document) entry(start, colon int) *entry {
	line := strings.LastIndexByte(d.text[:start], '\n') + 1
	return &entry{start: start, colon: colon, column: start - line, own: strings.Trim(d.text[line:start], " ") == ""}
}

// enclose finds the ends of a mapping or sequence: its brackets, or its first and last entry.
func (d *document) enclose(n *node, open, closing *token.Token) (err error) {
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

// line is the rest of the line at an offset.
func (d *document) line(at int) string {
	return firstLine(d.text[at:])
}

// scalar finds where a scalar starts and ends.
func (d *document) scalar(found *node, n ast.Node, column int) error {
	t := n.GetToken()
	if literal, ok := n.(*ast.LiteralNode); ok {
		t = literal.Start
	}
	if t.Type == token.ImplicitNullType || t.Type == token.NullType && strings.TrimSpace(t.Origin) == "" {
		return nil // behind the colon, and empty
	}
	start, err := d.offset(t)
	if err != nil || start >= len(d.text) {
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
	return nil
}

func (d *document) closingQuote(start int) (int, error) {
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
func (d *document) blockScalarEnd(start, column int) int {
	header := d.line(start)
	end := start + len(strings.TrimRight(header, " "))
	if i := strings.Index(header, " #"); i >= 0 {
		end = start + len(strings.TrimRight(header[:i], " "))
	}
	indicators := d.text[start:end]
	keep := strings.Contains(indicators, "+")
	indent := 0
	for at := start + len(header) + 1; at < len(d.text); {
		line := d.line(at)
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
