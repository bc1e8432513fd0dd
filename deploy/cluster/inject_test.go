//go:build cluster

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const manifestsFolder = "../inject/testdata/manifests"

// podMonitors lets the server take a PodMonitor, of which only the name counts here.
const podMonitors = `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "podmonitors.monitoring.coreos.com"},
"spec": {"group": "monitoring.coreos.com", "scope": "Namespaced", "names": {"plural": "podmonitors", "singular": "podmonitor", "kind": "PodMonitor"},
"versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}`

// injected runs the built binary as a user would.
func injected(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, problems, err := execute(t, stdin, binary, append([]string{"inject", "--environment=staging"}, args...)...)
	if err != nil {
		t.Fatalf("inject: %v: %s", err, problems)
	}
	return out
}

// Every manifest that injection is tried on is one that the server takes, and so is what injection makes of it.
func TestTheServerTakesWhatInjectWrites(t *testing.T) {
	mustKubectl(t, podMonitors, "apply", "-f", "-")
	if out, err := kubectl(t, "", "create", "namespace", "staging"); err != nil && !strings.Contains(out, "AlreadyExists") {
		t.Fatal(out)
	}
	mustKubectl(t, "", "wait", "--for=condition=established", "crd/podmonitors.monitoring.coreos.com")
	files, err := filepath.Glob(manifestsFolder + "/*")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d manifests, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		if strings.Contains(string(text), "# refused: ") {
			continue // deploy/inject's own tests see to those
		}
		t.Run(name, func(t *testing.T) {
			accepted(t, string(text))
			var flags []string
			if _, words, ok := strings.Cut(string(text), "# inject: "); ok {
				words, _, _ = strings.Cut(words, "\n")
				flags = strings.Fields(words)
			}
			out := injected(t, string(text), flags...)
			accepted(t, out)
			if again := injected(t, out, flags...); again != out {
				t.Error("inject of inject differs")
			}
			if back, problems, err := execute(t, out, binary, "uninject"); err != nil || back != string(text) {
				t.Errorf("uninject: %v %s", err, problems)
			}
			golden, err := os.ReadFile("../inject/testdata/golden/" + name)
			if err != nil {
				t.Fatal(err)
			}
			if wanted := strings.NewReplacer("envgate:1.0.0", "envgate:0.1.0", `"1.0.0"`, `"0.1.0"`).Replace(string(golden)); out != wanted {
				t.Error("the binary writes something else than deploy/inject's golden file")
			}
		})
	}
}

// accepted tries a manifest on the server, whose validation is strict: an unknown or repeated field is an error.
func accepted(t *testing.T, manifest string) {
	t.Helper()
	out, err := kubectl(t, strings.TrimPrefix(manifest, "\ufeff"), "apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "-f", "-")
	if err != nil {
		t.Errorf("%v: %s\n%s", err, out, manifest)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "Warning: ") && !strings.Contains(line, "duplicate port definition") && !strings.Contains(line, "hostNetwork") {
			t.Errorf("%s", line)
		}
	}
}

// A sidecar is no reason for a restricted namespace to refuse a Pod that it took before.
func TestInjectedPodsFitRestrictedNamespaces(t *testing.T) {
	namespace := newNamespace(t, "restricted")
	mustKubectl(t, "", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted")
	for _, row := range []struct {
		file  string
		flags []string
	}{
		{"a-pod-that-conforms-to-restricted.yaml", nil},
		{"a-pod-that-conforms-to-restricted.yaml", []string{"--native=false", "--probe=http"}},
		{"the-shape-of-chart-1.0.7.yaml", nil},
	} {
		text, err := os.ReadFile(filepath.Join(manifestsFolder, row.file))
		if err != nil {
			t.Fatal(err)
		}
		for what, manifest := range map[string]string{"before": string(text), "after": injected(t, string(text), row.flags...)} {
			out, err := kubectl(t, manifest, "apply", "--server-side", "--dry-run=server", "-n", namespace, "-f", "-")
			if err != nil {
				t.Errorf("%s %v, %s: %s", row.file, row.flags, what, out)
			}
			for line := range strings.Lines(out) {
				// The gateway's own migration Job has never fitted.
				if strings.Contains(line, "would violate PodSecurity") && !strings.Contains(line, `container "migration"`) {
					t.Errorf("%s %v, %s: %s", row.file, row.flags, what, line)
				}
			}
		}
	}
}
