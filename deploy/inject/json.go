package inject

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// parseJSON reads a document that is JSON, which may follow a line ---; nil where it isn't.
func parseJSON(text string) *document {
	text, from := text, jsonStart(text)
	if from < 0 || !json.Valid([]byte(text[from:])) {
		return nil
	}
	d := &document{text: text, json: true}
	values := json.NewDecoder(strings.NewReader(text[from:]))
	values.UseNumber()
	if values.Decode(&d.value) != nil {
		return nil
	}
	return d
}

// jsonStart is where a document's first brace stands, behind nothing but blank lines and ---; -1 where there is none.
func jsonStart(text string) int {
	at := 0
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "{") {
			return at
		}
		if trimmed != "" && trimmed != "---" {
			break
		}
		at += len(line)
	}
	return -1
}

// jsonStream cuts a text of nothing but JSON objects, as kubectl and jq read and write it; nil for any other.
func jsonStream(text string) (pieces []string) {
	if jsonStart(text) < 0 || marker(text, "---") {
		return nil
	}
	start, values := 0, json.NewDecoder(strings.NewReader(text))
	for {
		var value json.RawMessage
		err := values.Decode(&value)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || value[0] != '{' {
			return nil
		}
		end := int(values.InputOffset())
		if rest := firstLine(text[end:]); strings.TrimSpace(rest) == "" {
			end = min(end+len(rest)+1, len(text))
		}
		pieces, start = append(pieces, text[start:end]), end
	}
	pieces[len(pieces)-1] += text[start:]
	return pieces
}

// jsonPlaces finds where the values of a JSON document stand.
func jsonPlaces(text string) (*node, error) {
	from := jsonStart(text)
	text = strings.Repeat(" ", from) + text[from:]
	r := &jsonReader{text: text, lines: linesOf(text), tokens: json.NewDecoder(strings.NewReader(text))}
	return r.value()
}

// jsonReader finds the places of values by reading tokens.
type jsonReader struct {
	text   string
	lines  lines
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
	seen := map[string]bool{}
	for r.tokens.More() {
		e := &entry{}
		if n.mapping {
			key, start, end, err := r.next()
			if err != nil {
				return err
			}
			e.key, e.start, e.colon = fmt.Sprint(key), start, end
			if seen[e.key] {
				return fmt.Errorf("key %q stands twice", e.key)
			}
			seen[e.key] = true
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
		e.column, e.own = r.lines.column(r.text, e.start)
		n.entries = append(n.entries, e)
	}
	_, _, end, err := r.next()
	n.end = end
	return err
}
