package inject

import (
	"slices"
	"strconv"
)

const (
	policyVolume = "envgate-policy"
	policyFolder = "/etc/envgate"
)

// addSidecar appends the sidecar: a native one (KEP-753) last among the init containers, so that it starts before the
// gateway and ends after it, or a plain one.
func (p *plan) addSidecar() error {
	envFrom, env, err := p.environment()
	if err != nil {
		return err
	}
	mounts, err := p.mounts()
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
	limits := object{}
	if p.CPULimit != "" {
		limits = append(limits, field{"cpu", p.CPULimit})
	}
	add("resources", object{
		{"requests", object{{"cpu", "10m"}, {"memory", "32Mi"}}},
		{"limits", append(limits, field{"memory", p.memoryLimit()})},
	})
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
	if p.Policy != "" && p.builtin() == "" {
		mounts = append(mounts, object{{"name", policyVolume}, {"mountPath", policyFolder}, {"readOnly", true}})
		p.addPolicyVolume()
	}
	if len(mounts) > 0 {
		add("volumeMounts", mounts)
	}
	key := "initContainers"
	if p.Plain {
		key = "containers"
	}
	p.appendAll("/spec", key, c)
	p.allowLowPort()
	return nil
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

func (p *plan) addPolicyVolume() {
	if p.PolicyText == nil {
		p.note("the Pod needs ConfigMap %s with the key policy.yaml in its namespace", p.Policy)
	}
	for _, v := range list(mapping(p.pod, "spec")["volumes"]) {
		if mapping(v)["name"] == policyVolume {
			return
		}
	}
	p.appendAll("/spec", "volumes", object{{"name", policyVolume}, {"configMap", object{{"name", p.Policy}}}})
}

// allowLowPort lets a process without privileges listen below 1024, by a sysctl that every Pod may set.
func (p *plan) allowLowPort() {
	const sysctl = "net.ipv4.ip_unprivileged_port_start"
	spec := mapping(p.pod, "spec")
	settings := list(mapping(spec, "securityContext")["sysctls"])
	given := slices.ContainsFunc(settings, func(v any) bool { return mapping(v)["name"] == sysctl })
	if p.redirect.listen >= 1024 || spec["hostNetwork"] == true || given {
		return
	}
	item := object{{"name", sysctl}, {"value", strconv.Itoa(p.redirect.listen)}}
	if mapping(spec, "securityContext") == nil {
		p.addAll("/spec", "securityContext", object{{"sysctls", []any{item}}})
		return
	}
	p.appendAll("/spec/securityContext", "sysctls", item)
}
