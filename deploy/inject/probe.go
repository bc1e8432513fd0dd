package inject

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// probeKinds are the kubelet's probes of a container.
var probeKinds = []string{"startup", "readiness", "liveness"}

// rewriteProbes keeps the kubelet's probes of the gateway working. An httpGet on a public path passes through the sidecar
// as it is, where the policy is known. Any other that names the taken port is sent to the admin listener, which runs the original against loopback:
// the kubelet has no token, and a tcpSocket would find the sidecar instead of the gateway. An exec probe runs inside the
// Pod and is left alone.
func (p *plan) rewriteProbes() error {
	if p.redirect.way == RedirectService {
		return nil // the gateway's port is where it was
	}
	for _, c := range containers(p.pod) {
		for _, kind := range probeKinds {
			if err := p.rewriteProbe(c, kind); err != nil {
				return err
			}
		}
		p.nameHooks(c)
	}
	return nil
}

func (p *plan) rewriteProbe(c container, kind string) error {
	probe := mapping(c.fields, kind+"Probe")
	if command := mapping(probe, "exec"); command != nil {
		p.nameExec(c, kind+" probe", command)
		return nil
	}
	for _, way := range []string{"httpGet", "tcpSocket", "grpc"} {
		action := mapping(probe, way)
		if action == nil || !p.namesGateway(c, action) {
			continue
		}
		if scheme, _ := action["scheme"].(string); scheme == "HTTPS" {
			return fmt.Errorf("container %s: %s probe: scheme HTTPS: the gateway speaks TLS on its port, and envgate would answer plain HTTP: let the gateway speak HTTP and end TLS before the Pod", c, kind)
		}
		path, _ := action["path"].(string)
		if path == "" {
			path = "/"
		}
		path, _, _ = strings.Cut(path, "?")
		if way == "httpGet" && p.policyKnown() && p.policy.Public("GET", path) {
			return nil
		}
		original := object{}
		for _, key := range []string{"path", "service", "httpHeaders"} {
			if v, present := action[key]; present {
				original = append(original, field{key, v})
			}
		}
		p.probes = append(p.probes, field{c.name() + "/" + kind, object{{way, append(original, field{"port", p.redirect.upstream})}}})
		p.edits = append(p.edits, edit{
			path: c.path + pointer(kind+"Probe", way), replace: true, rename: renamed(way, "httpGet"),
			value: object{{"path", "/probe/" + c.name() + "/" + kind}, {"port", p.admin}},
		})
	}
	return nil
}

// renamed is the new key of an entry; empty where it keeps its own.
func renamed(from, to string) string {
	if from == to {
		return ""
	}
	return to
}

// namesGateway tells whether an action goes to the port that envgate takes. One to a host of its own doesn't.
func (p *plan) namesGateway(c container, action map[string]any) bool {
	if host, _ := action["host"].(string); host != "" {
		return false
	}
	n, ok := number(action["port"])
	if name, isName := action["port"].(string); isName {
		if n, ok = portNumber(name); !ok {
			for _, port := range c.ports() {
				if port.name == name {
					n, ok = port.number, true
				}
			}
		}
	}
	return ok && n == p.redirect.gateway
}

// nameExec names a command that mentions the port: it reaches envgate now.
func (p *plan) nameExec(c container, what string, command map[string]any) {
	for _, v := range list(command["command"]) {
		if word, _ := v.(string); mentions(word, p.redirect.gateway) {
			p.note("container %s: %s runs a command that mentions port %d: it asks envgate now; the gateway listens on 127.0.0.1:%d",
				c, what, p.redirect.gateway, p.redirect.upstream)
			return
		}
	}
}

// nameHooks names lifecycle hooks that go to the taken port.
func (p *plan) nameHooks(c container) {
	for _, hook := range []string{"postStart", "preStop"} {
		action := mapping(c.fields, "lifecycle", hook)
		p.nameExec(c, hook+" hook", mapping(action, "exec"))
		for _, way := range []string{"httpGet", "tcpSocket"} {
			if target := mapping(action, way); target != nil && p.namesGateway(c, target) {
				p.note("container %s: %s hook goes to port %d: it reaches envgate now, without a token", c, hook, p.redirect.gateway)
			}
		}
	}
}

func mentions(text string, port int) bool {
	return regexp.MustCompile(`(^|[^0-9])` + strconv.Itoa(port) + `($|[^0-9])`).MatchString(text)
}
