//go:build cluster

package cluster

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// meshWebhook adds a container to every Pod of a namespace, as a service mesh does, behind envgate: its name sorts later.
func meshWebhook(t *testing.T, namespace string) {
	t.Helper()
	patch := []byte(`[{"op": "add", "path": "/spec/containers/-", "value": {"name": "mesh", "image": "example.com/mesh:1", "ports": [{"containerPort": 15090}]}}]`)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct{ Request struct{ UID string } }
		_ = json.NewDecoder(r.Body).Decode(&review)
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": map[string]any{
			"uid": review.Request.UID, "allowed": true, "patchType": "JSONPatch", "patch": patch,
		}})
	}))
	t.Cleanup(server.Close)
	name := freshName("zz-mesh")
	configuration, _ := json.Marshal(map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": map[string]any{"name": name},
		"webhooks": []any{map[string]any{
			"name": "mesh.example.com", "admissionReviewVersions": []string{"v1"}, "sideEffects": "None",
			"clientConfig":      map[string]any{"url": server.URL, "caBundle": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
			"namespaceSelector": map[string]any{"matchLabels": map[string]string{"kubernetes.io/metadata.name": namespace}},
			"rules":             []any{map[string]any{"apiGroups": []string{""}, "apiVersions": []string{"v1"}, "operations": []string{"CREATE"}, "resources": []string{"pods"}}},
		}},
	})
	mustKubectl(t, string(configuration), "create", "-f", "-")
	t.Cleanup(func() { mustKubectl(t, "", "delete", "mutatingwebhookconfiguration", name) })
}

// A webhook that changes the Pod afterwards makes the API server ask envgate again: it then finds its own work done.
func TestAnotherWebhookAfterwardsChangesNothing(t *testing.T) {
	i := install(t)
	i.start(t, i.replicas[0])
	namespace := gatewayNamespace(t, "envgate/environment=staging")
	meshWebhook(t, namespace)
	names := func(name string) string {
		return mustKubectl(t, podText(name), "-n", namespace, "create", "-o", "jsonpath={.spec.initContainers[*].name} {.spec.containers[*].name} {.spec.containers[0].env[*].value}", "-f", "-")
	}
	pods := 0
	eventually(t, func() bool { // the API server takes a new configuration up after a moment
		pods++
		return names(fmt.Sprintf("gateway-%d", pods)) == "envgate mcp-context-forge mesh 127.0.0.1 14444"
	})
	for result, want := range map[string]int{"injected": pods, "skipped": 1, "denied": 0, "error": 0} {
		if got := i.replicas[0].decided(t, result); got != want {
			t.Errorf("%d decisions are %s, want %d", got, result, want)
		}
	}
}
