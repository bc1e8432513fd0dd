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

// second is a gateway beside the one of decoded.
const second = "containers: [{name: gateway, image: ghcr.io/ibm/mcp-context-forge:1, ports: [{containerPort: 4444}]}, {name: other, image: ghcr.io/ibm/mcp-context-forge:1, ports: [{containerPort: 5555}]}]"

// decoded is a Pod of one gateway container, to whose fields, and to whose spec, more are added. A
// spec may bring containers of its own instead.
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
	if strings.Contains(spec, "\ncontainers:") || strings.HasPrefix(spec, "containers:") {
		text = "metadata: {name: gateway}\nspec:\n"
	}
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
	manual := func(o *Options) { o.Redirect, o.UpstreamPort = "manual", 5000 }
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
		{"a CPU limit below the request", "", "", func(o *Options) { o.CPULimit = "0.005" }, `cpu-limit: "0.005": want at least 10m, which is requested`},
		{"no CPU at all", "", "", func(o *Options) { o.CPULimit = "0" }, `cpu-limit: "0": want at least 10m`},
		{"a Secret without env-from", "", "", func(o *Options) { o.Secret = "s" }, "secret: s: want --env-from none or config-maps with it"},
		{"env-from none without a Secret", "", "", func(o *Options) { o.EnvFrom = "none" }, "secret: missing: --env-from none needs the Secret"},
		{"a policy that is a path", "", "", func(o *Options) { o.Policy = "/etc/p.yaml" }, `policy: "/etc/p.yaml": want a built-in policy (contextforge) or the name of a ConfigMap`},
		{"a broken policy", "", "", func(o *Options) { o.Policy, o.PolicyText = "p", []byte("x: 1\n") }, "policy: ConfigMap p: policy.yaml: line 1, column 1: unknown field"},
		{"a policy without bind", "", "", func(o *Options) { o.Policy, o.PolicyText = "p", []byte("routes: []\n") }, "the policy names no bind variables"},
		{"manual without a port", "", "", func(o *Options) { o.Redirect = "manual" }, "upstream-port: missing: redirect manual needs"},
		{"manual, where HOST is every address", "env: [{name: HOST, value: 0.0.0.0}]", "", manual, `container gateway: HOST: "0.0.0.0": redirect manual needs the gateway on loopback: set it to 127.0.0.1`},
		{"manual, where HOST is every IPv6 address", "env: [{name: HOST, value: '::'}]", "", manual, `HOST: "::": redirect manual needs`},
		{"manual, where HOST is a name", "env: [{name: HOST, value: gateway.example.com}]", "", manual, `HOST: "gateway.example.com": redirect manual needs`},
		{"manual, where HOST refers to every address", "env: [{name: A, value: 0.0.0.0}, {name: HOST, value: $(A)}]", "", manual, `HOST: "0.0.0.0": redirect manual needs`},
		{"manual, where HOST is loopback", "env: [{name: HOST, value: localhost}, {name: UVICORN_HOST, value: '::1'}, {name: PORT, value: '5000'}]", "", manual, ""},
		{"manual, where PORT is the old one", "env: [{name: PORT, value: '4444'}]", "", manual, `container gateway: PORT: "4444": redirect manual says that the gateway listens on 5000: set one to the other`},
		{"manual, where UVICORN_PORT is the old one", "env: [{name: UVICORN_PORT, value: '4444'}]", "", manual, `UVICORN_PORT: "4444": redirect manual says`},
		{"manual, where the command line is everywhere", "args: [--host, 0.0.0.0, --port, '5000']", "", manual, "its command line listens on every address: redirect manual needs the gateway on loopback: make it 127.0.0.1:5000"},
		{"manual, where gunicorn is everywhere", "env: [{name: GUNICORN_CMD_ARGS, value: '-b [::]:5000'}]", "", manual, "GUNICORN_CMD_ARGS listens on every address"},
		{"manual, where the command line is loopback", "args: [--host, 127.0.0.1, --port, '5000']", "", manual, ""},
		{"manual with the declared port", "", "", func(o *Options) { o.Redirect, o.UpstreamPort = "manual", 4444 }, "upstream-port: 4444: is the port that container gateway declares, which envgate takes: move the gateway to another, such as 14444"},
		{"an upstream port without manual", "", "", func(o *Options) { o.UpstreamPort = 5000 }, "upstream-port: 5000: want redirect manual with it"},
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
		{"a port by reference", "env: [{name: P, value: '8000'}]\nargs: [--port, $(P)]", "", none, "its command line fixes where it listens"},
		{"a port that refers to PORT", "env: [{name: PORT, value: '4444'}, {name: P, value: $(PORT)}]\nargs: [--port, $(P)]", "", none, ""},
		{"a port that refers to PORT from elsewhere", "env: [{name: P, value: $(PORT)}]\nargs: [--port, $(P)]", "", none, "its command line fixes where it listens"},
		{"PORT itself, from anywhere", "args: [--port, $(PORT), --host, $(HOST)]", "", none, ""},
		{"gunicorn's own variable", "env: [{name: GUNICORN_CMD_ARGS, value: '--workers 2 --bind :8000'}]", "", none, "container gateway: GUNICORN_CMD_ARGS fixes where it listens: move it there to 127.0.0.1:14444"},
		{"gunicorn's own variable by reference", "env: [{name: A, value: '0.0.0.0'}, {name: GUNICORN_CMD_ARGS, value: '-b $(A):1'}]", "", none, "GUNICORN_CMD_ARGS fixes where it listens"},
		{"gunicorn's own variable, which says nothing of it", "env: [{name: GUNICORN_CMD_ARGS, value: '--workers 2'}]", "", none, ""},
		{"uvicorn's host", "env: [{name: UVICORN_HOST, value: '::'}]", "", none, "UVICORN_HOST fixes where it listens"},
		{"uvicorn's port", "env: [{name: UVICORN_PORT, value: '8000'}]", "", none, "UVICORN_PORT fixes where it listens"},
		{"uvicorn's port, which is PORT", "env: [{name: PORT, value: '4444'}, {name: UVICORN_PORT, value: $(PORT)}]", "", none, ""},
		{"variables in a shell line", `command: [sh, -c, "PORT=8000 HOST=:: exec gunicorn app"]`, "", none, "its command line fixes where it listens"},
		{"variables of a shell with defaults", `command: [sh, -c, "exec gunicorn -b ${HOST:-0.0.0.0}:${PORT:-4444} app"]`, "", none, ""},
		{"TLS by SSL", "env: [{name: SSL, value: 'Yes'}]", "", none, `container gateway: SSL: "Yes": the gateway would end TLS itself, and envgate speaks plain HTTP to it: set it to false, and end TLS before the Pod`},
		{"TLS by SSL, moved by hand", "env: [{name: SSL, value: 'true'}]", "", manual, `SSL: "true": the gateway would end TLS itself`},
		{"no TLS by SSL", "env: [{name: SSL, value: 'false'}]", "", none, ""},
		{"TLS by uvicorn's option", "args: [--ssl-keyfile, /k.pem]", "", none, "its command line has --ssl-keyfile: the gateway would end TLS itself"},
		{"TLS by gunicorn's option", `command: [sh, -c, "exec gunicorn --certfile=/c.pem app"]`, "", none, "its command line has --certfile: the gateway would end TLS itself"},
		{"TLS by gunicorn's variable", "env: [{name: GUNICORN_CMD_ARGS, value: '--keyfile /k.pem'}]", "", none, "GUNICORN_CMD_ARGS has --keyfile: the gateway would end TLS itself"},
		{"TLS by uvicorn's variable", "env: [{name: UVICORN_SSL_KEYFILE, value: /k.pem}]", "", none, "UVICORN_SSL_KEYFILE has --ssl-keyfile: the gateway would end TLS itself"},
		{"a secret in plain text", "env: [{name: JWT_SECRET_KEY, value: hunter2hunter2hunter2hunter2hunter2}]", "", none, "container gateway: JWT_SECRET_KEY stands in plain text: move it to a Secret"},
		{"a secret in plain text, by reference", "env: [{name: MY_KEY, value: hunter2}, {name: JWT_SECRET_KEY, value: $(MY_KEY)}]", "", none, "container gateway: MY_KEY stands in plain text: move it to a Secret"},
		{"another secret in plain text, by reference", "env: [{name: GATEWAY_PASSWORD, value: hunter2}, {name: JWT_ISSUER, value: x$(GATEWAY_PASSWORD)}]", "", none, "GATEWAY_PASSWORD stands in plain text"},
		{"a secret with an escaped dollar", "env: [{name: JWT_SECRET_KEY, value: 'hunter2$$(x)def'}]", "", none, "JWT_SECRET_KEY stands in plain text"},
		{"a secret with a reference to nothing", "env: [{name: JWT_SECRET_KEY, value: 'hunter2$(nothing)def'}]", "", none, "JWT_SECRET_KEY stands in plain text"},
		{"a secret that is a reference to nothing", "env: [{name: JWT_SECRET_KEY, value: '$(nothing)'}]", "", none, "JWT_SECRET_KEY stands in plain text"},
		{"a secret that envFrom may have", "envFrom: [{secretRef: {name: s}}]\nenv: [{name: JWT_SECRET_KEY, value: '$(ANOTHER)'}]", "", none, ""},
		{"a second secret in plain text", "env: [{name: ENVGATE_ADDITIONAL_SECRET_KEY, value: hunter2}]", "", none, "ENVGATE_ADDITIONAL_SECRET_KEY stands in plain text"},
		{"a key file of the image", "env: [{name: JWT_PUBLIC_KEY_PATH, value: /app/public.pem}]", "", none, `container gateway: JWT_PUBLIC_KEY_PATH: "/app/public.pem" lies in no volume mount, so the sidecar, which has another image, can't read it: mount it from a Secret`},
		{"a private key of the image, to embed with", "env: [{name: JWT_PRIVATE_KEY_PATH, value: /app/private.pem}, {name: EMBED_ENVIRONMENT_IN_TOKENS, value: 'True'}]", "", none, `container gateway: JWT_PRIVATE_KEY_PATH: "/app/private.pem" lies in no volume mount`},
		{"a key file of the image, by reference", "env: [{name: DIR, value: /app}, {name: JWT_PUBLIC_KEY_PATH, value: $(DIR)/public.pem}]", "", none, `JWT_PUBLIC_KEY_PATH: "/app/public.pem" lies in no volume mount`},
		{"a relative key path", "env: [{name: JWT_PUBLIC_KEY_PATH, value: jwt/public.pem}]", "", none, `container gateway: JWT_PUBLIC_KEY_PATH: "jwt/public.pem" is a relative path, and the sidecar's working directory is /: name it absolutely`},
		{"a path from envFrom that isn't shared", "volumeMounts: [{name: keys, mountPath: /keys, subPathExpr: $(POD)}]\nenvFrom: [{secretRef: {name: s}}]", "", func(o *Options) { o.EnvFrom, o.Secret, o.Mounts = "none", "least", []string{"keys"} }, "a shared mount's subPathExpr refers to POD, which envFrom would have to give: set it in env"},
		{"a mount below the policy's", "volumeMounts: [{name: keys, mountPath: /etc/envgate/keys}]", "", func(o *Options) { o.Policy, o.Mounts = "p", []string{"keys"} }, `mount: "keys": is mounted at "/etc/envgate/keys", and the sidecar has its policy in /etc/envgate: mount it elsewhere`},
		{"a mount above the policy's", "volumeMounts: [{name: keys, mountPath: /etc}]", "", func(o *Options) { o.Policy, o.Mounts = "p", []string{"keys"} }, `mount: "keys": is mounted at "/etc"`},
		{"the policy's folder without a policy", "volumeMounts: [{name: keys, mountPath: /etc/envgate}]", "", func(o *Options) { o.Mounts = []string{"keys"} }, ""},
		{"another volume of the policy's name", "", "volumes: [{name: envgate-policy, emptyDir: {}}]", func(o *Options) { o.Policy = "p" }, "volume envgate-policy: is there, and isn't ConfigMap p, which holds the policy: rename it"},
		{"a drain that is no duration", "env: [{name: ENVGATE_DRAIN_DELAY, value: soon}]", "", none, `container gateway: ENVGATE_DRAIN_DELAY: "soon": want 0s to 10m`},
		{"a plain container on the host's network", "", "hostNetwork: true", func(o *Options) { o.Force, o.Plain = true, true }, "hostNetwork: true: a plain container can't take port 4444, which container gateway declares: use a native sidecar"},
		{"a low port on the host's network", "ports: [{containerPort: 80}]", "hostNetwork: true", func(o *Options) { o.Force = true }, "port 80: envgate has no privileges, and on the host's network it can't be given ports below 1024"},
		{"a low port that a sysctl keeps", "ports: [{containerPort: 80}]", "securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '1024'}]}", none, `sysctl net.ipv4.ip_unprivileged_port_start: "1024": keeps envgate, which has no privileges, from port 80: set it to "80" or less`},
		{"a low port that a sysctl allows", "ports: [{containerPort: 80}]", "securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '0'}]}", none, ""},
		{"a Pod without CPU for two", "resources: {requests: {cpu: 95m}}", "resources: {requests: {cpu: 100m}}", none, `spec.resources: requests: cpu: "100m" has no room for the sidecar beside the containers: want at least 105m`},
		{"a Pod without memory for two, by its limit", "resources: {limits: {memory: 1Gi}}", "resources: {limits: {memory: 1Gi}}", none, `spec.resources: limits: memory: "1Gi" has no room for the sidecar beside the containers: want at least 1056Mi`},
		{"a Pod smaller than the sidecar's limit", "", "resources: {limits: {memory: 64Mi}}", none, `spec.resources: limits: memory: "64Mi": the sidecar's own is 128Mi: raise it, or set --memory-limit`},
		{"a Pod smaller than the sidecar's CPU limit", "", "resources: {limits: {cpu: 0.5}}", func(o *Options) { o.CPULimit = "1" }, `spec.resources: limits: cpu: "0.5": the sidecar's own is 1: raise it, or set --cpu-limit`},
		{"a Pod with just enough", "resources: {requests: {cpu: 90m, memory: 32Mi}}", "resources: {requests: {cpu: 0.1, memory: 64Mi}, limits: {cpu: 1, memory: 128Mi}}", none, ""},
		{"a Pod with room for a native sidecar, too", "", "resources: {requests: {cpu: 20m}}\ninitContainers: [{name: x, image: y, resources: {requests: {cpu: 15m}}}, {name: z, image: y, restartPolicy: Always, resources: {requests: {cpu: 15m}}}]", none, "want at least 25m"},
		{"a gateway that speaks TLS", "livenessProbe: {httpGet: {port: 4444, path: /health, scheme: HTTPS}}", "", none, "liveness probe: scheme HTTPS: the gateway speaks TLS on its port"},
		{"a foreign container called envgate", "", "initContainers: [{name: envgate, image: evil.example.com/envgate:1.0.0}]", none, `container envgate: image "evil.example.com/envgate:1.0.0" is not registry.example.com/envgate`},
		{"a sidecar that another container was moved for", "", "initContainers: [{name: envgate, image: registry.example.com/envgate:1.0.0}, {name: x, image: y, restartPolicy: Always, env: [{name: HOST, value: 127.0.0.1}]}]", none, "container gateway has no HOST=127.0.0.1: traffic would miss it"},
		{"a sidecar, and no telling whose", "", "initContainers: [{name: envgate, image: registry.example.com/envgate:1.0.0}]\ncontainers: [{name: a, image: x}, {name: b, image: y}]", none, "container envgate is there, but not for whom: which container is the gateway? Name one of a, b"},
		{"a second gateway", "", second, func(o *Options) { o.Container = "gateway" }, "containers gateway and other are both gateways, and envgate guards only one"},
		{"a second gateway, as a native sidecar", "", "initContainers: [{name: other, image: ghcr.io/ibm/mcp-context-forge:1, restartPolicy: Always, ports: [{containerPort: 5}]}]", none, "containers gateway and other are both gateways"},
		{"a container whose name is no text for a terminal", "args: [--port, '4444']", "containers: [{name: \"a\\e[2Jb\", image: x, ports: [{containerPort: 4444}], args: [--port, '4444']}]", none, "container a?[2Jb: its command line"},
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

