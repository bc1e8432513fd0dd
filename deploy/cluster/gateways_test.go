//go:build cluster

package cluster

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// gatewayNamespace is one that asked for sidecars.
func gatewayNamespace(t *testing.T, labels ...string) string {
	t.Helper()
	namespace := newNamespace(t, "gateways")
	mustKubectl(t, "", append([]string{"label", "namespace", namespace, "envgate/inject=enabled"}, labels...)...)
	time.Sleep(300 * time.Millisecond) // until every watch has seen it
	return namespace
}

const gatewayPod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "NAME", "labels": {LABELS}, "annotations": {ANNOTATIONS}OWNERS},
"spec": {SPEC"containers": [{"name": "mcp-context-forge", "image": "IMAGE", "ports": [{"containerPort": 4444}], "envFrom": [{"secretRef": {"name": "gateway"}}],
"livenessProbe": {"tcpSocket": {"port": 4444}}, "env": [{"name": "HOST", "value": "0.0.0.0"}],
"securityContext": {"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}]}}`

// podText fills in a Pod: key, value, key, value.
func podText(name string, replace ...string) string {
	replace = append(replace, "NAME", name, "IMAGE", "ghcr.io/ibm/mcp-context-forge:0.9.0", "LABELS", "", "ANNOTATIONS", "", "OWNERS", "", "SPEC", "")
	return strings.NewReplacer(replace...).Replace(gatewayPod)
}

const sidecarNames = "jsonpath={.spec.initContainers[*].name} {.spec.containers[0].env[*].value}"

// podOnServer creates a Pod and returns its specification, without what differs from Pod to Pod.
func podOnServer(t *testing.T, namespace, text string) string {
	t.Helper()
	var pod struct{ Spec map[string]any }
	if err := json.Unmarshal([]byte(mustKubectl(t, text, "-n", namespace, "create", "-o", "json", "-f", "-")), &pod); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(pod.Spec)
	return string(out)
}

func podIsInjected(t *testing.T, namespace, name string) bool {
	t.Helper()
	out, err := kubectl(t, podText(name), "-n", namespace, "create", "-o", sidecarNames, "-f", "-")
	return err == nil && strings.HasPrefix(out, "envgate ")
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in 20 seconds")
		}
	}
}
