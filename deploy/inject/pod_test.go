package inject

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// options are what every row starts from.
var options = Options{Environment: "staging", Image: "registry.example.com/envgate:1.0.0", Version: "1.0.0"}

// decoded is a Pod of one gateway container, to whose fields, and to whose spec, more are added.
func decoded(t *testing.T, container, spec string) map[string]any {
	t.Helper()
	text := "metadata: {name: gateway, labels: {app: gateway}}\nspec:\n  containers:\n  - name: gateway\n    image: ghcr.io/ibm/mcp-context-forge:0.9.0\n"
	if !strings.Contains(container, "ports:") {
		text += "    ports: [{containerPort: 4444}]\n"
	}
	for line := range strings.Lines(container) {
		text += "    " + line
	}
	text += "\n"
	for line := range strings.Lines(spec) {
		text += "  " + line
	}
	var pod map[string]any
	if err := yaml.Unmarshal([]byte(text), &pod); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return pod
}

// sidecarOf injects and returns the whole Pod and its sidecar, as JSON would be decoded.
func sidecarOf(t *testing.T, pod map[string]any, o Options) (whole, sidecar map[string]any, notes []string) {
	t.Helper()
	change, err := Pod(pod, o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(sorted(applied(pod, "", change.edits)))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	for _, c := range containers(whole) {
		if c.name() == sidecarName {
			sidecar = c.fields
		}
	}
	return whole, sidecar, change.Notes
}

func TestRefusals(t *testing.T) {
	with := func(change func(*Options)) Options { o := options; change(&o); return o }
	none := func(*Options) {}
	for _, row := range []struct {
		name, container, spec string
		change                func(*Options)
		want                  string
	}{
		{"no environment", "", "", func(o *Options) { o.Environment = "" }, `environment: "": this environment's name: want 1 to 63`},
		{"an environment with a space", "", "", func(o *Options) { o.Environment = "a b" }, `environment: "a b": this environment's name: want 1 to 63`},
		{"no image", "", "", func(o *Options) { o.Image = "" }, `image: "": want the sidecar's image`},
		{"an unknown mode", "", "", func(o *Options) { o.Mode = "log" }, `mode: "log": want report or enforce`},
		{"an unknown redirect", "", "", func(o *Options) { o.Redirect = "iptables" }, `redirect: "iptables": want port or manual or service`},
		{"an unknown mesh", "", "", func(o *Options) { o.Mesh = "consul" }, `mesh: "consul": want istio or linkerd`},
		{"an unknown probe", "", "", func(o *Options) { o.Probe = "tcp" }, `probe: "tcp": want exec or http`},
		{"an unknown env-from", "", "", func(o *Options) { o.EnvFrom = "some" }, `env-from: "some": want all or config-maps or none`},
		{"a memory limit without unit", "", "", func(o *Options) { o.MemoryLimit = "128" }, `memory-limit: "128": want a whole number of Mi or Gi`},
		{"a memory limit below the request", "", "", func(o *Options) { o.MemoryLimit = "16Mi" }, `memory-limit: "16Mi": want at least 32Mi, which is requested`},
		{"a CPU limit in percent", "", "", func(o *Options) { o.CPULimit = "50%" }, `cpu-limit: "50%": want cores or milli-cores`},
		{"a Secret without env-from", "", "", func(o *Options) { o.Secret = "s" }, "secret: s: want --env-from none or config-maps with it"},
		{"env-from none without a Secret", "", "", func(o *Options) { o.EnvFrom = "none" }, "secret: missing: --env-from none needs the Secret"},
		{"a policy that is a path", "", "", func(o *Options) { o.Policy = "/etc/p.yaml" }, `policy: "/etc/p.yaml": want a built-in policy (contextforge) or the name of a ConfigMap`},
		{"a broken policy", "", "", func(o *Options) { o.Policy, o.PolicyText = "p", []byte("x: 1\n") }, "policy: ConfigMap p: policy.yaml: line 1, column 1: unknown field"},
		{"a policy without bind", "", "", func(o *Options) { o.Policy, o.PolicyText = "p", []byte("routes: []\n") }, "the policy names no bind variables"},
		{"manual without a port", "", "", func(o *Options) { o.Redirect = "manual" }, "upstream-port: missing: redirect manual needs"},
		{"manual, where the gateway declares its new port", "ports: [{containerPort: 4444}, {containerPort: 9, name: http}]", "", func(o *Options) { o.Redirect, o.UpstreamPort = "manual", 4444 }, ""},
		{"services, of which a Pod knows nothing", "", "", func(o *Options) { o.Redirect = "service" }, "redirect service: needs the Services"},
		{"a mount that isn't there", "", "", func(o *Options) { o.Mounts = []string{"keys"} }, `mount: "keys": container gateway mounts no volume of that name`},
		{"a container that isn't there", "", "", func(o *Options) { o.Container = "app" }, `container "app": no such container: want one of gateway`},
		{"no port", "ports: []", "", none, "container gateway declares no port"},
		{"a UDP port only", "ports: [{containerPort: 4444, protocol: UDP}]", "", none, "container gateway declares no port"},
		{"several ports", "ports: [{containerPort: 1}, {containerPort: 2}]", "", none, "container gateway declares several ports: call the one to guard http, or set PORT"},
		{"PORT is no number", "env: [{name: PORT, value: http}]", "", none, `container gateway: PORT: "http": want a port`},
		{"hostNetwork", "", "hostNetwork: true", none, "hostNetwork: true: the gateway's loopback and ports would be the node's"},
		{"Windows", "", "os: {name: windows}", none, "os: windows: envgate runs on Linux nodes only"},
		{"a port in the command line", "args: [--port, '4444']", "", none, "its command line fixes where it listens: move it there to 127.0.0.1:14444, and set the annotations envgate/redirect: manual and envgate/upstream-port: \"14444\""},
		{"a port in a shell line", `command: [sh, -c, "gunicorn -b 0.0.0.0:$PORT app"]`, "", none, "its command line fixes where it listens"},
		{"an address in the command line", "args: [--host, '::']", "", none, "its command line fixes where it listens"},
		{"a secret in plain text", "env: [{name: JWT_SECRET_KEY, value: hunter2hunter2hunter2hunter2hunter2}]", "", none, "container gateway: JWT_SECRET_KEY stands in plain text: move it to a Secret"},
		{"a gateway that speaks TLS", "livenessProbe: {httpGet: {port: 4444, path: /health, scheme: HTTPS}}", "", none, "liveness probe: scheme HTTPS: the gateway speaks TLS on its port"},
		{"a foreign container called envgate", "", "initContainers: [{name: envgate, image: evil.example.com/envgate:1.0.0}]", none, `container envgate: image "evil.example.com/envgate:1.0.0" is not registry.example.com/envgate`},
		{"a longer repository called envgate", "", "initContainers: [{name: envgate, image: registry.example.com/envgate-evil:1.0.0}]", none, `container envgate: image "registry.example.com/envgate-evil:1.0.0" is not registry.example.com/envgate`},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Pod(decoded(t, row.container, row.spec), with(row.change))
			switch {
			case row.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case row.want == "":
			case err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2"):
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

// What a command line may say without fixing where the gateway listens.
func TestCommandLines(t *testing.T) {
	for line, fixed := range map[string]bool{
		"":                            false,
		"./run-gunicorn.sh":           false,
		"gunicorn --bind $HOST:$PORT": false,
		"uvicorn app --port $(PORT) --host ${HOST}": false,
		"serve --portal x --porter 1":               false,
		"sleep 44440; sleep 14444":                  false,
		"uvicorn app --port 4444":                   true,
		"uvicorn app --port=4445":                   true,
		"gunicorn -b unix:/run/x":                   true,
		"gunicorn --bind [::]:$PORT":                true,
		"uvicorn --host 0.0.0.0 --port $PORT":       true,
		"echo 4444":                                 true,
	} {
		if fixesPort(line, 4444) != fixed {
			t.Errorf("%q: fixed %t", line, !fixed)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, row := range []struct {
		pattern, s string
		want       bool
	}{
		{"*/mcp-context-forge*", "ghcr.io/ibm/mcp-context-forge:1.0.4", true},
		{"*/mcp-context-forge*", "ghcr.io/ibm/mcp-context-forge@sha256:00", true},
		{"*/mcp-context-forge*", "mcp-context-forge:1", false},
		{"*/mcp-context-forge*", "ghcr.io/ibm/other", false},
		{"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*", "", true}, {"a*a", "a", false}, {"a*b*c", "axbyc", true}, {"a*b*c", "acb", false},
	} {
		if matches(row.pattern, row.s) != row.want {
			t.Errorf("%s %s: %t", row.pattern, row.s, !row.want)
		}
	}
}

// envOf is a container's environment as name=value, with where else a value comes from.
func envOf(c map[string]any) (all []string) {
	for _, v := range list(c["env"]) {
		m := mapping(v)
		if from, ok := m["valueFrom"]; ok {
			text, _ := json.Marshal(from)
			all = append(all, fmt.Sprintf("%s<%s", m["name"], text))
		} else {
			all = append(all, fmt.Sprintf("%s=%s", m["name"], m["value"]))
		}
	}
	return all
}

// The sidecar shares the gateway's settings from where they are, and nothing else of its environment.
func TestEnvironment(t *testing.T) {
	for _, row := range []struct {
		name, container string
		change          func(*Options)
		has, lacks      string // parts of the environment, joined by spaces
	}{
		{"other variables stay away", "env: [{name: DATABASE_URL, value: postgres}, {name: JWT_ISSUER, value: a}]", nil, "JWT_ISSUER=a", "DATABASE_URL"},
		{"HOST and PORT stay away", "env: [{name: HOST, value: x}]", nil, "ENVGATE_LISTEN=:4444", " HOST="},
		{"a reference comes along, in order", `env: [{name: SUFFIX, value: b}, {name: JWT_ISSUER, value: "a-$(SUFFIX)"}]`, nil, "SUFFIX=b JWT_ISSUER=a-$(SUFFIX)", ""},
		{"references of references", `env: [{name: A, value: x}, {name: B, value: $(A)}, {name: JWT_ISSUER, value: $(B)}]`, nil, "A=x B=$(A) JWT_ISSUER=$(B)", ""},
		{"a later variable is no reference", `env: [{name: JWT_ISSUER, value: $(B)}, {name: B, value: x}]`, nil, "JWT_ISSUER=$(B)", " B=x"},
		{"$$(X) is no reference", `env: [{name: B, value: x}, {name: JWT_ISSUER, value: $$(B)}]`, nil, "JWT_ISSUER=$$(B)", "B=x"},
		{"a secret stays a reference", "env: [{name: JWT_SECRET_KEY, valueFrom: {secretKeyRef: {name: s, key: k}}}]", nil, `JWT_SECRET_KEY<{"secretKeyRef":{"key":"k","name":"s"}}`, ""},
		{"a secret that refers is no plain text", `env: [{name: X, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: JWT_SECRET_KEY, value: $(X)}]`, nil, "JWT_SECRET_KEY=$(X)", ""},
		{"force copies plain text", "env: [{name: JWT_SECRET_KEY, value: abc}]", func(o *Options) { o.Force = true }, "JWT_SECRET_KEY=abc", ""},
		{"ours win over the gateway's", "env: [{name: ENVGATE_MODE, value: enforce}]", nil, "ENVGATE_MODE=report", "ENVGATE_MODE=enforce"},
		{"mode enforce", "", func(o *Options) { o.Mode = "enforce" }, "ENVGATE_ENVIRONMENT=staging ENVGATE_ENVIRONMENT_RULE=enforce ENVGATE_MODE=enforce ENVGATE_TRUSTED_PROXIES=private", ""},
		{"the memory limit", "", func(o *Options) { o.MemoryLimit = "1Gi" }, "GOMEMLIMIT=921MiB", ""},
		{"a taken admin port", "ports: [{containerPort: 4444, name: http}, {containerPort: 4446}]", nil, "ENVGATE_ADMIN_LISTEN=:4447", ""},
		{"a policy in a ConfigMap", "", func(o *Options) { o.Policy = "p" }, "ENVGATE_POLICY=/etc/envgate/policy.yaml", ""},
		{"one Secret", "env: [{name: JWT_ISSUER, value: a}, {name: JWT_SECRET_KEY, value: plain}]", func(o *Options) { o.EnvFrom, o.Secret = "none", "least" }, `JWT_SECRET_KEY<{"secretKeyRef":{"key":"JWT_SECRET_KEY","name":"least","optional":true}}`, "JWT_ISSUER<"},
		{"a probe's text is no reference", `livenessProbe: {httpGet: {path: "/x$(HOME)", port: 4444}}`, nil, `"path":"/x$$(HOME)"`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := options
			if row.change != nil {
				row.change(&o)
			}
			_, sidecar, _ := sidecarOf(t, decoded(t, row.container, ""), o)
			env := " " + strings.Join(envOf(sidecar), " ")
			if !strings.Contains(env, row.has) || row.lacks != "" && strings.Contains(env, row.lacks) {
				t.Errorf("%s\nwant %s, not %s", env, row.has, row.lacks)
			}
		})
	}
}

// Where a field of the injected Pod ends up; a path that leads nowhere is null.
func TestWhatIsInjected(t *testing.T) {
	for _, row := range []struct {
		name, container, spec string
		change                func(*Options)
		path, want            string
	}{
		{"the next free port above", "ports: [{containerPort: 4444, name: http}, {containerPort: 14444}]", "", nil, "/spec/containers/0/env/1/value", `"14445"`},
		{"a port above 55535", "ports: [{containerPort: 60000}]", "", nil, "/spec/containers/0/env/1/value", `"10000"`},
		{"PORT in plain text is the port", "env: [{name: PORT, value: '8080'}]", "", nil, "/spec/initContainers/0/ports/0/containerPort", "8080"},
		{"HOST from elsewhere is replaced", "env: [{name: HOST, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]", "", nil, "/spec/containers/0/env/0", `{"name":"HOST","value":"127.0.0.1"}`},
		{"every HOST is replaced", "env: [{name: HOST, value: a}, {name: HOST, value: b}]", "", nil, "/spec/containers/0/env/1/value", `"127.0.0.1"`},
		{"last of the init containers", "", "initContainers: [{name: migrate, image: x}]", nil, "/spec/initContainers/1/name", `"envgate"`},
		{"a native sidecar", "", "", nil, "/spec/initContainers/0/restartPolicy", `"Always"`},
		{"a plain container", "", "", func(o *Options) { o.Plain = true }, "/spec/containers/1/name", `"envgate"`},
		{"a plain container has no restartPolicy", "", "", func(o *Options) { o.Plain = true }, "/spec/containers/1/restartPolicy", "null"},
		{"no user, for OpenShift assigns one", "", "", nil, "/spec/initContainers/0/securityContext/runAsUser", "null"},
		{"a user where the Pod says root", "", "securityContext: {runAsUser: 0}", nil, "/spec/initContainers/0/securityContext/runAsUser", "65532"},
		{"a port below 1024", "ports: [{containerPort: 80}]", "", nil, "/spec/securityContext/sysctls/0", `{"name":"net.ipv4.ip_unprivileged_port_start","value":"80"}`},
		{"the startup probe asks for life", "", "", nil, "/spec/initContainers/0/startupProbe/exec/command", `["/envgate","healthcheck","--live"]`},
		{"probes by HTTP", "", "", func(o *Options) { o.Probe = "http" }, "/spec/initContainers/0/startupProbe/httpGet", `{"path":"/livez","port":"envgate-admin"}`},
		{"no liveness probe", "", "", nil, "/spec/initContainers/0/livenessProbe", "null"},
		{"no CPU limit", "", "", nil, "/spec/initContainers/0/resources/limits", `{"memory":"128Mi"}`},
		{"a CPU limit", "", "", func(o *Options) { o.CPULimit = "1" }, "/spec/initContainers/0/resources/limits/cpu", `"1"`},
		{"the gateway sleeps", "", "", nil, "/spec/containers/0/lifecycle/preStop", `{"sleep":{"seconds":10}}`},
		{"a gateway's own hook stays", "lifecycle: {preStop: {exec: {command: [x]}}}", "", nil, "/spec/containers/0/lifecycle/preStop", `{"exec":{"command":["x"]}}`},
		{"a postStart hook stays beside", "lifecycle: {postStart: {exec: {command: [x]}}}", "", nil, "/spec/containers/0/lifecycle/preStop", `{"sleep":{"seconds":10}}`},
		{"the default grace is enough", "", "", nil, "/spec/terminationGracePeriodSeconds", "null"},
		{"a short grace is raised", "", "terminationGracePeriodSeconds: 5", nil, "/spec/terminationGracePeriodSeconds", "30"},
		{"a long grace stays", "", "terminationGracePeriodSeconds: 600", nil, "/spec/terminationGracePeriodSeconds", "600"},
		{"a long sleep raises the grace", "lifecycle: {preStop: {sleep: {seconds: 25}}}", "", nil, "/spec/terminationGracePeriodSeconds", "45"},
		{"a public httpGet stays", "readinessProbe: {httpGet: {path: /ready, port: 4444}}", "", nil, "/spec/containers/0/readinessProbe/httpGet", `{"path":"/ready","port":4444}`},
		{"a public httpGet by name stays", "ports: [{name: http, containerPort: 4444}]\nreadinessProbe: {httpGet: {path: /ready, port: http}}", "", nil, "/spec/containers/0/readinessProbe/httpGet/port", `"http"`},
		{"a protected httpGet moves", "readinessProbe: {httpGet: {path: /version, port: 4444}, periodSeconds: 3}", "", nil, "/spec/containers/0/readinessProbe", `{"httpGet":{"path":"/probe/gateway/readiness","port":4446},"periodSeconds":3}`},
		{"a public path with a query is public", "readinessProbe: {httpGet: {path: '/health?deep=1', port: 4444}}", "", nil, "/spec/containers/0/readinessProbe/httpGet/path", `"/health?deep=1"`},
		{"tcpSocket moves", "livenessProbe: {tcpSocket: {port: 4444}}", "", nil, "/spec/containers/0/livenessProbe", `{"httpGet":{"path":"/probe/gateway/liveness","port":4446}}`},
		{"grpc moves", "startupProbe: {grpc: {port: 4444}}", "", nil, "/spec/containers/0/startupProbe/httpGet/path", `"/probe/gateway/startup"`},
		{"another port's probe stays", "ports: [{name: http, containerPort: 4444}, {containerPort: 9}]\nlivenessProbe: {tcpSocket: {port: 9}}", "", nil, "/spec/containers/0/livenessProbe", `{"tcpSocket":{"port":9}}`},
		{"a probe of another host stays", "livenessProbe: {tcpSocket: {port: 4444, host: db.example.com}}", "", nil, "/spec/containers/0/livenessProbe/tcpSocket/port", "4444"},
		{"an exec probe stays", "livenessProbe: {exec: {command: [curl, 'http://localhost:4444/']}}", "", nil, "/spec/containers/0/livenessProbe/exec/command/0", `"curl"`},
		{"key files are mounted, read-only", "env: [{name: JWT_PUBLIC_KEY_PATH, value: /keys/public.pem}]\nvolumeMounts: [{name: keys, mountPath: /keys}, {name: data, mountPath: /data}]", "volumes: [{name: keys, emptyDir: {}}, {name: data, emptyDir: {}}]", nil, "/spec/initContainers/0/volumeMounts", `[{"mountPath":"/keys","name":"keys","readOnly":true}]`},
		{"a mount that is asked for", "volumeMounts: [{name: keys, mountPath: /keys/a.pem, subPath: a.pem}]", "", func(o *Options) { o.Mounts = []string{"keys"} }, "/spec/initContainers/0/volumeMounts", `[{"mountPath":"/keys/a.pem","name":"keys","readOnly":true,"subPath":"a.pem"}]`},
		{"a policy's volume", "", "", func(o *Options) { o.Policy = "p" }, "/spec/volumes", `[{"configMap":{"name":"p"},"name":"envgate-policy"}]`},
		{"envFrom as it is", "envFrom: [{prefix: A_, secretRef: {name: s, optional: true}}, {configMapRef: {name: c}}]", "", nil, "/spec/initContainers/0/envFrom", `[{"prefix":"A_","secretRef":{"name":"s","optional":true}},{"configMapRef":{"name":"c"}}]`},
		{"envFrom of ConfigMaps", "envFrom: [{secretRef: {name: s}}, {configMapRef: {name: c}}]", "", func(o *Options) { o.EnvFrom, o.Secret = "config-maps", "least" }, "/spec/initContainers/0/envFrom", `[{"configMapRef":{"name":"c"}}]`},
		{"no envFrom", "envFrom: [{configMapRef: {name: c}}]", "", func(o *Options) { o.EnvFrom, o.Secret = "none", "least" }, "/spec/initContainers/0/envFrom", "null"},
		{"manual moves nothing", "", "", func(o *Options) { o.Redirect, o.UpstreamPort = "manual", 5000 }, "/spec/containers/0/env", "null"},
		{"manual leads to the owner's port", "", "", func(o *Options) { o.Redirect, o.UpstreamPort = "manual", 5000 }, "/spec/initContainers/0/env/5/value", `"http://127.0.0.1:5000"`},
		{"manual with the moved port in PORT", "env: [{name: PORT, value: '5000'}]", "", func(o *Options) { o.Redirect, o.UpstreamPort = "manual", 5000 }, "/spec/initContainers/0/ports/0/containerPort", "4444"},
		{"forced into hostNetwork", "", "hostNetwork: true", func(o *Options) { o.Force = true }, "/spec/initContainers/0/name", `"envgate"`},
		{"out of Istio", "", "", func(o *Options) { o.Mesh = "istio" }, "/metadata/annotations/traffic.sidecar.istio.io~1excludeInboundPorts", `"4446"`},
		{"out of Linkerd", "", "", func(o *Options) { o.Mesh = "linkerd" }, "/metadata/annotations/config.linkerd.io~1skip-inbound-ports", `"4446"`},
		{"the version", "", "", nil, "/metadata/annotations/envgate~1injected", `"1.0.0"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := options
			if row.change != nil {
				row.change(&o)
			}
			whole, _, _ := sidecarOf(t, decoded(t, row.container, row.spec), o)
			found, _ := lookUp(whole, row.path)
			if text, _ := json.Marshal(found); string(text) != row.want {
				t.Errorf("%s: %s, want %s", row.path, text, row.want)
			}
		})
	}
}

// A Pod's annotations win over the options.
func TestAnnotations(t *testing.T) {
	pod := decoded(t, "", "")
	mapping(pod, "metadata")["annotations"] = map[string]any{
		annotationMode: "enforce", annotationImage: "registry.example.com/mirror/envgate:2", annotationRedirect: "manual", annotationUpstreamPort: "5000",
		annotationContainer: "gateway", annotationPolicy: "p",
	}
	_, sidecar, _ := sidecarOf(t, pod, options)
	env := strings.Join(envOf(sidecar), " ")
	for _, want := range []string{"ENVGATE_MODE=enforce", "ENVGATE_UPSTREAM=http://127.0.0.1:5000", "ENVGATE_POLICY=/etc/envgate/policy.yaml"} {
		if !strings.Contains(env, want) {
			t.Errorf("no %s in %s", want, env)
		}
	}
	if sidecar["image"] != "registry.example.com/mirror/envgate:2" {
		t.Error(sidecar["image"])
	}
	mapping(pod, "metadata", "annotations")[annotationUpstreamPort] = "x"
	if _, err := Pod(pod, options); err == nil || err.Error() != `annotation envgate/upstream-port: "x": want a port, 1 to 65535` {
		t.Error(err)
	}
}

// A Pod that has its sidecar is left alone, whoever put it there.
func TestIdempotent(t *testing.T) {
	whole, _, _ := sidecarOf(t, decoded(t, "", ""), options)
	if change, err := Pod(whole, options); err != nil || len(change.Operations) != 0 {
		t.Error(change, err)
	}
}

func TestNotes(t *testing.T) {
	for _, row := range []struct{ name, container, want string }{
		{"another port", "ports: [{name: http, containerPort: 4444}, {containerPort: 9090}]", "port 9090 of container gateway stays open beside envgate: nothing guards it"},
		{"an exec probe", "livenessProbe: {exec: {command: [sh, -c, 'curl localhost:4444']}}", "container gateway: liveness probe runs a command that mentions port 4444"},
		{"a hook by HTTP", "lifecycle: {postStart: {httpGet: {port: 4444}}}", "container gateway: postStart hook goes to port 4444"},
		{"a hook of unknown length", "lifecycle: {preStop: {exec: {command: [x]}}}", "container gateway has a preStop hook: see that it lasts 10 s"},
		{"a short sleep", "lifecycle: {preStop: {sleep: {seconds: 3}}}", "container gateway sleeps 3 s before it stops: 10 would keep it"},
		{"a relative key path", "env: [{name: JWT_PUBLIC_KEY_PATH, value: jwt/public.pem}]", `JWT_PUBLIC_KEY_PATH: "jwt/public.pem" is a relative path`},
	} {
		_, _, notes := sidecarOf(t, decoded(t, row.container, ""), options)
		if text := strings.Join(notes, "\n"); !strings.Contains(text, row.want) {
			t.Errorf("%s: %q, want %q", row.name, text, row.want)
		}
	}
}
