//go:build cluster

package cluster

import (
	"strings"
	"testing"
)

// Where no replica answers, no Pod starts in a namespace that asked for sidecars, and everything else goes on: the
// webhook's own Pods among it, or it could never come back.
func TestWhereNoReplicaAnswersOnlyGatewaysNamespacesWait(t *testing.T) {
	i := install(t) // and start none
	namespace := gatewayNamespace(t, "envgate/environment=staging")
	unlabelled := newNamespace(t, "others")
	for _, own := range []string{i.namespace, "kube-system"} {
		mustKubectl(t, "", "label", "namespace", own, "envgate/inject=enabled")
		t.Cleanup(func() { mustKubectl(t, "", "label", "namespace", own, "envgate/inject-") })
	}
	refused := func(text, namespace string) bool {
		t.Helper()
		out, err := kubectl(t, text, "-n", namespace, "create", "--dry-run=server", "-f", "-")
		if err != nil && !strings.Contains(out, `failed calling webhook "pods.inject.envgate"`) {
			t.Errorf("refused for another reason: %s", out)
		}
		return err != nil
	}
	eventually(t, func() bool { return refused(podText("first"), namespace) })
	job := `, "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1"}]`
	for _, row := range []struct {
		name, namespace, text string
		refused               bool
	}{
		{"a gateway", namespace, podText("a"), true},
		{"any Pod, for only the webhook knows which is a gateway", namespace, podText("b", "IMAGE", "example.com/other:1"), true},
		{"a Pod of something that only calls itself Job", namespace, podText("c", "OWNERS", strings.Replace(job, "batch/v1", "example.com/v1", 1)), true},
		{"a Pod of a Job", namespace, podText("d", "OWNERS", job), false},
		{"a Pod that opted out", namespace, podText("e", "LABELS", `"envgate/inject": "disabled"`), false},
		{"what is no Pod", namespace, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "f"}}`, false},
		{"a gateway in another namespace", unlabelled, podText("g"), false},
		{"a Pod in the webhook's own namespace, labelled by mistake", i.namespace, podText("h"), false},
		{"a Pod in kube-system, labelled by mistake", "kube-system", podText("i"), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := refused(row.text, row.namespace); got != row.refused {
				t.Errorf("refused: %v, want %v", got, row.refused)
			}
		})
	}
}