// What a gateway's owner should know of what was done with other options.
func TestNotesOfOptions(t *testing.T) {
	least := func(o *Options) { o.EnvFrom, o.Secret = "none", "least" }
	for _, row := range []struct {
		name, container, spec string
		change                func(*Options)
		want                  string // part of a note; empty: no note at all
	}{
		{"a second gateway, by force", "", second, func(o *Options) { o.Container, o.Force = "gateway", true }, "container other is a gateway, too, and stays open: nothing guards it"},
		{"a reference that isn't shared", "envFrom: [{secretRef: {name: s}}]\nenv: [{name: JWT_ISSUER, value: a$(B)}]", "", least, "JWT_ISSUER refers to B, which the sidecar doesn't get from envFrom: set it in env"},
		{"plain text that a Secret must have instead", "env: [{name: A_TOKEN, value: x}, {name: JWT_ISSUER, value: a$(A_TOKEN)}]", "", least, "JWT_ISSUER holds what A_TOKEN says in plain text: the sidecar reads it from Secret least, so put it there"},
		{"a key file behind a link", "env: [{name: JWT_PUBLIC_KEY_PATH, value: /app/public.pem}]\nvolumeMounts: [{name: keys, mountPath: /keys}]", "", func(o *Options) { o.Mounts = []string{"keys"} }, `JWT_PUBLIC_KEY_PATH: "/app/public.pem" lies in no mount: the sidecar starts only if what --mount shares leads there`},
		{"a key from a Secret", "env: [{name: JWT_SECRET_KEY, valueFrom: {secretKeyRef: {name: s, key: k}}}]", "", nil, ""},
		{"a key from envFrom", "envFrom: [{secretRef: {name: s}}]", "", nil, ""},
		{"a key from the one Secret", "", "", least, ""},
		{"a ConfigMap that may name a key", "envFrom: [{configMapRef: {name: c}}]", "", nil, ""},
	} {
		o := options
		if row.change != nil {
			row.change(&o)
		}
		_, _, notes := sidecarOf(t, decoded(t, row.container, row.spec), o)
		if text := strings.Join(notes, "\n"); !strings.Contains(text, row.want) || row.want == "" && text != "" {
			t.Errorf("%s: %q, want %q", row.name, text, row.want)
		}
	}
}

