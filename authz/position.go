package authz

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// positioned turns the library's error, which shows the source over several lines, into one line with line and column. Where
// a value is of the wrong kind, it names the key, the value and what is wanted instead of Go's types.
func positioned(err error) error {
	var e yaml.Error
	if !errors.As(err, &e) || e.GetToken() == nil || e.GetToken().Position == nil {
		return errors.New(oneLine(err.Error()))
	}
	at, message := e.GetToken(), e.GetMessage()
	if wanted := wanted(err); wanted != "" {
		message = fieldOf(at) + valueOf(at) + "want " + wanted
	}
	return fmt.Errorf("line %d, column %d: %s", at.Position.Line, at.Position.Column, oneLine(message))
}

// wanted says what stands in the place of a value of the wrong kind.
func wanted(err error) string {
	var node *yaml.UnexpectedNodeTypeError
	var value *yaml.TypeError
	switch {
	case errors.As(err, &node) && node.Expected == ast.SequenceType:
		return "a list, such as [a, b]"
	case errors.As(err, &node):
		return "keys with values, such as {a: b}"
	case errors.As(err, &value) && value.DstType.Kind() == reflect.Bool:
		return "true or false, without quotes"
	case errors.As(err, &value) && value.DstType.Kind() == reflect.String:
		return "one text"
	}
	return ""
}

// fieldOf names the field whose value starts at a token, where it can be told.
func fieldOf(at *token.Token) string {
	if at.Type == token.MappingValueType { // the value is a mapping, and at is behind its first key
		at = at.Prev
	}
	for at = at.Prev; at != nil; at = at.Prev {
		switch at.Type {
		case token.SequenceEntryType, token.SequenceStartType, token.MappingStartType, token.CommentType:
		case token.MappingValueType:
			return at.Prev.Value + ": "
		default:
			return ""
		}
	}
	return ""
}

// valueOf is the value at a token, but of lists and mappings.
func valueOf(at *token.Token) string {
	if at.CharacterType == token.CharacterTypeIndicator && at.Type != token.SingleQuoteType && at.Type != token.DoubleQuoteType {
		return ""
	}
	return fmt.Sprintf("%q: ", Printable((&Setting{}).shown(at.Value)))
}

// longName is text of the file inside a message about it that is longer than any name that belongs there.
var longName = regexp.MustCompile(`"([^"]{24})[^"]+"`)

func oneLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return longName.ReplaceAllString(Redact(s), `"$1..."`)
}
