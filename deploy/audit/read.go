package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"envgate/authz"

	"github.com/goccy/go-yaml"
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

// settings are what the objects of one namespace say. The value of a name that is said twice is the last one, as envFrom
// takes it.
type settings struct {
	values map[string]string
	twice  []string
}

func (s *settings) set(name, value string) {
	if former, said := s.values[name]; said && former != value && !slices.Contains(s.twice, name) {
		s.twice = append(s.twice, name)
	}
	s.values[name] = value
}

var variable = regexp.MustCompile(`^(export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=(.*)$`)

// namespaces reads a text by namespace; an env file is of namespace "".
func namespaces(text []byte) (map[string]*settings, error) {
	if all, ok := manifests(text); ok {
		if len(all) == 0 {
			return nil, errNothing
		}
		return all, nil
	}
	s := &settings{values: map[string]string{}}
	for n, line := range strings.Split(strings.TrimPrefix(string(text), "\ufeff"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := variable.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("line %d: want NAME=VALUE, a comment, or Kubernetes Secrets and ConfigMaps", n+1)
		}
		s.set(m[2], unquoted(m[3]))
	}
	if len(s.values) == 0 {
		return nil, errNothing
	}
	return map[string]*settings{"": s}, nil
}

// unquoted is the value of a line, as Docker Compose reads env files.
func unquoted(value string) string {
	value = strings.TrimSpace(value)
	if len(value) > 1 && (value[0] == '"' || value[0] == '\'') {
		if end := strings.IndexByte(value[1:], value[0]); end >= 0 {
			return value[1 : 1+end]
		}
	}
	if comment := strings.Index(value, " #"); comment >= 0 {
		value = strings.TrimSpace(value[:comment])
	}
	return value
}

// object is what matters of a Secret, a ConfigMap, or a List of them.
type object struct {
	Kind     string
	Metadata struct{ Namespace string }
	Data     map[string]any
	Strings  map[string]any `json:"stringData"`
	Items    []object
}

// manifests reads Kubernetes objects; false where the text holds none.
func manifests(text []byte) (_ map[string]*settings, ok bool) {
	defer func() {
		if recover() != nil { // the YAML library panics on some broken input
			ok = false
		}
	}()
	all := map[string]*settings{}
	for documents := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var document any
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, false
		}
		if document == nil {
			continue
		}
		var o object
		plain, err := json.Marshal(document)
		if err != nil || json.Unmarshal(plain, &o) != nil || o.Kind == "" {
			return nil, false
		}
		o.collect(all)
	}
	return all, len(all) > 0
}

func (o object) collect(all map[string]*settings) {
	for _, item := range o.Items {
		item.collect(all)
	}
	if o.Kind != "Secret" && o.Kind != "ConfigMap" {
		return
	}
	s := all[o.Metadata.Namespace]
	if s == nil {
		s = &settings{values: map[string]string{}}
		all[o.Metadata.Namespace] = s
	}
	for _, name := range slices.Sorted(maps.Keys(o.Data)) {
		value := fmt.Sprint(o.Data[name])
		if o.Kind == "Secret" {
			plain, err := base64.StdEncoding.DecodeString(value)
			if err != nil {
				continue // not what an API server holds
			}
			value = string(plain)
		}
		s.set(name, value)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Strings)) {
		s.set(name, fmt.Sprint(o.Strings[name]))
	}
}

// environment parses the settings as a sidecar would, but for what lies in files of another machine.
func environment(from string, s *settings) (Environment, error) {
	e := Environment{From: from}
	values := maps.Clone(s.values)
	delete(values, "ENVGATE_POLICY") // which says nothing about keys of the gateway
	delete(values, "ENVGATE_PROBES")
	algorithm := values["JWT_ALGORITHM"]
	for _, name := range []string{"JWT_SECRET_KEY_FILE", "ENVGATE_ADDITIONAL_SECRET_KEY_FILE", "JWT_PUBLIC_KEY_PATH", "JWT_PRIVATE_KEY_PATH", "ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS"} {
		path, given := values[name]
		if !given || path == "" {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			continue
		}
		delete(values, name)
		if name == "JWT_SECRET_KEY_FILE" && values["JWT_SECRET_KEY"] == "" || name == "JWT_PUBLIC_KEY_PATH" {
			e.noKey = true
			e.Notes = append(e.Notes, name+" can't be read here")
			values["JWT_SECRET_KEY"], values["JWT_ALGORITHM"] = "stands in for a key that lies elsewhere", "HS256"
		}
	}
	var environ []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		environ = append(environ, name+"="+values[name])
	}
	c, err := authz.Parse(authz.Source{Environ: environ})
	if err != nil {
		return e, fmt.Errorf("%s: %s", from, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	e.config, e.Name, e.Issuer, e.Audience, e.Algorithm = c, c.Environment, c.Issuer, c.Audience, c.Algorithm
	if e.noKey && algorithm != "" {
		e.Algorithm = authz.Printable(algorithm)
	}
	for _, w := range c.Warnings() {
		if (w.Check == authz.PublishedSecret || w.Check == authz.WeakSecret) && !e.noKey {
			e.Notes = append(e.Notes, w.Check)
		}
	}
	for _, name := range s.twice {
		e.Notes = append(e.Notes, name+" is said twice, differently: the last one counts here")
	}
	return e, nil
}