// JSON Patch has no null for a value: what is emptied is removed.
func TestNothingIsReplacedByNull(t *testing.T) {
	change, err := Pod(decoded(t, "env: [{name: HOST, value: '', valueFrom: {fieldRef: {fieldPath: status.podIP}}}]", ""), options)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(change.Operations[:2])
	if want := `[{"op":"remove","path":"/spec/containers/0/env/0/valueFrom"},{"op":"replace","path":"/spec/containers/0/env/0/value","value":"127.0.0.1"}]`; string(text) != want {
		t.Errorf("%s, want %s", text, want)
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
		"PORT=8000 exec gunicorn":                   true,
		"exec env HOST=:: gunicorn":                 true,
		"export PORT=$OTHER; gunicorn":              false,
		"HOST=$HOST PORT=\"$PORT\" gunicorn":        false,
		"DB_PORT=5432 gunicorn":                     false,
	} {
		if fixesPort(line, 4444, "HOST", "PORT") != fixed {
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
		{"one Secret, for what is plain text by reference", "env: [{name: MY_KEY, value: plain}, {name: JWT_SECRET_KEY, value: $(MY_KEY)}]", func(o *Options) { o.EnvFrom, o.Secret = "none", "least" }, `JWT_SECRET_KEY<{"secretKeyRef":{"key":"JWT_SECRET_KEY","name":"least","optional":true}}`, "plain"},
		{"what PORT will be, in a reference", `env: [{name: PORT, value: "4444"}, {name: JWT_ISSUER, value: "http://x:$(PORT)"}]`, nil, "PORT=14444 JWT_ISSUER=http://x:$(PORT)", "PORT=4444"},
		{"what HOST will be, in references of references", `env: [{name: HOST, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: A, value: $(HOST)}, {name: JWT_ISSUER, value: $(A)}]`, nil, "HOST=127.0.0.1 A=$(HOST) JWT_ISSUER=$(A)", "podIP"},
		{"what PORT stays, where the gateway stays", `env: [{name: PORT, value: "5000"}, {name: JWT_ISSUER, value: "http://x:$(PORT)"}]`, func(o *Options) { o.Redirect, o.UpstreamPort = "manual", 5000 }, "PORT=5000 JWT_ISSUER=http://x:$(PORT)", "14444"},
		{"PORT that stands later is no reference", `env: [{name: JWT_ISSUER, value: "http://x:$(PORT)"}, {name: PORT, value: "4444"}]`, nil, "JWT_ISSUER=http://x:$(PORT) ENVGATE", " PORT="},
		{"the admin port and the policy, always", "env: [{name: ENVGATE_ADMIN_LISTEN, value: ':9999'}, {name: ENVGATE_POLICY, value: /tmp/p}]", nil, "ENVGATE_ADMIN_LISTEN=:4446 ENVGATE_POLICY=contextforge", "9999"},
		{"no probes of the gateway's own making", "env: [{name: ENVGATE_PROBES, value: '{}'}]", nil, "ENVGATE_MODE=report", "ENVGATE_PROBES"},
		{"settings of envgate that injection leaves open", "env: [{name: ENVGATE_LEEWAY, value: 5s}]", nil, "ENVGATE_LEEWAY=5s", ""},
		{"what a shared mount's path refers to", "env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]\nvolumeMounts: [{name: keys, mountPath: /keys, subPathExpr: a/$(POD)}]", func(o *Options) { o.Mounts = []string{"keys"} }, `POD<{"fieldRef":{"fieldPath":"metadata.name"}}`, ""},
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
		{"HOST with an empty source", "env: [{name: HOST, value: x, valueFrom: null}]", "", nil, "/spec/containers/0/env/0", `{"name":"HOST","value":"127.0.0.1","valueFrom":null}`},
		{"HOST with an empty value and a source", "env: [{name: HOST, value: '', valueFrom: {fieldRef: {fieldPath: status.podIP}}}]", "", nil, "/spec/containers/0/env/0", `{"name":"HOST","value":"127.0.0.1","valueFrom":null}`},
		{"PORT by reference is the port", "env: [{name: P, value: '8080'}, {name: PORT, value: $(P)}]", "", nil, "/spec/initContainers/0/ports/0/containerPort", "8080"},
		{"last of the init containers", "", "initContainers: [{name: migrate, image: x}]", nil, "/spec/initContainers/1/name", `"envgate"`},
		{"a native sidecar", "", "", nil, "/spec/initContainers/0/restartPolicy", `"Always"`},
		{"a plain container", "", "", func(o *Options) { o.Plain = true }, "/spec/containers/1/name", `"envgate"`},
		{"a plain container has no restartPolicy", "", "", func(o *Options) { o.Plain = true }, "/spec/containers/1/restartPolicy", "null"},
		{"no user, for OpenShift assigns one", "", "", nil, "/spec/initContainers/0/securityContext/runAsUser", "null"},
		{"a user where the Pod says root", "", "securityContext: {runAsUser: 0}", nil, "/spec/initContainers/0/securityContext/runAsUser", "65532"},
		{"a port below 1024", "ports: [{containerPort: 80}]", "", nil, "/spec/securityContext/sysctls/0", `{"name":"net.ipv4.ip_unprivileged_port_start","value":"80"}`},
		{"a port below 1024 that is allowed already", "ports: [{containerPort: 80}]", "securityContext: {sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: '0'}]}", nil, "/spec/securityContext/sysctls/1", "null"},
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
		{"a long drain lengthens the gateway's sleep", "env: [{name: ENVGATE_DRAIN_DELAY, value: 29500ms}]", "", nil, "/spec/containers/0/lifecycle/preStop/sleep/seconds", "35"},
		{"a long drain raises the grace", "env: [{name: ENVGATE_DRAIN_DELAY, value: 30s}, {name: ENVGATE_DRAIN_TIMEOUT, value: 2m}]", "", nil, "/spec/terminationGracePeriodSeconds", "155"},
		{"no drain at all", "env: [{name: ENVGATE_DRAIN_DELAY, value: 0s}, {name: ENVGATE_DRAIN_TIMEOUT, value: 0s}]", "terminationGracePeriodSeconds: 1", nil, "/spec/terminationGracePeriodSeconds", "10"},
		{"a public httpGet stays", "readinessProbe: {httpGet: {path: /ready, port: 4444}}", "", nil, "/spec/containers/0/readinessProbe/httpGet", `{"path":"/ready","port":4444}`},
		{"a public httpGet by name stays", "ports: [{name: http, containerPort: 4444}]\nreadinessProbe: {httpGet: {path: /ready, port: http}}", "", nil, "/spec/containers/0/readinessProbe/httpGet/port", `"http"`},
		{"a protected httpGet moves", "readinessProbe: {httpGet: {path: /version, port: 4444}, periodSeconds: 3}", "", nil, "/spec/containers/0/readinessProbe", `{"httpGet":{"path":"/probe/gateway/readiness","port":4446},"periodSeconds":3}`},
		{"a public path with a query is public", "readinessProbe: {httpGet: {path: '/health?deep=1', port: 4444}}", "", nil, "/spec/containers/0/readinessProbe/httpGet/path", `"/health?deep=1"`},
		{"a public path under a policy that isn't known", "readinessProbe: {httpGet: {path: /ready, port: 4444}}", "", func(o *Options) { o.Policy = "p" }, "/spec/containers/0/readinessProbe/httpGet/path", `"/probe/gateway/readiness"`},
		{"a public path under a policy that is known", "readinessProbe: {httpGet: {path: /up, port: 4444}}", "", func(o *Options) {
			o.Policy, o.PolicyText = "p", []byte("routes: [{path: /up, methods: [GET], access: public}]\nbind: {host_env: HOST, port_env: PORT}\n")
		}, "/spec/containers/0/readinessProbe/httpGet/path", `"/up"`},
		{"tcpSocket moves", "livenessProbe: {tcpSocket: {port: 4444}}", "", nil, "/spec/containers/0/livenessProbe", `{"httpGet":{"path":"/probe/gateway/liveness","port":4446}}`},
		{"grpc moves", "startupProbe: {grpc: {port: 4444}}", "", nil, "/spec/containers/0/startupProbe/httpGet/path", `"/probe/gateway/startup"`},
		{"another port's probe stays", "ports: [{name: http, containerPort: 4444}, {containerPort: 9}]\nlivenessProbe: {tcpSocket: {port: 9}}", "", nil, "/spec/containers/0/livenessProbe", `{"tcpSocket":{"port":9}}`},
		{"a probe of another host stays", "livenessProbe: {tcpSocket: {port: 4444, host: db.example.com}}", "", nil, "/spec/containers/0/livenessProbe/tcpSocket/port", "4444"},
		{"an exec probe stays", "livenessProbe: {exec: {command: [curl, 'http://localhost:4444/']}}", "", nil, "/spec/containers/0/livenessProbe/exec/command/0", `"curl"`},
		{"key files are mounted, read-only", "env: [{name: JWT_PUBLIC_KEY_PATH, value: /keys/public.pem}]\nvolumeMounts: [{name: keys, mountPath: /keys}, {name: data, mountPath: /data}]", "volumes: [{name: keys, emptyDir: {}}, {name: data, emptyDir: {}}]", nil, "/spec/initContainers/0/volumeMounts", `[{"mountPath":"/keys","name":"keys","readOnly":true}]`},
		{"a mount that is asked for", "volumeMounts: [{name: keys, mountPath: /keys/a.pem, subPath: a.pem}]", "", func(o *Options) { o.Mounts = []string{"keys"} }, "/spec/initContainers/0/volumeMounts", `[{"mountPath":"/keys/a.pem","name":"keys","readOnly":true,"subPath":"a.pem"}]`},
		{"a key file by reference is mounted", "env: [{name: DIR, value: /keys}, {name: JWT_PUBLIC_KEY_PATH, value: $(DIR)/public.pem}]\nvolumeMounts: [{name: keys, mountPath: /keys}]", "volumes: [{name: keys, emptyDir: {}}]", nil, "/spec/initContainers/0/volumeMounts/0/name", `"keys"`},
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
		{"no key", "", "nothing gives the sidecar a key, and it can't start without: set JWT_SECRET_KEY in env of container gateway, from a Secret"},
		{"an empty key", "env: [{name: JWT_SECRET_KEY, value: ''}]", "nothing gives the sidecar a key"},
		{"a setting of envgate's that is not taken over", "env: [{name: ENVGATE_UPSTREAM, value: x}]", "container gateway: ENVGATE_UPSTREAM is not taken over: injection sets it"},
		{"a drain that isn't known", "env: [{name: ENVGATE_DRAIN_DELAY, valueFrom: {configMapKeyRef: {name: c, key: k}}}]", "ENVGATE_DRAIN_DELAY isn't plain text: the gateway's sleep and the grace period are made for 5 s"},
		{"a value that injection changes", "env: [{name: PORT, value: '4444'}, {name: JWT_ISSUER, value: $(PORT)}]", "JWT_ISSUER refers to PORT, which is another one now, for the sidecar and the gateway: write out what it should stay"},
	} {
		_, _, notes := sidecarOf(t, decoded(t, row.container, ""), options)
		if text := strings.Join(notes, "\n"); !strings.Contains(text, row.want) {
			t.Errorf("%s: %q, want %q", row.name, text, row.want)
		}
	}
}
