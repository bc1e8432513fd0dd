package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"envgate/deploy/inject"
)

// gatewayPod is one of the gateway's chart, as a ReplicaSet creates it: without a name and a namespace.
const gatewayPod = `{"metadata": {"generateName": "gateway-6d4cf56db6-", "labels": {"app": "gateway"}, "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gateway-6d4cf56db6"}]},
	"spec": {"containers": [{"name": "mcp-context-forge", "image": "registry.example.com/mcp-context-forge:0.9.0", "ports": [{"containerPort": 4444}],
	"envFrom": [{"secretRef": {"name": "gateway-secret"}}, {"configMapRef": {"name": "gateway-config"}}],
	"readinessProbe": {"httpGet": {"path": "/ready", "port": 4444}}, "terminationMessagePath": "/dev/termination-log"}], "terminationGracePeriodSeconds": 30}}`

// withSidecar is that Pod with a sidecar in it, and an entry in the gateway's environment.
func withSidecar(entry string) string {
	return strings.NewReplacer(`"spec": {`, `"spec": {"initContainers": [{"name": "envgate", "image": "registry.example.com/envgate:1.2.3"}], `,
		`"envFrom":`, `"env": [`+entry+`], "envFrom":`).Replace(gatewayPod)
}

// podWith is a Pod of one container.
func podWith(metadata, image, container string) string {
	return fmt.Sprintf(`{"metadata": {"generateName": "pod-", %s}, "spec": {"containers": [{"name": "main", "image": %q%s}]}}`, metadata, image, container)
}

// beside is a Pod with one more container, and an entry in its metadata.
func beside(pod, container, metadata string) string {
	return strings.NewReplacer(`"containers": [`, `"containers": [`+container+`, `, `"metadata": {`, `"metadata": {`+metadata+`, `).Replace(pod)
}

const (
	known   = "registry.example.com/mcp-context-forge:0.9.0"
	unknown = "registry.example.com/other:1"
	port    = `, "ports": [{"containerPort": 4444}]`
)

func clusterOf(t *testing.T) *fakeAPI {
	t.Helper()
	f := newFakeAPI(t)
	f.namespace("gateways", `"envgate/inject": "enabled", "envgate/environment": "staging"`, "")
	f.namespace("selected", `"envgate/inject": "enabled", "envgate/environment": "staging"`, `"envgate/selector": "app=gateway,tier notin (test)"`)
	f.namespace("nameless", `"envgate/inject": "enabled"`, "")
	f.namespace("mistaken", `"envgate/inject": "enabled", "envgate/environment": "staging"`, `"envgate/selector": "app==="`)
	f.namespace("configured", `"envgate/inject": "enabled", "envgate/environment": "staging"`, `"envgate/mode": "enforce", "envgate/redirect": "manual", "envgate/upstream-port": "5555", "envgate/image": "registry.example.com/own/envgate:2"`)
	f.namespace("badport", `"envgate/inject": "enabled", "envgate/environment": "staging"`, `"envgate/upstream-port": "http"`)
	f.namespace("plain", `"team": "blue"`, "")
	f.namespace("own-policy", `"envgate/inject": "enabled", "envgate/environment": "staging"`, "")
	f.put(namespacesPath+"/own-policy/configmaps/envgate-policy", `{"data": {"policy.yaml": "bind: {host_env: BIND, port_env: LISTEN}\n"}}`)
	f.put(namespacesPath+"/own-policy/configmaps/broken", `{"data": {"policy.yaml": "routes: 7\n"}}`)
	f.put(namespacesPath+"/own-policy/configmaps/empty", `{"data": {"policy": ""}}`)
	f.answerWith(namespacesPath+"/own-policy/configmaps/forbidden", http.StatusForbidden)
	f.answerWith(namespacesPath+"/own-policy/configmaps/failing", http.StatusInternalServerError)
	return f
}

