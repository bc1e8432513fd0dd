//go:build cluster

package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestTheWebhookInjectsPodsAtCreation(t *testing.T) {
	i := install(t)
	for _, r := range i.replicas {
		i.start(t, r)
	}
	namespace := gatewayNamespace(t, "envgate/environment=staging", "pod-security.kubernetes.io/enforce=restricted")
	nameless := gatewayNamespace(t)
	for _, row := range []struct {
		name, namespace, text, want string // names of init containers and the gateway's HOST and PORT, or a part of the refusal
	}{
		{"a gateway's image", namespace, podText("a"), "envgate 127.0.0.1 14444"},
		{"another image", namespace, podText("b", "IMAGE", "example.com/other:1"), " 0.0.0.0"},
		{"another image, labelled", namespace, podText("c", "IMAGE", "example.com/other:1", "LABELS", `"envgate/inject": "enabled"`), "envgate 127.0.0.1 14444"},
		{"labelled disabled", namespace, podText("d", "LABELS", `"envgate/inject": "disabled"`), " 0.0.0.0"},
		{"of a Job", namespace, podText("e", "OWNERS", `, "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1"}]`), " 0.0.0.0"},
		{"in enforce mode", namespace, podText("f", "ANNOTATIONS", `"envgate/mode": "enforce"`), "envgate 127.0.0.1 14444"},
		{"on the node's network", namespace, podText("g", "SPEC", `"hostNetwork": true, `), "hostNetwork: true: "},
		{"of no environment", nameless, podText("h"), "envgate/environment"},
		{"of an environment of its own", nameless, podText("i", "LABELS", `"envgate/environment": "qa"`), "envgate 127.0.0.1 14444"},
		{"injected already", namespace, injected(t, podText("k"), "--policy="), "envgate 127.0.0.1 14444"},
		{"injected already, as a plain container", namespace, injected(t, podText("l"), "--native=false"), " 127.0.0.1 14444"},
		{"that already has a container called envgate", namespace, podText("m", "SPEC", `"initContainers": [{"name": "envgate", "image": "example.com/other:1", "restartPolicy": "Always"}], `), `image "example.com/other:1"`},
		{"whose command line fixes the port", namespace, podText("n", `"ports"`, `"args": ["--port", "4444"], "ports"`), "its command line fixes where it listens"},
		{"in a namespace that didn't ask", "default", podText(freshName("j")), " 0.0.0.0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pod struct{ Metadata struct{ Name string } }
			_ = json.Unmarshal([]byte(row.text), &pod)
			if out, err := kubectl(t, row.text, "-n", row.namespace, "create", "-f", "-"); err != nil {
				if !strings.Contains(out, row.want) || !strings.Contains(out, "denied the request") {
					t.Errorf("refused: %s", out)
				}
				return
			}
			if got := mustKubectl(t, "", "-n", row.namespace, "get", "pod", pod.Metadata.Name, "-o", sidecarNames); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	t.Run("as on the command line", func(t *testing.T) {
		one := podOnServer(t, namespace, podText("as-webhook"))
		two := podOnServer(t, "default", injected(t, podText(freshName("as-command")), "--policy="))
		if one != two {
			t.Errorf("the webhook and the command line differ:\n%s\n%s", one, two)
		}
	})
	t.Run("as the page on Kubernetes tries it", func(t *testing.T) {
		out := mustKubectl(t, "", "-n", gatewayNamespace(t, "envgate/environment=staging"), "run", "try", "--image=registry.example.com/mcp-context-forge:1",
			"--port=4444", "--dry-run=server", "-o", "jsonpath={.spec.initContainers[*].name}")
		if out != "envgate" {
			t.Error(out)
		}
	})
	t.Run("Deployments show no drift", func(t *testing.T) {
		text, err := os.ReadFile(manifestsFolder + "/pretty.json")
		if err != nil {
			t.Fatal(err)
		}
		mustKubectl(t, string(text), "-n", namespace, "apply", "-f", "-")
		if out, err := kubectl(t, string(text), "-n", namespace, "diff", "-f", "-"); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("each replica answers, and counts", func(t *testing.T) {
		i.ask(t, i.replicas[1])
		mustKubectl(t, podText("second"), "-n", namespace, "create", "-f", "-")
		if n := i.replicas[1].decided(t, "injected"); n != 1 {
			t.Errorf("the second replica has counted %d", n)
		}
	})
	t.Run("a dry run", func(t *testing.T) {
		if out := mustKubectl(t, podText("dry"), "-n", namespace, "create", "--dry-run=server", "-o", sidecarNames, "-f", "-"); out != "envgate 127.0.0.1 14444" {
			t.Error(out)
		}
	})
	t.Run("caBundle is repaired", func(t *testing.T) {
		mustKubectl(t, "", "patch", "mutatingwebhookconfiguration", i.name, "--type=json", "-p", `[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]`)
		eventually(t, func() bool { return podIsInjected(t, namespace, freshName("repaired")) })
	})
	t.Run("an upgrade of the chart", func(t *testing.T) {
		service := fmt.Sprintf(`[{"op": "remove", "path": "/webhooks/0/clientConfig/url"}, {"op": "add", "path": "/webhooks/0/clientConfig/service",
			"value": {"name": %q, "namespace": %q, "path": "/inject", "port": 443}}]`, i.name+"-webhook", i.namespace)
		mustKubectl(t, "", "patch", "mutatingwebhookconfiguration", i.name, "--type=json", "-p", service) // as the chart has it
		i.helm(t, "upgrade", i.namespace, chartFolder, "--set", "webhook.timeoutSeconds=4")
		i.ask(t, i.replicas[0])
		if !podIsInjected(t, namespace, freshName("upgraded")) {
			t.Error("no Pod can be created any more")
		}
	})
}
