//go:build cluster

package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"envgate/deploy/webhook"
	"envgate/metrics"
)

// installation is the chart, installed in a namespace of its own. The API server reaches no Service here, for nothing
// runs in this cluster: its configuration leads to a process on this machine instead.
type installation struct {
	namespace, name string // of objects
	token           string // a file with the service account's token
	replicas        []replica
}

type replica struct{ listen, admin string }

func install(t *testing.T) *installation {
	t.Helper()
	i := &installation{namespace: newNamespace(t, "webhook")}
	i.name = i.namespace + "-envgate"
	i.helm(t, "install", i.namespace, chartFolder)
	t.Cleanup(func() { i.helm(t, "uninstall", i.namespace) })
	token := mustKubectl(t, "", "-n", i.namespace, "create", "token", i.name+"-webhook")
	i.token = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(i.token, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ports, err := freePorts(2)
		if err != nil {
			t.Fatal(err)
		}
		i.replicas = append(i.replicas, replica{"127.0.0.1:" + ports[0], "127.0.0.1:" + ports[1]})
	}
	i.ask(t, i.replicas[0])
	return i
}

func (i *installation) helm(t *testing.T, args ...string) {
	t.Helper()
	if out, err := program(t, "", helms(t)["HELM"], append(args, "-n", i.namespace, "--kubeconfig", kubeconfig)...); err != nil {
		t.Fatalf("helm %v: %v: %s", args, err, out)
	}
}

// ask leads the API server to a replica.
func (i *installation) ask(t *testing.T, r replica) {
	t.Helper()
	patch := fmt.Sprintf(`[{"op": "replace", "path": "/webhooks/0/clientConfig", "value": {"url": "https://%s/inject", "caBundle": %q}}]`,
		r.listen, mustKubectl(t, "", "get", "mutatingwebhookconfiguration", i.name, "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"))
	mustKubectl(t, "", "patch", "mutatingwebhookconfiguration", i.name, "--type=json", "-p", strings.Replace(patch, `, "caBundle": ""`, "", 1))
}

// start runs the built binary as a replica, with the rights that the chart gives it and no others.
func (i *installation) start(t *testing.T, r replica) {
	t.Helper()
	c := exec.Command(binary, "webhook", "--listen="+r.listen, "--admin-listen="+r.admin, "--namespace="+i.namespace, "--service="+i.name+"-webhook",
		"--configuration="+i.name, "--secret="+i.name+"-webhook-tls", "--hostname=127.0.0.1", "--server="+endpoint.url, "--token-file="+i.token,
		"--certificate-authority="+endpoint.ca)
	log := &lockedBuffer{}
	c.Env, c.Stderr = []string{}, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("the webhook ended with %v", err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
		if strings.Contains(log.String(), "forbidden") {
			t.Errorf("the chart gives too few rights:\n%s", log.String())
		}
	})
	waitFor(t, r)
}

func waitFor(t *testing.T, r replica) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if response, err := http.Get("http://" + r.admin + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatal("the webhook does not get ready")
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

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
	t.Run("each replica answers, and counts", func(t *testing.T) {
		i.ask(t, i.replicas[1])
		mustKubectl(t, podText("second"), "-n", namespace, "create", "-f", "-")
		response, err := http.Get("http://" + i.replicas[1].admin + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		if want := `envgate_injections_total{result="injected"} 1`; !strings.Contains(string(text), want) {
			t.Errorf("no %s", want)
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

// While the CA is replaced again and again, in two replicas at once, every single Pod is injected.
func TestRotationIsNotNoticed(t *testing.T) {
	i := install(t)
	logs := &lockedBuffer{}
	for _, r := range i.replicas {
		s, err := webhook.New(webhook.Options{
			Listen: r.listen, AdminListen: r.admin, Namespace: i.namespace, Service: i.name + "-webhook", Configuration: i.name, Secret: i.name + "-webhook-tls",
			Hostnames: []string{"127.0.0.1"}, Server: endpoint.url, TokenFile: i.token, CertificateAuthority: endpoint.ca, Image: "registry.example.com/envgate:0.1.0",
			AuthorityLifetime: 15 * time.Second, CertificateLifetime: 12 * time.Second, SyncInterval: time.Second, Settle: 2 * time.Second, Build: metrics.Build{Version: "0.1.0"},
		}, slog.New(slog.NewJSONHandler(logs, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		waitFor(t, r)
	}
	namespace := gatewayNamespace(t, "envgate/environment=staging")
	created, turn := 0, 0
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); created++ {
		if created%15 == 14 { // the other replica's turn
			turn++
			i.ask(t, i.replicas[turn%2])
		}
		if name := fmt.Sprintf("pod-%d", created); !podIsInjected(t, namespace, name) {
			out, _ := kubectl(t, podText(name+"-again"), "-n", namespace, "create", "-f", "-")
			t.Fatalf("after %d Pods: %s\n%s", created, out, logs.String())
		}
	}
	if replaced := strings.Count(logs.String(), "a new CA beside the previous one"); replaced < 2 {
		t.Errorf("the CA was replaced %d times only", replaced)
	} else {
		t.Logf("%d Pods were injected while the CA was replaced %d times", created, replaced)
	}
}