func TestDecisions(t *testing.T) {
	f := clusterOf(t)
	s, lines := start(t, options(f))
	for _, row := range []struct{ name, namespace, pod, result, reason, warning string }{
		{"the gateway's chart is known by its image", "gateways", gatewayPod, "injected", "environment staging", ""},
		{"a gateway's image without a port is none", "gateways", podWith(`"labels": {}`, known, ""), "skipped", "not a gateway", ""},
		{"another image", "gateways", podWith(`"labels": {}`, unknown, port), "skipped", "not a gateway", ""},
		{"another image, labelled", "gateways", podWith(`"labels": {"envgate/inject": "enabled"}`, unknown, port), "injected", "environment staging", ""},
		{"a gateway that opts out", "gateways", podWith(`"labels": {"envgate/inject": "disabled"}`, known, port), "skipped", "label envgate/inject: disabled", ""},
		{"a label that is misspelt", "gateways", podWith(`"labels": {"envgate/inject": "true"}`, unknown, port), "skipped", "not a gateway", `label envgate/inject: "true": want enabled or disabled`},
		{"a Job with the gateway's image", "gateways", podWith(`"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job"}]`, known, port), "skipped", "belongs to a Job", ""},
		{"a labelled Job", "gateways", podWith(`"labels": {"envgate/inject": "enabled"}, "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job"}]`, known, port), "skipped", "belongs to a Job", ""},
		{"somebody else's Job is not Kubernetes'", "gateways", podWith(`"ownerReferences": [{"apiVersion": "example.com/v1", "kind": "Job"}]`, known, port), "injected", "", ""},
		{"a static Pod's mirror", "gateways", podWith(`"annotations": {"kubernetes.io/config.mirror": "x"}`, known, port), "skipped", "a static Pod's mirror", "run envgate inject on its manifest"},
		{"selected by the namespace", "selected", podWith(`"labels": {"app": "gateway"}`, unknown, port), "injected", "", ""},
		{"not selected by the namespace", "selected", podWith(`"labels": {"app": "gateway", "tier": "test"}`, unknown, port), "skipped", "not a gateway", ""},
		{"the image counts beside the selector", "selected", podWith(`"labels": {}`, known, port), "injected", "", ""},
		{"a selector that can't be read", "mistaken", podWith(`"labels": {}`, unknown, port), "denied", `namespace mistaken: annotation envgate/selector: ?app===`, ""},
		{"no environment", "nameless", gatewayPod, "denied", "set its label envgate/environment, as in kubectl label namespace nameless envgate/environment=staging", ""},
		{"no environment, but no gateway either", "nameless", podWith(`"labels": {}`, unknown, port), "skipped", "not a gateway", ""},
		{"the Pod names its environment", "nameless", podWith(`"labels": {"envgate/environment": "blue"}`, known, port), "injected", "environment blue", ""},
		{"the Pod's environment wins", "gateways", podWith(`"labels": {"envgate/environment": "blue"}`, known, port), "injected", "environment blue", ""},
		{"a namespace that did not opt in", "plain", gatewayPod, "skipped", "the namespace has no label envgate/inject: enabled", ""},
		{"a namespace that isn't there", "nowhere", gatewayPod, "error", "namespace nowhere: API server: 404", ""},
		{"an annotation of the namespace that is no port", "badport", gatewayPod, "denied", "namespace badport: annotation envgate/upstream-port: ?http?: want a port", ""},
		{"injection that isn't possible", "gateways", strings.Replace(gatewayPod, `"spec": {`, `"spec": {"hostNetwork": true, `, 1), "denied", "hostNetwork: true: the gateway's loopback", ""},
		{"a Pod that has its sidecar", "gateways", withSidecar(`{"name": "HOST", "value": "127.0.0.1"}`), "skipped", "has its sidecar already", ""},
		{"a sidecar that traffic misses", "gateways", withSidecar(`{"name": "HOST", "value": "0.0.0.0"}`), "denied", "container mcp-context-forge has no HOST=127.0.0.1: traffic would miss it", ""},
		{"a second gateway", "gateways", beside(gatewayPod, `{"name": "other", "image": "registry.example.com/mcp-context-forge:1", "ports": [{"containerPort": 5555}]}`, `"annotations": {"envgate/container": "mcp-context-forge"}`), "denied", "containers mcp-context-forge and other are both gateways, and envgate guards only one", ""},
		{"a gateway that ends TLS", "gateways", podWith(`"labels": {}`, known, port+`, "args": ["--ssl-keyfile", "/k.pem"]`), "denied", "its command line has --ssl-keyfile: the gateway would end TLS itself", ""},
		{"a port by uvicorn's variable", "gateways", podWith(`"labels": {}`, known, port+`, "env": [{"name": "UVICORN_PORT", "value": "8000"}]`), "denied", "UVICORN_PORT fixes where it listens", ""},
		{"a secret in plain text, by reference", "gateways", podWith(`"labels": {}`, known, port+`, "env": [{"name": "MY_KEY", "value": "abc"}, {"name": "JWT_SECRET_KEY", "value": "$(MY_KEY)"}]`), "denied", "MY_KEY stands in plain text", ""},
		{"no key for the sidecar", "gateways", podWith(`"labels": {}`, known, port), "injected", "", "nothing gives the sidecar a key, and it can't start without"},
		{"a Pod without room", "gateways", strings.Replace(gatewayPod, `"spec": {`, `"spec": {"resources": {"limits": {"memory": "64Mi"}}, `, 1), "denied", "spec.resources: limits: memory: ?64Mi?: the sidecar's own is 128Mi", ""},
		{"a moved gateway that listens everywhere", "configured", podWith(`"labels": {}`, known, port+`, "env": [{"name": "HOST", "value": "0.0.0.0"}]`), "denied", "HOST: ?0.0.0.0?: redirect manual needs the gateway on loopback", ""},
		{"a Pod that isn't moved where others are", "configured", podWith(`"annotations": {"envgate/redirect": "port", "envgate/image": "registry.example.com/envgate:1"}`, known, port), "injected", "", ""},
		{"an upstream port for a gateway that isn't moved", "gateways", podWith(`"annotations": {"envgate/upstream-port": "5555"}`, known, port), "denied", "upstream-port: 5555: want redirect manual with it", ""},
		{"a redirection of Services", "gateways", strings.Replace(gatewayPod, `"labels": {`, `"annotations": {"envgate/redirect": "service"}, "labels": {`, 1), "denied", "redirect service: needs the Services", ""},
		{"a Pod without containers", "gateways", `{"metadata": {"labels": {"envgate/inject": "enabled"}}, "spec": null}`, "denied", "spec: missing", ""},
		{"no Pod at all", "gateways", `null`, "error", "object: missing, or not a Pod", ""},
		{"a Pod that is text", "gateways", `"pod"`, "error", "object: missing, or not a Pod", ""},
		{"the namespace's own policy", "own-policy", gatewayPod, "injected", "", ""},
		{"a built-in policy by name", "own-policy", podWith(`"annotations": {"envgate/policy": "contextforge"}`, known, port), "injected", "", ""},
		{"a policy that can't be read", "own-policy", podWith(`"annotations": {"envgate/policy": "broken"}`, known, port), "denied", "policy: ConfigMap broken: policy.yaml: ", ""},
		{"a ConfigMap without a policy", "own-policy", podWith(`"annotations": {"envgate/policy": "empty"}`, known, port), "denied", "policy: ConfigMap empty in namespace own-policy has no key policy.yaml", ""},
		{"a policy that isn't there", "own-policy", podWith(`"annotations": {"envgate/policy": "missing"}`, known, port), "injected", "", "policy: namespace own-policy has no ConfigMap missing: the built-in policy contextforge is used instead"},
		{"a policy that may not be read", "own-policy", podWith(`"annotations": {"envgate/policy": "forbidden"}`, known, port), "injected", "", "policy: the webhook may not read ConfigMap forbidden in namespace own-policy"},
		{"a policy that can't be asked for", "own-policy", podWith(`"annotations": {"envgate/policy": "failing"}`, known, port), "error", "policy: ConfigMap failing in namespace own-policy: API server: 500", ""},
		{"a policy whose name leads elsewhere", "own-policy", podWith(`"annotations": {"envgate/policy": "../secrets/x"}`, known, port), "denied", "annotation envgate/policy: ?../secrets/x?: want", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, admin := s.Addresses()
			counted := func() string {
				_, text := fetch(t, "http://"+admin+"/metrics")
				for line := range strings.SplitSeq(text, "\n") {
					if n, ok := strings.CutPrefix(line, `envgate_injections_total{result="`+row.result+`"} `); ok {
						return n
					}
				}
				return "absent"
			}
			before, logs := counted(), len(lines.String())
			a := ask(t, s, f, question(row.namespace, row.pod))
			if a.UID != "705ab4f5" || a.Allowed != (row.result == "injected" || row.result == "skipped") || (len(a.Patch) > 0) != (row.result == "injected") || (a.PatchType != "") != (row.result == "injected") {
				t.Errorf("answer %+v", a)
			}
			said := lines.String()[logs:]
			var line struct{ Namespace, Pod, Result, Reason string }
			for text := range strings.SplitSeq(said, "\n") {
				if strings.Contains(text, `"msg":"decision"`) {
					_ = json.Unmarshal([]byte(text), &line)
				}
			}
			plain := strings.NewReplacer(`"`, "?").Replace
			if line.Result != row.result || !strings.Contains(plain(line.Reason), row.reason) || line.Namespace != row.namespace {
				t.Errorf("logged %+v, want %s: %s", line, row.result, row.reason)
			}
			if !a.Allowed && (!strings.Contains(plain(a.Status.Message), row.reason) || strings.Contains(a.Status.Message, "\n")) {
				t.Errorf("said %q", a.Status.Message)
			}
			if row.warning == "" && row.result != "injected" && len(a.Warnings) > 0 || row.warning != "" && !slices.ContainsFunc(a.Warnings, func(w string) bool { return strings.Contains(w, row.warning) }) {
				t.Errorf("warnings %q, want %q", a.Warnings, row.warning)
			}
			if counted() == before {
				t.Errorf("not counted as %s", row.result)
			}
			if strings.Contains(said, "gateway-secret") || strings.Contains(said, "terminationMessagePath") {
				t.Error("the Pod is in the log")
			}
		})
	}
}

