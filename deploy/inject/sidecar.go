package inject

import (
	"fmt"
	"strconv"

	"envgate/authz"
)

const (
	policyVolume = "envgate-policy"
	policyFolder = "/etc/envgate"
)

// addSidecar appends the sidecar: a native one (KEP-753) last among the init containers, so that it starts before the
// gateway and ends after it, or a plain one.
func (p *plan) addSidecar() error {
	mounts, err := p.mounts()
	if err != nil {
		return err
	}
	envFrom, env, err := p.environment(mounts)
	if err != nil {
		return err
	}
	c := object{{"name", sidecarName}, {"image", p.Image}}
	add := func(name string, value any) { c = append(c, field{name, value}) }
	if !p.Plain {
		add("restartPolicy", "Always")
	}
	if len(envFrom) > 0 {
		add("envFrom", envFrom)
	}
	add("env", env)
	add("ports", []any{
		object{{"name", portName}, {"containerPort", p.redirect.listen}},
		object{{"name", adminPortName}, {"containerPort", p.admin}},
	})
	// The startup probe asks for life, never for readiness: a native sidecar's holds up the containers behind it, and
	// envgate may be waiting for them or for keys. No liveness probe: a restart mends nothing that waiting doesn't.
	add("startupProbe", append(p.ask("/livez"), field{"periodSeconds", 1}, field{"failureThreshold", 30}))
	add("readinessProbe", append(p.ask("/readyz"), field{"periodSeconds", 5}))
	add("lifecycle", object{{"preStop", object{{"exec", object{{"command", []any{"/envgate", "drain"}}}}}}})
	requests, limits := p.resources()
	if err := p.makeRoom(requests, limits); err != nil {
		return err
	}
	add("resources", object{{"requests", requests}, {"limits", limits}})
	security := object{
		{"allowPrivilegeEscalation", false},
		{"capabilities", object{{"drop", []any{"ALL"}}}},
		{"readOnlyRootFilesystem", true},
		{"runAsNonRoot", true},
	}
	if uid, ok := number(mapping(p.pod, "spec", "securityContext")["runAsUser"]); ok && uid == 0 {
		security = append(security, field{"runAsUser", 65532}) // the Pod says root: the sidecar would inherit it and not start
	}
	add("securityContext", append(security, field{"seccompProfile", object{{"type", "RuntimeDefault"}}}))
	if p.mountsPolicy() {
		mounts = append(mounts, object{{"name", policyVolume}, {"mountPath", policyFolder}, {"readOnly", true}})
		if err := p.addPolicyVolume(); err != nil {
			return err
		}
	}
	if len(mounts) > 0 {
		add("volumeMounts", mounts)
	}
	key := "initContainers"
	if p.Plain {
		key = "containers"
	}
	p.appendAll("/spec", key, c)
	return p.allowLowPort()
}

// ask is how the kubelet asks the sidecar: by its own command, which needs no open admin port, or by HTTP.
func (p *plan) ask(path string) object {
	if p.Probe == "http" {
		return object{{"httpGet", object{{"path", path}, {"port", adminPortName}}}}
	}
	command := []any{"/envgate", "healthcheck"}
	if path == "/livez" {
		command = append(command, "--live")
	}
	return object{{"exec", object{{"command", command}}}}
}

func (p *plan) addPolicyVolume() error {
	if p.PolicyText == nil {
		p.note("the Pod needs ConfigMap %s with the key policy.yaml in its namespace", p.Policy)
	}
	for _, v := range list(mapping(p.pod, "spec")["volumes"]) {
		if mapping(v)["name"] != policyVolume {
			continue
		}
		if mapping(v, "configMap")["name"] != p.Policy {
			return fmt.Errorf("volume %s: is there, and isn't ConfigMap %s, which holds the policy: rename it", policyVolume, p.Policy)
		}
		return nil
	}
	p.appendAll("/spec", "volumes", object{{"name", policyVolume}, {"configMap", object{{"name", p.Policy}}}})
	return nil
}

// allowLowPort lets a process without privileges listen below 1024, by a sysctl that every Pod with a network of its own
// may set.
func (p *plan) allowLowPort() error {
	const sysctl = "net.ipv4.ip_unprivileged_port_start"
	spec, port := mapping(p.pod, "spec"), p.redirect.listen
	if port >= 1024 {
		return nil
	}
	if spec["hostNetwork"] == true {
		return fmt.Errorf("port %d: envgate has no privileges, and on the host's network it can't be given ports below 1024: give the gateway a higher one", port)
	}
	for _, v := range list(mapping(spec, "securityContext")["sysctls"]) {
		m := mapping(v)
		if m["name"] != sysctl {
			continue
		}
		value, _ := m["value"].(string)
		if start, err := strconv.Atoi(value); err != nil || start > port {
			return fmt.Errorf("sysctl %s: %q: keeps envgate, which has no privileges, from port %d: set it to \"%d\" or less, or give the gateway a port above", sysctl, authz.Printable(value), port, port)
		}
		return nil
	}
	item := object{{"name", sysctl}, {"value", strconv.Itoa(port)}}
	if mapping(spec, "securityContext") == nil {
		p.addAll("/spec", "securityContext", object{{"sysctls", []any{item}}})
		return nil
	}
	p.appendAll("/spec/securityContext", "sysctls", item)
	return nil
}
