// Package kustomize holds the test that keeps the static patches equal to what envgate inject writes.
package kustomize

import (
	"bytes"
	"os"
	"reflect"
	"testing"

	"envgate/deploy/inject"

	"github.com/goccy/go-yaml"
)

// parse gives the last document of a file, or of text.
func parse(t *testing.T, text []byte) (v map[string]any) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var next map[string]any
		if decoder.Decode(&next) != nil {
			return v
		}
		v = next
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// at follows keys and indexes.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for _, key := range path {
		switch key := key.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			l, _ := v.([]any)
			if key >= len(l) {
				t.Fatalf("%v: no item %d", path, key)
			}
			v = l[key]
		}
	}
	return v
}

func podOf(t *testing.T, deployment map[string]any) any {
	return at(t, deployment, "spec", "template", "spec")
}

func TestThePatchesAddWhatInjectionAdds(t *testing.T) {
	r, err := inject.Manifests(read(t, "example/gateway.yaml"), inject.Options{Environment: "staging", Image: "registry.example.com/envgate:0.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	injected := podOf(t, parse(t, r.Text))
	component := podOf(t, parse(t, read(t, "component/deployment.yaml")))
	overlay := podOf(t, parse(t, read(t, "example/environment.yaml")))

	sidecar := at(t, component, "initContainers", 0).(map[string]any)
	own := at(t, overlay, "initContainers", 0).(map[string]any)
	if own["name"] != sidecar["name"] || at(t, own, "env", 0, "name") != at(t, sidecar, "env", 0, "name") {
		t.Fatalf("the overlay patches %v, the component adds %v", own["name"], sidecar["name"])
	}
	sidecar["envFrom"] = own["envFrom"]
	sidecar["env"].([]any)[0] = at(t, own, "env", 0)
	if want := at(t, injected, "initContainers", 0); !reflect.DeepEqual(sidecar, want) {
		t.Errorf("the component's sidecar is\n%v\ninjection's is\n%v", sidecar, want)
	}

	moved := map[string]any{}
	for _, v := range at(t, component, "containers", 0, "env").([]any) {
		moved[v.(map[string]any)["name"].(string)] = v.(map[string]any)["value"]
	}
	for _, v := range at(t, injected, "containers", 0, "env").([]any) {
		entry := v.(map[string]any)
		if name := entry["name"].(string); (name == "HOST" || name == "PORT") && moved[name] != entry["value"] {
			t.Errorf("%s: the component says %v, injection %v", name, moved[name], entry["value"])
		}
	}
	if len(moved) != 2 {
		t.Errorf("the component sets %v: want HOST and PORT", moved)
	}
	if got, want := at(t, component, "containers", 0, "lifecycle", "preStop", "sleep"), at(t, injected, "containers", 0, "lifecycle", "preStop", "sleep"); want == nil || !reflect.DeepEqual(got, want) {
		t.Errorf("preStop: the component sleeps %v, injection %v", got, want)
	}
}