// patched is the value that a patch gives to a path.
func patched(t *testing.T, a response, path string) any {
	t.Helper()
	var operations []inject.Operation
	if err := json.Unmarshal(a.Patch, &operations); err != nil {
		t.Fatalf("%v: %s %+v", err, a.Patch, a.Status)
	}
	for _, o := range operations {
		if o.Path == path {
			return o.Value
		}
	}
	t.Fatalf("nothing at %s: %s", path, a.Patch)
	return nil
}

// sidecarOf is the added container: its image and its environment.
func sidecarOf(t *testing.T, a response) (image string, env map[string]string) {
	t.Helper()
	c := patched(t, a, "/spec/initContainers").([]any)[0].(map[string]any)
	env = map[string]string{}
	for _, e := range c["env"].([]any) {
		m := e.(map[string]any)
		env[m["name"].(string)], _ = m["value"].(string)
	}
	return c["image"].(string), env
}

func TestTheNamespacesAnnotationsAreDefaults(t *testing.T) {
	f := clusterOf(t)
	s, _ := start(t, options(f))
	image, env := sidecarOf(t, ask(t, s, f, question("configured", gatewayPod)))
	if image != "registry.example.com/own/envgate:2" || env["ENVGATE_MODE"] != "enforce" || env["ENVGATE_UPSTREAM"] != "http://127.0.0.1:5555" || env["ENVGATE_ENVIRONMENT"] != "staging" {
		t.Errorf("image %s, %v", image, env)
	}
	_, env = sidecarOf(t, ask(t, s, f, question("configured", podWith(`"annotations": {"envgate/mode": "report", "envgate/upstream-port": "6666"}`, known, port))))
	if env["ENVGATE_MODE"] != "report" || env["ENVGATE_UPSTREAM"] != "http://127.0.0.1:6666" {
		t.Errorf("the Pod's do not win: %v", env)
	}
	image, env = sidecarOf(t, ask(t, s, f, question("gateways", gatewayPod)))
	if image != "registry.example.com/envgate:1.2.3" || env["ENVGATE_MODE"] != "report" {
		t.Errorf("image %s, %v", image, env)
	}
	if v := patched(t, ask(t, s, f, question("gateways", gatewayPod)), "/metadata/annotations"); v.(map[string]any)["envgate/injected"] != "1.2.3" {
		t.Errorf("annotations %v", v)
	}
}

