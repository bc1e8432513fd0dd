package inject

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// parseJSON reads a document that is JSON; false where it isn't. JSON is YAML, too, but may be indented by tabs.
func parseJSON(text string) (d *document, is bool, err error) {
	if trimmed := strings.TrimSpace(text); trimmed == "" || trimmed[0] != '{' || !json.Valid([]byte(trimmed)) {
		return nil, false, nil
	}
	d = &document{text: text}
	r := &jsonReader{text: text, tokens: json.NewDecoder(strings.NewReader(text))}
	if d.root, err = r.value(); err != nil {
		return nil, true, err
	}
	values := json.NewDecoder(strings.NewReader(text))
	values.UseNumber()
	return d, true, values.Decode(&d.value)
}

// jsonReader finds the places of values by reading tokens.
type jsonReader struct {
	text   string
	tokens *json.Decoder
}

// next reads a token, and tells where it starts and ends.
func (r *jsonReader) next() (token json.Token, start, end int, err error) {
	start = int(r.tokens.InputOffset())
	token, err = r.tokens.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	end = int(r.tokens.InputOffset())
	start += len(r.text[start:end]) - len(strings.TrimLeft(r.text[start:end], " \t\r\n,:"))
	return token, start, end, err
}

func (r *jsonReader) value() (*node, error) {
	token, start, end, err := r.next()
	if err != nil {
		return nil, err
	}
	n := &node{start: start, end: end}
	if delimiter, ok := token.(json.Delim); ok {
		n.flow, n.mapping, n.sequence = true, delimiter == '{', delimiter == '['
		return n, r.entries(n)
	}
	return n, nil
}

func (r *jsonReader) entries(n *node) error {
	for r.tokens.More() {
		e := &entry{}
		if n.mapping {
			key, start, end, err := r.next()
			if err != nil {
				return err
			}
			e.key, e.start, e.colon = fmt.Sprint(key), start, end
			if n.field(e.key) != nil {
				return fmt.Errorf("key %q stands twice", e.key)
			}
		}
		var err error
		if e.value, err = r.value(); err != nil {
			return err
		}
		if n.sequence {
			e.start, e.colon = e.value.start, e.value.start
		} else {
			e.colon = e.value.start
		}
		line := r.text[strings.LastIndexByte(r.text[:e.start], '\n')+1 : e.start]
		e.column, e.own = len(line), strings.TrimLeft(line, " \t") == ""
		n.entries = append(n.entries, e)
	}
	_, _, end, err := r.next()
	n.end = end
	return err
}
