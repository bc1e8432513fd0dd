//go:build cluster

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a person does with manifests, on the real server and not as a dry run: apply, inject, enforce, and go back. Nothing
// of the sidecar may be left behind, however kubectl merges.
func TestAGatewayIsInjectedEnforcedAndGivenBackByApply(t *testing.T) {
	for _, row := range []struct{ file, workload string }{
		{"the-shape-of-chart-0.9.0.yaml", "deployment/r-mcp-stack-mcpgateway"},
		{"the-shape-of-chart-1.0.7.yaml", "deployment/r-mcp-stack-mcpgateway"},
		{"pretty.json", "deployment/gateway"},
		{"comments-everywhere.yaml", "replicaset/gateway"},
		{"four-spaces-and-indented-lists.yaml", "daemonset/gateway"},
		{"merge-keys-elsewhere.yaml", "statefulset/gateway"},
		{"a-named-port-and-a-service-by-name.yaml", "deployment/gateway"},
	} {
		text, err := os.ReadFile(filepath.Join(manifestsFolder, row.file))
		if err != nil {
			t.Fatal(err)
		}
		for how, apply := range map[string][]string{"kubectl apply": {"apply"}, "kubectl apply --server-side": {"apply", "--server-side"}} {
			t.Run(row.file+", "+how, func(t *testing.T) {
				namespace := newNamespace(t, "apply")
				template := func() string {
					return mustKubectl(t, "", "-n", namespace, "get", row.workload, "-o", "jsonpath={.spec.template}")
				}
				run := func(manifest string) string {
					mustKubectl(t, manifest, append(apply, "-n", namespace, "-f", "-")...)
					return template()
				}
				before := run(string(text))
				reporting, enforcing := injected(t, string(text)), injected(t, string(text), "--mode=enforce")
				for manifest, mode := range map[string]string{reporting: "report", enforcing: "enforce"} {
					after := run(manifest)
					for _, part := range []string{`"name":"envgate","ports":`, `{"name":"HOST","value":"127.0.0.1"}`, `{"name":"PORT","value":"14444"}`, `{"name":"ENVGATE_MODE","value":"` + mode + `"}`} {
						if strings.Count(after, part) != 1 {
							t.Errorf("%s: want %s once in %s", mode, part, after)
						}
					}
				}
				if after := run(string(text)); after != before {
					t.Errorf("the first manifest doesn't undo injection:\n%s\n%s", before, after)
				}
			})
		}
	}
}

// What the server keeps is written in its own order and indentation, as YAML or JSON and in a List: uninject gives the
// workload back from that, too.
func TestALiveObjectIsUninjected(t *testing.T) {
	for _, file := range []string{"the-shape-of-chart-0.9.0.yaml", "pretty.json", "probes-of-every-kind.yaml", "null-values-that-are-replaced.yaml"} {
		for _, form := range []string{"yaml", "json"} {
			t.Run(file+" as "+form, func(t *testing.T) {
				text, err := os.ReadFile(filepath.Join(manifestsFolder, file))
				if err != nil {
					t.Fatal(err)
				}
				spec := func(namespace string) string {
					return mustKubectl(t, "", "-n", namespace, "get", "deployments,pods", "-o", "jsonpath={.items[*].spec.template}{.items[?(@.kind=='Pod')].spec.containers}")
				}
				first, namespace := newNamespace(t, "first"), newNamespace(t, "live")
				mustKubectl(t, string(text), "create", "-n", first, "-f", "-")
				mustKubectl(t, injected(t, string(text)), "create", "-n", namespace, "-f", "-")
				live := mustKubectl(t, "", "-n", namespace, "get", "deployments,pods", "-o", form)
				back, problems, err := execute(t, live, binary, "uninject")
				if err != nil {
					t.Fatalf("uninject: %v %s", err, problems)
				}
				mustKubectl(t, back, "replace", "--force", "-n", namespace, "-f", "-")
				if before, after := spec(first), spec(namespace); after != before || before == "" {
					t.Errorf("got\n%s\nwant\n%s", after, before)
				}
			})
		}
	}
}
