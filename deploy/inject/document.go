package inject

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// document is one document of a stream, with lines ending in \n.
type document struct {
	text  string
	value any  // decoded
	json  bool // JSON is YAML, too, but may be indented by tabs
	body  ast.Node
	root  *node // where its values stand: found when the first of them is asked for
}

// parse reads one document. A document of nothing but comments has no value.
func parse(text string) (d *document, err error) {
	if d := parseJSON(text); d != nil {
		return d, nil
	}
	d = &document{text: text}
	defer unreadable(&err)
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		return nil, positioned(err)
	}
	if err := yaml.Unmarshal([]byte(text), &d.value); err != nil {
		return nil, positioned(err)
	}
	if len(file.Docs) > 0 {
		d.body = file.Docs[0].Body
	}
	return d, nil
}

// unreadable makes an error of the library's panic on some broken input.
func unreadable(err *error) {
	if recover() != nil {
		*err = errors.New("not readable as YAML")
	}
}

// places finds where the values of the document stand. Documents that pass unchanged are spared it.
func (d *document) places() (_ *node, err error) {
	if d.root != nil {
		return d.root, nil
	}
	defer unreadable(&err)
	if d.json {
		d.root, err = jsonPlaces(d.text)
	} else {
		d.root, err = yamlPlaces(d.text, d.body)
	}
	return d.root, err
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

// lineAt is the rest of the line at an offset.
func (d *document) lineAt(at int) string { return firstLine(d.text[at:]) }

// find follows a path to an entry. The parent is the mapping or sequence that holds it.
func (d *document) find(path string) (parent *node, e *entry, err error) {
	n, err := d.places()
	if err != nil {
		return nil, nil, err
	}
	e = &entry{value: n, column: -2}
	if path == "" {
		return nil, e, nil
	}
	for _, key := range keysOf(path) {
		parent, e = n, nil
		switch {
		case n.mapping:
			e = n.field(key)
		case n.sequence:
			if i, ok := index(key, len(n.entries)); ok {
				e = n.entries[i]
			}
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

// raw is the text of the entry at a path, with its key.
func (d *document) raw(path string) (string, error) {
	_, e, err := d.find(path)
	if err != nil {
		return "", err
	}
	return d.text[e.start:e.end()], nil
}
