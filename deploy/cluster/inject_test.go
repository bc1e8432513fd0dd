//go:build cluster

package cluster

import (
	"os"
	"path/filepath"
	"slices"
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

// Every manifest that injection is tried on is one that the server takes, and so is what injection makes of it. The server
// judges each by the profile restricted, too: whatever the gateway itself violates, the sidecar adds nothing.
func TestTheServerTakesWhatInjectWrites(t *testing.T) {
	mustKubectl(t, podMonitors, "apply", "-f", "-")
	if out, err := kubectl(t, "", "create", "namespace", "staging"); err != nil && !strings.Contains(out, "AlreadyExists") {
		t.Fatal(out)
	}
	mustKubectl(t, "", "label", "namespace", "staging", "default", "pod-security.kubernetes.io/warn=restricted")
	t.Cleanup(func() {
		mustKubectl(t, "", "label", "namespace", "staging", "default", "pod-security.kubernetes.io/warn-")
	})
	mustKubectl(t, "", "wait", "--for=condition=established", "crd/podmonitors.monitoring.coreos.com")
	violations := 0
	for _, m := range manifests(t) {
		t.Run(m.name, func(t *testing.T) {
			before := accepted(t, m.text)
			out := injected(t, m.text, m.flags...)
			for _, line := range accepted(t, out) {
				if strings.Contains(line, "would violate PodSecurity") {
					violations++
				}
				// That the gateway and the sidecar declare the same port is on purpose, and documented. With --force on the
				// node's network, the sidecar's ports are the node's.
				if !slices.Contains(before, line) && !strings.Contains(line, "port definition with") && !strings.Contains(line, "hostNetwork=true") {
					t.Errorf("a warning that only the injected manifest gets: %s", line)
				}
			}
			if again := injected(t, out, m.flags...); again != out {
				t.Error("inject of inject differs")
			}
			if back, problems, err := execute(t, out, binary, "uninject"); err != nil || back != m.text {
				t.Errorf("uninject: %v %s", err, problems)
			}
			golden, err := os.ReadFile("../inject/testdata/golden/" + m.name)
			if err != nil {
				t.Fatal(err)
			}
			if wanted := strings.NewReplacer("envgate:1.0.0", "envgate:0.1.0", `"1.0.0"`, `"0.1.0"`).Replace(string(golden)); out != wanted {
				t.Error("the binary writes something else than deploy/inject's golden file")
			}
		})
	}
	if violations < 30 {
		t.Errorf("%d manifests were judged by the profile restricted: want the 30 or more whose gateways never fitted it", violations)
	}
}

// manifest is one of deploy/inject's, with the flags that it is tried with.
type manifest struct {
	name, text string
	flags      []string
}

// manifests are all but those that injection refuses, which deploy/inject's own tests see to. A first line holds a file's
// flags, or a file beside it, for JSON has no comments.
func manifests(t *testing.T) (all []manifest) {
	t.Helper()
	files, err := filepath.Glob(manifestsFolder + "/*[^s]") // not *.flags
	if err != nil || len(files) < 60 {
		t.Fatalf("%d manifests, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head := string(text)
		if flags, err := os.ReadFile(file + ".flags"); err == nil {
			head = string(flags)
		}
		if strings.Contains(head, "# refused: ") || strings.Contains(head, "# not for a server: ") {
			continue
		}
		m := manifest{name: filepath.Base(file), text: string(text)}
		if _, words, ok := strings.Cut(head, "# inject: "); ok {
			words, _, _ = strings.Cut(words, "\n")
			m.flags = strings.Fields(words)
		}
		all = append(all, m)
	}
	return all
}

// accepted tries a manifest on the server, whose validation is strict: an unknown or repeated field is an error. It gives
// the server's warnings.
func accepted(t *testing.T, manifest string) (warnings []string) {
	t.Helper()
	out, err := kubectl(t, strings.TrimPrefix(manifest, "\ufeff"), "apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "-f", "-")
	if err != nil {
		t.Errorf("%v: %s\n%s", err, out, manifest)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "Warning: ") {
			warnings = append(warnings, line)
		}
	}
	return warnings
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
