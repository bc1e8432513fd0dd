//go:build cluster

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// build is what Kustomize makes of the example, with its gateway changed.
func build(t *testing.T, old, with string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("../kustomize")); err != nil {
		t.Fatal(err)
	}
	gateway := filepath.Join(folder, "example", "gateway.yaml")
	text, err := os.ReadFile(gateway)
	if err != nil {
		t.Fatal(err)
	}
	if old != "" {
		text = []byte(replaced(t, string(text), old, with))
	}
	if err := os.WriteFile(gateway, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return mustKubectl(t, "", "kustomize", filepath.Join(folder, "example"))
}

func TestKustomizeAddsTheSidecar(t *testing.T) {
	if out, err := kubectl(t, "", "create", "namespace", "gateway-staging"); err != nil && !strings.Contains(out, "AlreadyExists") {
		t.Fatal(out)
	}
	for _, row := range []struct{ name, old, new, want string }{
		{"as it is", "", "", "name: envgate\n"},
		{"existing HOST and PORT are replaced", "          env:\n", "          env:\n            - {name: HOST, value: 0.0.0.0}\n            - {name: PORT, value: \"4444\"}\n", "name: HOST\n          value: 127.0.0.1\n"},
		{"a HOST from a ConfigMap is replaced", "          env:\n", "          env:\n            - {name: HOST, valueFrom: {configMapKeyRef: {name: c, key: HOST}}}\n", "name: HOST\n          value: 127.0.0.1\n"},
		{"an existing init container stays", "      containers:\n", "      initContainers:\n        - {name: wait, image: registry.example.com/web:1}\n      containers:\n", "name: wait"},
		{"an existing preStop hook is replaced", "          readinessProbe:\n", "          lifecycle: {preStop: {exec: {command: [sleep, \"3\"]}}}\n          readinessProbe:\n", "seconds: 10"},
	} {
		t.Run(row.name, func(t *testing.T) {
			out := build(t, row.old, row.new)
			if !strings.Contains(out, row.want) || strings.Count(out, "image: registry.example.com/envgate:0.1.0") != 1 || strings.Contains(out, "set-this") || strings.Contains(out, "set this") {
				t.Errorf("want %q, one sidecar and nothing left to set:\n%s", row.want, out)
			}
			if problems, err := kubectl(t, out, "create", "--dry-run=server", "--validate=strict", "-f", "-"); err != nil {
				t.Errorf("%v: %s", err, problems)
			}
		})
	}
}

// The component alone must not start: its environment and Secret are the overlay's.
func TestAForgottenOverlayIsVisible(t *testing.T) {
	text, err := os.ReadFile("../kustomize/component/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "- name: ENVGATE_ENVIRONMENT")
	_, after, _ = strings.Cut(after, "value: ")
	value, _, _ := strings.Cut(after, "\n")
	out, err := program(t, "", binary, "check", "--environment", value)
	if err == nil || !strings.Contains(out, "ENVGATE_ENVIRONMENT") {
		t.Errorf("envgate check --environment %q: %v: %s: want a refusal", value, err, out)
	}
}
