package inject

import (
	"slices"
	"strconv"
	"strings"

	"envgate/authz"
)

// environment is what the sidecar reads: the gateway's own settings, from where the gateway has them, and then what
// injection decides, visibly.
func (p *plan) environment(mounts []any) (envFrom, env []any, err error) {
	envFrom = p.sources()
	written, err := p.written()
	if err != nil {
		return nil, nil, err
	}
	copied, err := p.shared(written, mounts)
	if err != nil {
		return nil, nil, err
	}
	env = append(copied, p.fromSecret(copied)...)
	p.lookForKey(envFrom, env)
	for _, f := range written {
		env = append(env, object{{"name", f.name}, {"value", escapeReferences(f.value.(string))}})
	}
	return envFrom, env, nil
}

// sources are the gateway's envFrom, as far as the sidecar shares them.
func (p *plan) sources() (envFrom []any) {
	for _, source := range list(p.gateway.fields["envFrom"]) {
		if _, secret := mapping(source)["secretRef"]; p.envFrom() == "all" || p.envFrom() == "config-maps" && !secret {
			envFrom = append(envFrom, source)
		}
	}
	return envFrom
}

// written are the settings that injection decides. They stand last, so that nothing of the gateway's wins over them.
func (p *plan) written() (written object, err error) {
	write := func(name, value string) { written = append(written, field{name, value}) }
	write("ENVGATE_ENVIRONMENT", p.Environment)
	write("ENVGATE_ENVIRONMENT_RULE", "enforce")
	write("ENVGATE_MODE", p.mode())
	write("ENVGATE_TRUSTED_PROXIES", "private")
	write("ENVGATE_LISTEN", ":"+strconv.Itoa(p.redirect.listen))
	write("ENVGATE_UPSTREAM", "http://127.0.0.1:"+strconv.Itoa(p.redirect.upstream))
	write("ENVGATE_ADMIN_LISTEN", ":"+strconv.Itoa(p.admin))
	if p.Policy == "" {
		write("ENVGATE_POLICY", authz.BuiltinPolicies()[0])
	} else {
		write("ENVGATE_POLICY", or(p.builtin(), policyFolder+"/policy.yaml"))
	}
	if len(p.probes) > 0 {
		text, err := marshal(p.probes)
		if err != nil {
			return nil, err
		}
		write("ENVGATE_PROBES", string(text))
	}
	if _, at := p.gateway.env("ENVGATE_WEB_CONFIG_FILE"); at >= 0 && len(p.probes) > 0 {
		p.note("container %s: ENVGATE_WEB_CONFIG_FILE: the kubelet asks for the gateway's probes in plain HTTP: no TLS on the admin listener", p.gateway)
	}
	write("GOMEMLIMIT", strconv.Itoa(megabytes(p.memoryLimit())*9/10)+"MiB") // nine tenths of the limit
	for _, f := range written {
		if _, at := p.gateway.env(f.name); at >= 0 && strings.HasPrefix(f.name, "ENVGATE_") {
			p.note("container %s: %s is not taken over: injection sets it", p.gateway, f.name)
		}
	}
	return written, nil
}

// fromSecret reads every shared variable that isn't given yet from the one Secret, where it may be absent: the least
// that the sidecar can do with.
func (p *plan) fromSecret(given []any) (entries []any) {
	if p.Secret == "" {
		return nil
	}
	for _, s := range authz.Settings {
		if p.inSecret(s) && !slices.ContainsFunc(given, func(v any) bool { return fieldOf(v, "name") == s.Name }) {
			entries = append(entries, object{{"name", s.Name}, {"valueFrom", object{{"secretKeyRef", object{
				{"name", p.Secret}, {"key", s.Name}, {"optional", true},
			}}}}})
		}
	}
	return entries
}

// inSecret tells whether the one Secret may hold a setting.
func (p *plan) inSecret(s authz.Setting) bool {
	return p.Secret != "" && (s.Gateway || s.Secret && s.Name != "ENVGATE_PROBES")
}

// lookForKey says so where nothing can give the sidecar a key: it would never start.
func (p *plan) lookForKey(envFrom, env []any) {
	given := func(v any) bool {
		name, _ := fieldOf(v, "name").(string)
		value, _ := fieldOf(v, "value").(string)
		return slices.Contains([]string{"JWT_SECRET_KEY", "JWT_SECRET_KEY_FILE", "JWT_PUBLIC_KEY_PATH"}, name) && (value != "" || fieldOf(v, "valueFrom") != nil)
	}
	if len(envFrom) == 0 && !slices.ContainsFunc(env, given) {
		p.note("nothing gives the sidecar a key, and it can't start without: set JWT_SECRET_KEY in env of container %s, from a Secret, or name the Secret in its envFrom", p.gateway)
	}
}
