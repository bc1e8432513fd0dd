//go:build cluster

package cluster

import (
	"strings"
	"testing"
	"time"

	"envgate/deploy/inject"
)

// bareGateway is a Pod of the shape of the gateway's chart, before injection.
const bareGateway = `apiVersion: v1
kind: Pod
metadata:
  name: gateway
  labels:
    app: gateway
spec:
  automountServiceAccountToken: false
  containers:
    - name: mcp-context-forge
      image: registry.example.com/mcp-context-forge:0.9.0
      ports:
        - containerPort: 4444
      envFrom:
        - secretRef:
            name: gateway
`

// The namespaces of the guard's tests, with what they say to it.
const guardNamespaces = `
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Namespace, metadata: {name: guard-on, labels: {envgate/inject: enabled}}}
  - {apiVersion: v1, kind: Namespace, metadata: {name: guard-optout, labels: {envgate/inject: enabled, envgate/opt-out: allowed}}}
  - {apiVersion: v1, kind: Namespace, metadata: {name: guard-selector, labels: {envgate/inject: enabled}, annotations: {envgate/selector: "app = gateway,tier=web"}}}
  - {apiVersion: v1, kind: Namespace, metadata: {name: guard-unreadable, labels: {envgate/inject: enabled}, annotations: {envgate/selector: "app in (gateway)"}}}
  - {apiVersion: v1, kind: Namespace, metadata: {name: guard-named, labels: {envgate/inject: enabled}, annotations: {envgate/container: web}}}
  - {apiVersion: v1, kind: Namespace, metadata: {name: guard-off}}
`

// What the guard says.
const (
	passes         = ""
	noSidecar      = "has no sidecar"
	notOnLoopback  = "must listen on loopback only"
	takenTwice     = "another container declares the port"
	noPort         = "declares no port called envgate"
	mayNotOptOut   = "opts out"
	whichContainer = "which container is the gateway"
	noSelector     = "can't read the namespace's annotation"
	nodesLoopback  = "with hostNetwork"
)

