package inject

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// stream is a text of YAML documents, cut into pieces of one document each.
type stream struct {
	mark   string // a byte order mark
	pieces []*piece
}

// piece is one document with the separator before it. Only what is changed is written anew.
type piece struct {
	document *document
	returns  bool // its lines end in \r\n
}

func (p *piece) value() any { return p.document.value }

const byteOrderMark = "\ufeff"

// split cuts a stream at its separators. An error tells the line of the stream.
func split(text []byte) (*stream, error) {
	s := &stream{}
	rest := string(text)
	if after, found := strings.CutPrefix(rest, byteOrderMark); found {
		s.mark, rest = byteOrderMark, after
	}
	line := 1
	for _, raw := range cutDocuments(rest) {
		p := &piece{document: &document{text: raw}}
		s.pieces = append(s.pieces, p)
		if blank(raw) {
			line += strings.Count(raw, "\n")
			continue
		}
		if returns := strings.Count(raw, "\r\n"); returns > 0 {
			if returns != strings.Count(raw, "\n") || strings.Count(raw, "\r") != returns {
				return nil, fmt.Errorf("document at line %d: mixes \\r\\n and \\n line ends: want one of them", line)
			}
			p.returns, raw = true, strings.ReplaceAll(raw, "\r\n", "\n")
		}
		d, err := parse(raw)
		var at placed
		if errors.As(err, &at) {
			at.line += line - 1
			return nil, at
		} else if err != nil {
			return nil, fmt.Errorf("document at line %d: %w", line, err)
		}
		p.document = d
		line += strings.Count(raw, "\n")
	}
	return s, nil
}

// cutDocuments cuts before lines that start with --- and behind lines that start with ... (YAML 1.2.2, section 9.2).
func cutDocuments(text string) (pieces []string) {
	start := 0
	for at := 0; at < len(text); {
		line := text[at:]
		if i := strings.IndexByte(line, '\n'); i >= 0 {
			line = line[:i+1]
		}
		switch {
		case marker(line, "---") && at > start:
			pieces, start = append(pieces, text[start:at]), at
		case marker(line, "..."):
			pieces, start = append(pieces, text[start:at+len(line)]), at+len(line)
		}
		at += len(line)
	}
	return append(pieces, text[start:])
}

func marker(line, what string) bool {
	rest, found := strings.CutPrefix(line, what)
	return found && (rest == "" || strings.ContainsAny(rest[:1], " \t\r\n"))
}

// blank tells whether a piece holds nothing but comments, directives and separators.
func blank(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != '%' && line != "---" && line != "..." && !strings.HasPrefix(line, "--- #") {
			return false
		}
	}
	return true
}

func (s *stream) bytes() []byte {
	var b bytes.Buffer
	b.WriteString(s.mark)
	for _, p := range s.pieces {
		text := p.document.text
		if p.returns {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		b.WriteString(text)
	}
	return b.Bytes()
}

// restore takes back every injection in the stream, and the documents that came with it.
func (s *stream) restore() error {
	var kept []*piece
	for _, p := range s.pieces {
		if own(p.value()) {
			if n := len(kept); n > 0 && !strings.HasSuffix(p.document.text, "\n") {
				kept[n-1].document.text = strings.TrimSuffix(kept[n-1].document.text, "\n")
			}
			continue
		}
		if err := p.restore(); err != nil {
			return err
		}
		kept = append(kept, p)
	}
	s.pieces = kept
	return nil
}

func (p *piece) restore() error {
	for _, r := range resources(p.value(), "") {
		for _, base := range []string{r.template(), r.base} {
			v, _ := lookUp(p.value(), base)
			original, ok := mapping(v, "metadata", "annotations")[annotationOriginal].(string)
			if !ok {
				continue
			}
			u, err := parseUndo(original)
			if err != nil {
				return fmt.Errorf("%s: %w", r, err)
			}
			text, err := p.document.restore(base, u)
			if err != nil {
				return fmt.Errorf("%s: %w", r, err)
			}
			if p.document, err = parse(text); err != nil {
				return fmt.Errorf("%s: can't be restored (%w): take the sidecar out by hand", r, err)
			}
		}
	}
	return nil
}