func TestTheSidecarsLimitsAreTheOptions(t *testing.T) {
	f := clusterOf(t)
	o := options(f)
	o.MemoryLimit, o.CPULimit = "1Gi", "500m"
	s, _ := start(t, o)
	a := ask(t, s, f, question("gateways", gatewayPod))
	c := patched(t, a, "/spec/initContainers").([]any)[0].(map[string]any)
	if limits := fmt.Sprint(c["resources"]); !strings.Contains(limits, "limits:map[cpu:500m memory:1Gi]") {
		t.Error(limits)
	}
	if _, env := sidecarOf(t, a); env["GOMEMLIMIT"] != "921MiB" {
		t.Error(env)
	}
}

func TestAPolicysConfigMapIsMountedOnlyIfItIsThere(t *testing.T) {
	f := clusterOf(t)
	s, _ := start(t, options(f))
	mounted := func(a response) bool { return bytes.Contains(a.Patch, []byte(`"configMap"`)) }
	a := ask(t, s, f, question("own-policy", gatewayPod))
	if !mounted(a) || !bytes.Contains(a.Patch, []byte(`"BIND"`)) {
		t.Errorf("the policy's text or name was not used: %s", a.Patch)
	}
	for _, name := range []string{"missing", "forbidden", "contextforge"} {
		a := ask(t, s, f, question("own-policy", podWith(`"annotations": {"envgate/policy": "`+name+`"}`, known, port)))
		if mounted(a) || !bytes.Contains(a.Patch, []byte(`"HOST"`)) {
			t.Errorf("%s: the Pod would wait for a volume: %s", name, a.Patch)
		}
	}
	if a := ask(t, s, f, question("gateways", gatewayPod)); mounted(a) || len(a.Warnings) > 0 {
		t.Errorf("the default name is not there: %q %s", a.Warnings, a.Patch)
	}
}