func TestTheGuardRefusesGatewaysThatCanBeReachedAroundTheSidecar(t *testing.T) {
	withGuard(t)
	nginx := strings.ReplaceAll(bareGateway, "registry.example.com/mcp-context-forge:0.9.0", "registry.example.com/web:1")
	injected, plain := injectPod(t, bareGateway, inject.Options{}), injectPod(t, bareGateway, inject.Options{Plain: true})
	labelled := replaced(t, injectPod(t, nginx, inject.Options{}), "    app: gateway", "    app: gateway\n    envgate/inject: enabled")
	job := "  ownerReferences:\n    - {apiVersion: batch/v1, kind: Job, name: migrate, uid: 9d8f7a52-0000-4000-8000-000000000000}\nspec:"
	third := "      ports:\n        - containerPort: 4444\n      envFrom:"
	jobController := "system:serviceaccount:kube-system:job-controller"

	for _, row := range []struct {
		name, namespace, pod, old, new, user, want string
	}{
		{"an injected gateway passes", "guard-on", injected, "", "", "", passes},
		{"a sidecar by digest passes", "guard-on", injected, "envgate:1.0.0", "envgate@sha256:" + strings.Repeat("0", 64), "", passes},
		{"another Pod passes", "guard-on", nginx, "", "", "", passes},
		{"a gateway without sidecar is refused", "guard-on", bareGateway, "", "", "", noSidecar},
		{"a gateway's image is known without a declared port", "guard-on", bareGateway, "      ports:\n        - containerPort: 4444\n", "", "", noSidecar},
		{"a star matches text with slashes", "guard-on", bareGateway, "registry.example.com/mcp", "registry.example.com:5000/a/b/mcp", "", noSidecar},
		{"an image name is compared literally beside the star", "guard-on", bareGateway, "mcp-context-forge:0.9.0", "mcp-contextXforge:0.9.0", "", passes},
		{"a labelled Pod without sidecar is refused", "guard-on", nginx, "    app: gateway", "    envgate/inject: enabled", "", noSidecar},
		{"a labelled Pod with sidecar passes", "guard-on", labelled, "", "", "", passes},
		{"a container that only calls itself envgate counts for nothing", "guard-on", injected, "registry.example.com/envgate:1.0.0", "registry.example.com/web:1", "", noSidecar},
		{"an image that begins alike counts for nothing", "guard-on", injected, "registry.example.com/envgate:", "registry.example.com/envgate-evil:", "", noSidecar},
		{"an image below the repository counts for nothing", "guard-on", injected, "registry.example.com/envgate:", "registry.example.com/envgate/evil:", "", noSidecar},
		{"an image of another registry counts for nothing", "guard-on", injected, "registry.example.com/envgate:", "evil.example.com/registry.example.com/envgate:", "", noSidecar},
		{"a plain container is no native sidecar", "guard-on", plain, "", "", "", noSidecar},
		{"the gateway on all addresses is refused", "guard-on", injected, `value: "127.0.0.1"`, `value: "0.0.0.0"`, "", notOnLoopback},
		{"the gateway on another loopback spelling is refused", "guard-on", injected, `value: "127.0.0.1"`, `value: localhost`, "", notOnLoopback},
		{"an address from elsewhere is refused", "guard-on", injected, `value: "127.0.0.1"`, "valueFrom: {configMapKeyRef: {name: c, key: HOST}}", "", notOnLoopback},
		{"a later entry that overrides is refused", "guard-on", injected, `value: "127.0.0.1"`, "value: \"127.0.0.1\"\n      - name: HOST\n        value: \"0.0.0.0\"", "", notOnLoopback},
		{"a command line with another address is refused", "guard-on", injected, "      envFrom:", "      args: [gunicorn, --bind=0.0.0.0:4445]\n      envFrom:", "", "command line names"},
		{"a variable that only looks like HOST is not enough", "guard-on", injected, "- name: HOST\n", "- name: HOST_\n", "", notOnLoopback},
		{"a third container on the taken port is refused", "guard-on", injected, "  containers:\n", "  containers:\n    - {name: proxy, image: registry.example.com/web:1, ports: [{containerPort: 4444}]}\n", "", takenTwice},
		{"a third container on another port passes", "guard-on", injected, "  containers:\n", "  containers:\n    - {name: proxy, image: registry.example.com/web:1, ports: [{containerPort: 8080}]}\n", "", passes},
		{"a second gateway beside the guarded one is refused", "guard-on", injected, "  containers:\n", "  containers:\n    - {name: second, image: registry.example.com/mcp-context-forge:1, ports: [{containerPort: 5555}]}\n", "", notOnLoopback},
		{"a worker with the gateway's image and no port passes", "guard-on", injected, "  containers:\n", "  containers:\n    - {name: worker, image: registry.example.com/mcp-context-forge:1}\n", "", passes},
		{"a decoy named as the gateway hides nothing", "guard-named", injected, `value: "127.0.0.1"`, `value: "0.0.0.0"`, "", notOnLoopback},
		{"a sidecar without its port's name is refused", "guard-on", injected, "- name: envgate\n      containerPort", "- name: other\n      containerPort", "", noPort},
		{"a labelled Pod of several containers must name the gateway", "guard-on", labelled, "  containers:\n", "  containers:\n    - {name: proxy, image: registry.example.com/web:1}\n", "", whichContainer},
		{"hostNetwork is refused", "guard-on", injected, "spec:\n", "spec:\n  hostNetwork: true\n", "", nodesLoopback},
		{"opting out needs the namespace's permission", "guard-on", bareGateway, "    app: gateway", "    envgate/inject: disabled", "", mayNotOptOut},
		{"opting out with the sidecar needs it too", "guard-on", injected, "    app: gateway", "    envgate/inject: disabled", "", mayNotOptOut},
		{"opting out passes where the namespace allows", "guard-optout", bareGateway, "    app: gateway", "    envgate/inject: disabled", "", passes},
		{"the permission alone frees nobody", "guard-optout", bareGateway, "", "", "", noSidecar},
		{"another Pod may opt out anywhere", "guard-on", nginx, "    app: gateway", "    envgate/inject: disabled", "", passes},
		{"a Pod of a Job is exempt", "guard-on", bareGateway, "spec:", job, jobController, passes},
		{"a Pod that claims to be of a Job is not", "guard-on", bareGateway, "spec:", job, "", noSidecar},
		{"a Pod from the Job controller that is of no Job is not", "guard-on", bareGateway, "", "", jobController, noSidecar},
		{"a namespace without label is left alone", "guard-off", bareGateway, "", "", "", passes},
		{"a selector makes a gateway", "guard-selector", nginx, "    app: gateway", "    app: gateway\n    tier: web", "", noSidecar},
		{"a selector wants all its labels", "guard-selector", nginx, "", "", "", passes},
		{"a selector that can't be read is refused aloud", "guard-unreadable", nginx, "", "", "", noSelector},
		{"a second port of the gateway itself passes", "guard-on", injected, third, "      ports:\n        - containerPort: 4444\n        - containerPort: 9000\n      envFrom:", "", passes},
	} {
		t.Run(row.name, func(t *testing.T) {
			pod := row.pod
			if row.old != "" {
				pod = replaced(t, pod, row.old, row.new)
			}
			args := []string{"-n", row.namespace, "create", "--dry-run=server", "-f", "-"}
			if row.user != "" {
				args = append(args, "--as", row.user, "--as-group", "system:masters")
			}
			out, err := kubectl(t, pod, args...)
			checkGuard(t, out, err, row.want)
		})
	}
}

