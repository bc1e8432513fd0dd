package audit

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"envgate/authz"
)

// Read reads the environments in a text: one, of lines NAME=VALUE as in an env file, or one for each namespace of
// Kubernetes Secrets and ConfigMaps, as kubectl get -o yaml (or json) prints them. name is the file's. An error names no value.
func Read(name string, text []byte) (all []Environment, err error) {
	name = authz.Printable(name)
	settings, err := namespaces(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, namespace := range slices.Sorted(maps.Keys(settings)) {
		from := name
		if namespace != "" {
			from += ", namespace " + authz.Printable(namespace)
		}
		e, err := environment(from, settings[namespace])
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// settings are what the objects of one namespace, or the lines of a file, say. The value of a name that is said twice is the
// last one, as envFrom and env files take it; between objects, that is a guess.
type settings struct {
	values  map[string]string
	objects bool            // of Kubernetes: another file may hold more of them
	twice   map[string]bool // said differently; true: by different objects
}

func (s *settings) set(name, value string, another bool) {
	if former, said := s.values[name]; said && former != value {
		s.twice[name] = s.twice[name] || another
	}
	s.values[name] = value
}

func newSettings(objects bool) *settings {
	return &settings{values: map[string]string{}, objects: objects, twice: map[string]bool{}}
}

var (
	variable = regexp.MustCompile(`^(export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=(.*)$`)
	manifest = regexp.MustCompile(`(?m)^[ \t-]*"?(kind|apiVersion)"?[ \t]*:|\A\s*[\[{]`)
)

// namespaces reads a text by namespace; an env file is of namespace "".
func namespaces(text []byte) (map[string]*settings, error) {
	if manifest.Match(text) {
		return manifests(text)
	}
	s := newSettings(false)
	for n, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := variable.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d: want NAME=VALUE, a comment, or Kubernetes Secrets and ConfigMaps", n+1)
		}
		value, ok := unquoted(m[3])
		if !ok {
			return nil, fmt.Errorf("line %d: a quote that is not closed", n+1)
		}
		s.set(m[2], value, false)
	}
	if len(s.values) == 0 {
		return nil, errNothing
	}
	return map[string]*settings{"": s}, nil
}

var escapes = strings.NewReplacer(`\n`, "\n", `\r`, "\r", `\t`, "\t", `\\`, `\`, `\$`, "$")

// unquoted is the value of a line, as Docker Compose reads env files, but for what it would take from its own variables.
func unquoted(value string) (_ string, ok bool) {
	value = strings.TrimSpace(value)
	if value == "" || value[0] != '"' && value[0] != '\'' {
		if comment := strings.Index(value, " #"); comment >= 0 {
			value = strings.TrimSpace(value[:comment])
		}
		return value, true
	}
	quote := value[0]
	var b strings.Builder
	for i := 1; i < len(value); i++ {
		switch c := value[i]; {
		case c == quote && quote == '"':
			return escapes.Replace(b.String()), true
		case c == quote:
			return b.String(), true
		case c == '\\' && i+1 < len(value) && value[i+1] == quote:
			i++
			b.WriteByte(quote)
		case c == '\\' && i+1 < len(value):
			i++
			b.WriteString(value[i-1 : i+1])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
