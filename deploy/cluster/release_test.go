//go:build cluster

package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// The release's life on the API server, with each Helm: what the process writes must outlive upgrades and rollbacks.
func TestUpgradesKeepTheCertificate(t *testing.T) {
	for name, helm := range helms(t) {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t, "life")
			release := namespace
			mustKubectl(t, "", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
			configuration := release + "-envgate"
			run := func(args ...string) {
				t.Helper()
				if out, err := program(t, "", helm, append(args, "-n", namespace, "--kubeconfig", kubeconfig)...); err != nil {
					t.Fatalf("helm %v: %v: %s", args, err, out)
				}
			}
			t.Cleanup(func() {
				run("uninstall", release)
				if out, err := kubectl(t, "", "get", "mutatingwebhookconfiguration", configuration); err == nil {
					t.Errorf("uninstalled, but there is still %s", out)
				}
			})
			run("install", release, chartFolder)

			bundle := base64.StdEncoding.EncodeToString(certificate(t))
			patch, _ := json.Marshal([]map[string]string{{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}})
			mustKubectl(t, "", "patch", "mutatingwebhookconfiguration", configuration, "--type=json", "-p", string(patch), "--field-manager=envgate")
			mustKubectl(t, "", "-n", namespace, "patch", "secret", configuration+"-webhook-tls", "--type=merge", "-p", `{"data":{"tls.crt":"QQ=="}}`, "--field-manager=envgate")

			for _, step := range []struct {
				args    []string
				timeout string
			}{
				{[]string{"upgrade", release, chartFolder, "--set", "webhook.timeoutSeconds=5"}, "5"},
				{[]string{"rollback", release, "1"}, "3"},
				{[]string{"upgrade", release, chartFolder, "--set", "webhook.timeoutSeconds=7", "--set", "webhook.replicas=3"}, "7"},
			} {
				run(step.args...)
				got := mustKubectl(t, "", "get", "mutatingwebhookconfiguration", configuration, "-o", "jsonpath={.webhooks[0].timeoutSeconds} {.webhooks[0].clientConfig.caBundle}")
				if got != step.timeout+" "+bundle {
					t.Errorf("after %v: %s: want timeout %s and the same caBundle", step.args, got, step.timeout)
				}
				if got := mustKubectl(t, "", "-n", namespace, "get", "secret", configuration+"-webhook-tls", "-o", "jsonpath={.data}"); got != `{"tls.crt":"QQ=="}` {
					t.Errorf("after %v the Secret has %s: want what the process wrote", step.args, got)
				}
			}
			checkPodTemplate(t, namespace, configuration+"-webhook")
		})
	}
}

