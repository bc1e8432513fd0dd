package inject

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// stream is a text of YAML documents, cut into pieces of one document each.
type stream struct {
	mark   string // a byte order mark
	pieces []*piece
	notes  []string // documents that can't be read, and pass as they are
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
	pieces := jsonStream(rest)
	if pieces == nil {
		pieces = cutDocuments(rest)
	}
	line := 1
	for _, raw := range pieces {
		p, err := read(raw)
		if err != nil {
			var at placed
			if errors.As(err, &at) {
				at.line += line - 1
				err = at
			} else {
				err = fmt.Errorf("document at line %d: %w", line, err)
			}
			if concerns.MatchString(raw) {
				return nil, err
			}
			s.notes = append(s.notes, fmt.Sprintf("left as it is: not readable: %s", err))
		}
		s.pieces = append(s.pieces, p)
		line += strings.Count(raw, "\n")
	}
	return s, nil
}

// concerns tells whether a text may hold what is injected, or was.
var concerns = regexp.MustCompile(`\b(Pod|Deployment|StatefulSet|DaemonSet|ReplicaSet|\w*List)\b|envgate/`)

// read reads one document. Where it can't, the piece holds the text alone.
func read(raw string) (*piece, error) {
	unread := &piece{document: &document{text: raw}}
	if blank(raw) {
		return unread, nil
	}
	text, returns := raw, strings.Count(raw, "\r\n")
	if returns > 0 {
		if returns != strings.Count(raw, "\n") || strings.Count(raw, "\r") != returns {
			return unread, errors.New(`mixes \r\n and \n line ends: want one of them`)
		}
		text = strings.ReplaceAll(raw, "\r\n", "\n")
	}
	d, err := parse(text)
	if err != nil {
		return unread, err
	}
	return &piece{document: d, returns: returns > 0}, nil
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

// append puts a document at the end of the stream.
func (s *stream) append(v object) {
	text := "---\n" + block(v, "") + "\n"
	if first := s.pieces[0].document; first.json && !marker(first.text, "---") { // of JSON alone: kubectl takes no YAML behind it
		text = flow(v, "", !strings.HasPrefix(first.text, `{"`)) + "\n"
	}
	before := s.pieces[len(s.pieces)-1]
	if !strings.HasSuffix(before.document.text, "\n") { // the stream's last line has no end, and shall have none
		before.document.text += "\n"
		text = strings.TrimSuffix(text, "\n")
	}
	s.pieces = append(s.pieces, &piece{document: &document{text: text}, returns: before.returns})
}

// own tells whether a document was made by attach.
func own(v any) bool {
	kind, _ := mapping(v)["kind"].(string)
	_, written := mapping(v, "metadata", "annotations")[annotationInjected]
	return written && (kind == "PodMonitor" || kind == "NetworkPolicy")
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

func (p *piece) restore() (err error) {
	attached := map[string]bool{} // items of a List
	for _, r := range resources(p.value(), "") {
		if own(r.value) {
			attached[r.base] = true
		}
	}
	if len(attached) > 0 {
		if p.document, err = p.document.without("", restoration{gone: attached}); err != nil {
			return err
		}
	}
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
			if p.document, err = p.document.restore(base, u); err != nil {
				return fmt.Errorf("%s: %w", r, err)
			}
		}
	}
	return nil
}