func TestAPolicyIsAskedForOnceInAWhile(t *testing.T) {
	f := clusterOf(t)
	o := options(f)
	clock := &clock{now: time.Now()}
	o.now = clock.read
	s, _ := start(t, o)
	for range 5 {
		ask(t, s, f, question("own-policy", gatewayPod))
	}
	path := "GET " + namespacesPath + "/own-policy/configmaps/envgate-policy"
	if n := f.count(path); n != 1 {
		t.Errorf("asked %d times", n)
	}
	f.put(namespacesPath+"/own-policy/configmaps/envgate-policy", `{"data": {"policy.yaml": "bind: {host_env: LATER, port_env: LISTEN}\n"}}`)
	clock.add(11 * time.Second)
	if a := ask(t, s, f, question("own-policy", gatewayPod)); f.count(path) != 2 || !bytes.Contains(a.Patch, []byte(`"LATER"`)) {
		t.Errorf("asked %d times, %s", f.count(path), a.Patch)
	}
	f.answerWith(namespacesPath+"/own-policy/configmaps/envgate-policy", http.StatusInternalServerError)
	clock.add(11 * time.Second)
	if a := ask(t, s, f, question("own-policy", gatewayPod)); f.count(path) != 3 || !bytes.Contains(a.Patch, []byte(`"LATER"`)) {
		t.Errorf("asked %d times; what was known is lost: %s", f.count(path), a.Patch)
	}
}