// certificate is one that the API server takes as a bundle, which it parses.
func certificate(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// checkPodTemplate creates the Deployment's Pod, which no controller does here, in its restricted namespace.
func checkPodTemplate(t *testing.T, namespace, deployment string) {
	t.Helper()
	var d struct {
		Spec struct {
			Template map[string]any `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal([]byte(mustKubectl(t, "", "-n", namespace, "get", "deployment", deployment, "-o", "json")), &d); err != nil {
		t.Fatal(err)
	}
	pod := d.Spec.Template
	pod["apiVersion"], pod["kind"] = "v1", "Pod"
	pod["metadata"].(map[string]any)["name"] = "one"
	text, _ := json.Marshal(pod)
	if out, err := kubectl(t, string(text), "-n", namespace, "create", "--dry-run=server", "--validate=strict", "-f", "-"); err != nil || strings.Contains(out, "Warning") {
		t.Errorf("a Pod of %s in a restricted namespace: %v: %s", deployment, err, out)
	}
}

func TestObjectsOfANamespaceWaitForIt(t *testing.T) {
	home, later := newNamespace(t, "policies"), freshName("later")
	helm := helms(t)["HELM"]
	install := func() string {
		t.Helper()
		out, err := program(t, "", helm, "upgrade", "--install", home, chartFolder, "-n", home, "--kubeconfig", kubeconfig,
			"--set", "policies."+later+"=routes: []", "--set", "settings."+later+".JWT_ISSUER=mcpgateway-later")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return out
	}
	t.Cleanup(func() { _, _ = program(t, "", helm, "uninstall", home, "-n", home, "--kubeconfig", kubeconfig) })
	if out := install(); !strings.Contains(out, "Left out, since there is no such namespace yet: policies and settings of "+later+".") {
		t.Errorf("nothing says what was left out: %s", out)
	}
	mustKubectl(t, "", "create", "namespace", later)
	t.Cleanup(func() { mustKubectl(t, "", "delete", "namespace", later, "--wait=false") })
	if out := install(); strings.Contains(out, "Left out") {
		t.Errorf("the namespace is there, but: %s", out)
	}
	if got := mustKubectl(t, "", "-n", later, "get", "configmap", "envgate-policy", "envgate-settings", "-o", "jsonpath={.items[*].data}"); got != `{"policy.yaml":"routes: []\n"} {"JWT_ISSUER":"mcpgateway-later"}` {
		t.Errorf("the ConfigMaps are %s", got)
	}
}

// freshName is one that no earlier run on this server has: without a controller manager, namespaces never go away.
func freshName(name string) string { return fmt.Sprintf("%s-%d", name, time.Now().UnixNano()%1e9) }

func newNamespace(t *testing.T, name string) string {
	t.Helper()
	name = freshName(name)
	mustKubectl(t, "", "create", "namespace", name)
	t.Cleanup(func() { mustKubectl(t, "", "delete", "namespace", name, "--wait=false") })
	return name
}

// What the process may do, and what it may not: asked of the API server in its name.
func TestTheProcessHasTheRightsThatItNeedsAndNoOthers(t *testing.T) {
	rbac := template(t, "--show-only", "templates/rbac.yaml")
	if out, err := kubectl(t, "", "create", "namespace", "envgate-system"); err != nil && !strings.Contains(out, "AlreadyExists") {
		t.Fatal(out)
	}
	mustKubectl(t, rbac, "apply", "-f", "-")
	t.Cleanup(func() { mustKubectl(t, rbac, "delete", "-f", "-") })
	for _, row := range []struct {
		question, want string
	}{
		{"get secret/envgate-webhook-tls -n envgate-system", "yes"},
		{"patch secret/envgate-webhook-tls -n envgate-system", "yes"},
		{"get secret/other -n envgate-system", "no"},
		{"list secrets -n envgate-system", "no"},
		{"create secrets -n envgate-system", "no"},
		{"delete secret/envgate-webhook-tls -n envgate-system", "no"},
		{"get secret/envgate-webhook-tls -n default", "no"},
		{"patch mutatingwebhookconfiguration/envgate", "yes"},
		{"watch mutatingwebhookconfiguration/envgate", "yes"},
		{"patch mutatingwebhookconfiguration/other", "no"},
		{"create mutatingwebhookconfigurations", "no"},
		{"get configmap/envgate-policy -n default", "yes"},
		{"get configmap/gateway-config -n default", "no"},
		{"list configmaps -n default", "no"},
		{"watch namespaces", "yes"},
		{"patch namespaces", "no"},
		{"get pods -n default", "no"},
		{"list pods -n default", "no"},
	} {
		out, _ := kubectl(t, "", append([]string{"auth", "can-i", "--as", "system:serviceaccount:envgate-system:envgate-webhook"}, strings.Fields(row.question)...)...)
		answers := strings.Fields(strings.Join(slices.DeleteFunc(strings.Split(out, "\n"), func(line string) bool { return strings.Contains(line, "Warning") }), " "))
		if len(answers) != 1 || answers[0] != row.want {
			t.Errorf("%s: %s: want %s", row.question, out, row.want)
		}
	}
}