func TestTheGuardAcceptsAPlainSidecarWhereItIsToldTo(t *testing.T) {
	withGuard(t, "--set", "guard.allowPlainContainer=true")
	for _, row := range []struct {
		name, pod, want string
	}{
		{"a plain sidecar passes", injectPod(t, bareGateway, inject.Options{Plain: true}), passes},
		{"a native one still does", injectPod(t, bareGateway, inject.Options{}), passes},
		{"none is still refused", bareGateway, noSidecar},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, err := kubectl(t, row.pod, "-n", "guard-on", "create", "--dry-run=server", "-f", "-")
			checkGuard(t, out, err, row.want)
		})
	}
}

func TestTheGuardWatchesUpdatesOfPods(t *testing.T) {
	// Two Pods from before the guard: one without the sidecar, one with it.
	older := replaced(t, bareGateway, "name: gateway\n  labels", "name: older\n  labels")
	injected := replaced(t, injectPod(t, bareGateway, inject.Options{}), "name: gateway\n  labels", "name: injected\n  labels")
	mustKubectl(t, guardNamespaces, "apply", "-f", "-")
	for _, pod := range []string{older, injected} {
		mustKubectl(t, pod, "-n", "guard-on", "apply", "-f", "-")
	}
	t.Cleanup(func() { mustKubectl(t, "", "-n", "guard-on", "delete", "pod", "older", "injected", "--now") })
	withGuard(t)
	for _, row := range []struct {
		name, args, want string
	}{
		{"an older Pod may be labelled", "label pod older x=y", passes},
		{"an older Pod's image may not change", "set image pod/older mcp-context-forge=registry.example.com/mcp-context-forge:2", noSidecar},
		{"an injected gateway's image may change", "set image pod/injected mcp-context-forge=registry.example.com/mcp-context-forge:2", passes},
		{"the sidecar's image may be updated", "set image pod/injected envgate=registry.example.com/envgate:1.0.1", passes},
		{"the sidecar's image may not be exchanged", "set image pod/injected envgate=registry.example.com/web:1", noSidecar},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, err := kubectl(t, "", append(strings.Fields("-n guard-on --dry-run=server"), strings.Fields(row.args)...)...)
			checkGuard(t, out, err, row.want)
		})
	}
}

func TestTheGuardOnlyWarnsWhereItIsToldTo(t *testing.T) {
	withGuard(t, "--set", "guard.validationActions={Warn,Audit}")
	out, err := kubectl(t, bareGateway, "-n", "guard-on", "create", "--dry-run=server", "-f", "-")
	if err != nil || !strings.Contains(out, "Warning:") || !strings.Contains(out, noSidecar) {
		t.Errorf("%v, %s: want it created, with a warning", err, out)
	}
}

// withGuard applies the chart's guard alone, and waits until the API server has taken it up, and later, until it is gone.
func withGuard(t *testing.T, settings ...string) {
	t.Helper()
	mustKubectl(t, guardNamespaces, "apply", "-f", "-")
	for _, namespace := range []string{"guard-on", "guard-optout", "guard-selector", "guard-unreadable", "guard-named", "guard-off"} {
		mustKubectl(t, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\n", "-n", namespace, "apply", "-f", "-")
	}
	guard := template(t, append([]string{"--show-only", "templates/guard.yaml", "--set", "guard.enabled=true"}, settings...)...)
	mustKubectl(t, guard, "apply", "-f", "-")
	await := func(active bool) {
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			out, _ := kubectl(t, bareGateway, "-n", "guard-on", "create", "--dry-run=server", "-f", "-")
			if strings.Contains(out, noSidecar) == active {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("the guard is not active=%v after 30 s: %s", active, out)
			}
		}
	}
	await(true)
	t.Cleanup(func() {
		mustKubectl(t, guard, "delete", "-f", "-")
		await(false)
	})
}

// injectPod is the Pod as the webhook would make it.
func injectPod(t *testing.T, pod string, o inject.Options) string {
	t.Helper()
	o.Environment, o.Image, o.Version = "production", "registry.example.com/envgate:1.0.0", "1.0.0"
	r, err := inject.Manifests([]byte(pod), o)
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Text)
}

// replaced fails if there is nothing to replace: a row that changes nothing would prove nothing.
func replaced(t *testing.T, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("no %q in\n%s", old, text)
	}
	return strings.Replace(text, old, with, 1)
}

func checkGuard(t *testing.T, out string, err error, want string) {
	t.Helper()
	if want == passes && err != nil {
		t.Errorf("refused: %s", out)
	}
	if want != passes && (err == nil || !strings.Contains(out, "envgate: ") || !strings.Contains(out, want)) {
		t.Errorf("%v, %s: want a refusal that says %q", err, out, want)
	}
}