func TestQuestionsThatAreNone(t *testing.T) {
	f := clusterOf(t)
	s, _ := start(t, options(f))
	address, admin := s.Addresses()
	ask(t, s, f, question("plain", gatewayPod))
	send := func(method, path, contentType, body string) (int, string) {
		r, _ := http.NewRequest(method, "https://"+address+path, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		answer, err := apiClient(f.bundle(t), nil).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(b)
	}
	good := question("gateways", gatewayPod)
	errors := 0
	for _, row := range []struct {
		name, method, path, contentType, body string
		code                                  int
		want                                  string
	}{
		{"another content type", "POST", "/inject", "text/plain", good, 415, "want application/json"},
		{"another version", "POST", "/inject", "application/json", strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), 400, "want AdmissionReview of admission.k8s.io/v1"},
		{"another kind", "POST", "/inject", "application/json", strings.Replace(good, "AdmissionReview", "ConversionReview", 1), 400, "want AdmissionReview"},
		{"no request", "POST", "/inject", "application/json", `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}`, 400, "with a request and its uid"},
		{"no JSON", "POST", "/inject", "application/json", good[:100], 400, "not an AdmissionReview"},
		{"nothing", "POST", "/inject", "application/json", "", 400, "not an AdmissionReview"},
		{"another shape", "POST", "/inject", "application/json", `{"request": [1]}`, 400, "not an AdmissionReview"},
		{"too deep", "POST", "/inject", "application/json", strings.Repeat("[", 200000), 400, "not an AdmissionReview"},
		{"too long", "POST", "/inject", "application/json", `{"a": "` + strings.Repeat("a", 3<<20) + `"}`, 413, "body: longer than 3145728 bytes"},
		{"a charset is no other type", "POST", "/inject", "application/json; charset=utf-8", good, 200, "JSONPatch"},
		{"another method", "GET", "/inject", "application/json", "", 405, "Method Not Allowed"},
		{"another path", "POST", "/mutate", "application/json", good, 404, "not found"},
	} {
		code, text := send(row.method, row.path, row.contentType, row.body)
		if code != row.code || !strings.Contains(text, row.want) || code != 200 && strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %d %q", row.name, code, text)
		}
		if code == 400 || code == 413 || code == 415 {
			errors++
		}
	}
	if _, text := fetch(t, "http://"+admin+"/metrics"); !strings.Contains(text, fmt.Sprintf("envgate_injections_total{result=\"error\"} %d\n", errors)) {
		t.Errorf("not all %d were counted", errors)
	}
}

func TestOtherOperationsAreLeftAlone(t *testing.T) {
	f := clusterOf(t)
	s, _ := start(t, options(f))
	good := question("gateways", gatewayPod)
	for name, text := range map[string]string{
		"an update":               strings.Replace(good, `"CREATE"`, `"UPDATE"`, 1),
		"an ephemeral container":  strings.Replace(good, `"uid"`, `"subResource": "ephemeralcontainers", "uid"`, 1),
		"the creation of another": strings.Replace(good, `"kind": "Pod"`, `"kind": "Service"`, 1),
	} {
		if a := ask(t, s, f, text); !a.Allowed || len(a.Patch) > 0 {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestAMistakeInsideIsADenial(t *testing.T) {
	f := clusterOf(t)
	s, lines := start(t, options(f))
	s.admission.native = func() (bool, bool) { panic("as a test wants") }
	a := ask(t, s, f, question("gateways", gatewayPod))
	if a.Allowed || a.Status.Message != "envgate: a mistake inside, see the webhook's log" || a.UID == "" {
		t.Errorf("answer %+v", a)
	}
	if text := lines.String(); !strings.Contains(text, "as a test wants") || !strings.Contains(text, "decide.go") {
		t.Error("the log doesn't say where")
	}
	s.admission.native = func() (bool, bool) { return false, false }
	if a := ask(t, s, f, question("gateways", gatewayPod)); a.Allowed || !strings.Contains(a.Status.Message, "version") {
		t.Errorf("before the version is known: %+v", a)
	}
}
