//go:build cluster

package cluster

import (
	"strings"
	"testing"
)

// A namespace's policy is a ConfigMap that may be there: one that is missing must leave no Pod waiting for its volume.
func TestANamespaceMayHaveAPolicy(t *testing.T) {
	i := install(t)
	i.start(t, i.replicas[0])
	const configMaps = "jsonpath={.spec.initContainers[*].name} {.spec.volumes[*].configMap.name}"
	const good = "policy.yaml=bind: {host_env: HOST, port_env: PORT}"
	for _, row := range []struct{ name, policy, annotation, want, warning string }{
		{"none", "", "", "envgate ", ""},
		{"one of the default name", good, "", "envgate envgate-policy", ""},
		{"one that is asked for", good, "envgate-policy", "envgate envgate-policy", ""},
		{"a built-in one in its stead", good, "contextforge", "envgate ", ""},
		{"one that is asked for, and missing", "", "envgate-policy", "envgate ", "has no ConfigMap envgate-policy: the built-in policy contextforge is used instead"},
		{"one that the chart doesn't let the webhook read", "", "other", "envgate ", "may not read ConfigMap other"},
		{"one that doesn't say how the gateway moves", "policy.yaml=routes: []", "", "", "the policy names no bind variables"},
		{"one without its key", "policy.yml=routes: []", "", "", "has no key policy.yaml: add it"},
	} {
		t.Run(row.name, func(t *testing.T) {
			namespace := gatewayNamespace(t, "envgate/environment=staging")
			if row.policy != "" {
				mustKubectl(t, "", "-n", namespace, "create", "configmap", "envgate-policy", "--from-literal="+row.policy)
			}
			annotation := ""
			if row.annotation != "" {
				annotation = `"envgate/policy": "` + row.annotation + `"`
			}
			out, problems, err := execute(t, podText("a", "ANNOTATIONS", annotation), apiserver, kubectlArgs([]string{"-n", namespace, "create", "-o", configMaps, "-f", "-"})...)
			problems = withoutPorts(problems)
			if out != row.want || (err == nil) != (row.want != "") || !strings.Contains(problems, row.warning) || row.warning == "" && problems != "" {
				t.Errorf("%q, %v, %s: want %q and %q", out, err, problems, row.want, row.warning)
			}
		})
	}
}

// withoutPorts takes away the warning that gateway and sidecar declare the same port, as they should.
func withoutPorts(problems string) (kept string) {
	for line := range strings.Lines(problems) {
		if !strings.Contains(line, "port definition with") {
			kept += line
		}
	}
	return kept
}
