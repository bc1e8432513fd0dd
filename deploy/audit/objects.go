package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"envgate/authz"

	"github.com/goccy/go-yaml"
)

// object is what matters of a Secret, a ConfigMap, or a List of them.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]any
	Strings  map[string]any `json:"stringData"`
	Items    []object
}

// manifests reads Kubernetes objects by namespace.
func manifests(text []byte) (_ map[string]*settings, err error) {
	defer func() {
		if recover() != nil { // the YAML library panics on some broken input
			err = errors.New("not readable as YAML")
		}
	}()
	all := map[string]*settings{}
	for documents := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var document any
		if err := documents.Decode(&document); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, unreadable(err)
		}
		if document == nil {
			continue
		}
		var o object
		plain, err := json.Marshal(document)
		if err != nil || json.Unmarshal(plain, &o) != nil || o.Kind == "" {
			return nil, errors.New("holds a document that is no Kubernetes object: want Secrets and ConfigMaps, as kubectl get -o yaml prints them")
		}
		if err := o.collect(all); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, errors.New("holds no Secret and no ConfigMap: want those that the gateway's settings come from")
	}
	return all, nil
}

// unreadable says where a text is no YAML, but not what stands there.
func unreadable(err error) error {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil && e.GetToken().Position != nil {
		return fmt.Errorf("line %d, column %d: not readable as YAML", e.GetToken().Position.Line, e.GetToken().Position.Column)
	}
	return errors.New("not readable as YAML")
}

func (o object) collect(all map[string]*settings) error {
	for _, item := range o.Items {
		if err := item.collect(all); err != nil {
			return err
		}
	}
	if o.Kind != "Secret" && o.Kind != "ConfigMap" {
		return nil
	}
	values := map[string]string{}
	for name, value := range o.Data {
		values[name] = fmt.Sprint(value)
		if o.Kind != "Secret" {
			continue
		}
		plain, err := base64.StdEncoding.DecodeString(values[name])
		switch {
		case err == nil:
			values[name] = string(plain)
		case isSetting(name):
			return fmt.Errorf("secret %s: data.%s: not base64, which an API server wants: plain text goes into stringData", authz.Printable(o.Metadata.Name), name)
		default:
			delete(values, name)
		}
	}
	for name, value := range o.Strings { // wins over data
		values[name] = fmt.Sprint(value)
	}
	s := all[o.Metadata.Namespace]
	if s == nil {
		s = newSettings(true)
		all[o.Metadata.Namespace] = s
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s.set(name, values[name], true)
	}
	return nil
}

func isSetting(name string) bool {
	return slices.ContainsFunc(authz.Settings, func(s authz.Setting) bool { return s.Name == name })
}
