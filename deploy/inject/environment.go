package inject

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"envgate/authz"
)

// environment is what the sidecar reads: the gateway's own settings, from where the gateway has them, and then what
// injection decides, visibly.
func (p *plan) environment() (envFrom, env []any, err error) {
	for _, source := range list(p.gateway.fields["envFrom"]) {
		if _, secret := mapping(source)["secretRef"]; p.envFrom() == "all" || p.envFrom() == "config-maps" && !secret {
			envFrom = append(envFrom, source)
		}
	}
	written := object{}
	write := func(name, value string) { written = append(written, field{name, value}) }
	write("ENVGATE_ENVIRONMENT", p.Environment)
	write("ENVGATE_ENVIRONMENT_RULE", "enforce")
	write("ENVGATE_MODE", p.mode())
	write("ENVGATE_TRUSTED_PROXIES", "private")
	write("ENVGATE_LISTEN", ":"+strconv.Itoa(p.redirect.listen))
	write("ENVGATE_UPSTREAM", "http://127.0.0.1:"+strconv.Itoa(p.redirect.upstream))
	if p.admin != 4446 {
		write("ENVGATE_ADMIN_LISTEN", ":"+strconv.Itoa(p.admin))
	}
	if p.Policy != "" {
		write("ENVGATE_POLICY", or(p.builtin(), policyFolder+"/policy.yaml"))
	}
	if len(p.probes) > 0 {
		text, err := marshal(p.probes)
		if err != nil {
			return nil, nil, err
		}
		write("ENVGATE_PROBES", string(text))
	}
	write("GOMEMLIMIT", strconv.Itoa(megabytes(p.memoryLimit())*9/10)+"MiB") // nine tenths of the limit

	copied, err := p.shared(written)
	if err != nil {
		return nil, nil, err
	}
	env = append(copied, p.fromSecret(copied)...)
	for _, f := range written {
		env = append(env, object{{"name", f.name}, {"value", escapeReferences(f.value.(string))}})
	}
	return envFrom, env, nil
}

// escapeReferences keeps the kubelet from reading $(X) in a value.
func escapeReferences(value string) string { return strings.ReplaceAll(value, "$(", "$$(") }

var reference = regexp.MustCompile(`\$\$|\$\(([^()$]+)\)`)

// shared are the gateway's own entries that envgate reads, too, and those that they refer to, in their order. Entries of
// other names (passwords among them) are left where they are.
func (p *plan) shared(written object) (entries []any, err error) {
	all := list(p.gateway.fields["env"])
	wanted := map[int]bool{}
	var want func(name string, before int)
	want = func(name string, before int) {
		for i := before - 1; i >= 0; i-- { // a reference sees what stands before it
			entry := mapping(all[i])
			if entry["name"] != name {
				continue
			}
			wanted[i] = true
			text, _ := entry["value"].(string)
			for _, m := range reference.FindAllStringSubmatch(text, -1) {
				if m[1] != "" {
					want(m[1], i)
				}
			}
			return
		}
	}
	for _, s := range authz.Settings {
		if !slices.ContainsFunc(written, func(f field) bool { return f.name == s.Name }) {
			want(s.Name, len(all))
		}
	}
	for i, v := range all {
		if !wanted[i] {
			continue
		}
		entry := mapping(v)
		name, _ := entry["name"].(string)
		if value, _ := entry["value"].(string); value != "" && isSecret(name) && !strings.Contains(value, "$(") {
			if p.Secret != "" {
				continue // the Secret has it
			}
			if !p.Force {
				return nil, fmt.Errorf("container %s: %s stands in plain text: move it to a Secret and use valueFrom, or use --force to copy it as it is", p.gateway.name(), name)
			}
		}
		entries = append(entries, v)
	}
	return entries, nil
}

func isSecret(name string) bool {
	return slices.ContainsFunc(authz.Settings, func(s authz.Setting) bool { return s.Name == name && s.Secret })
}

// fromSecret reads every shared variable that isn't given yet from the one Secret, where it may be absent: the least
// that the sidecar can do with.
func (p *plan) fromSecret(given []any) (entries []any) {
	if p.Secret == "" {
		return nil
	}
	for _, s := range authz.Settings {
		shared := s.Gateway || s.Secret && s.Name != "ENVGATE_PROBES"
		if shared && !slices.ContainsFunc(given, func(v any) bool { return mapping(v)["name"] == s.Name }) {
			entries = append(entries, object{{"name", s.Name}, {"valueFrom", object{{"secretKeyRef", object{
				{"name", p.Secret}, {"key", s.Name}, {"optional", true},
			}}}}})
		}
	}
	return entries
}

// mounts are the gateway's mounts that hold the key files named in plain text, and those asked for, read-only.
func (p *plan) mounts() (mounts []any, err error) {
	var paths []string
	for _, s := range authz.Settings {
		if value, ok := literalOf(p.gateway, s.Name); ok && value != "" && (strings.HasSuffix(s.Name, "_PATH") && s.Name != "APP_ROOT_PATH" || strings.HasSuffix(s.Name, "_FILE")) {
			if !strings.HasPrefix(value, "/") {
				p.note("%s: %q is a relative path: the sidecar's working directory is /, so name it absolutely", s.Name, authz.Printable(value))
			}
			paths = append(paths, value)
		}
	}
	found := map[string]bool{}
	for _, v := range list(p.gateway.fields["volumeMounts"]) {
		m := mapping(v)
		name, _ := m["name"].(string)
		folder, _ := m["mountPath"].(string)
		holds := func(path string) bool {
			return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
		}
		if !slices.Contains(p.Mounts, name) && !slices.ContainsFunc(paths, holds) {
			continue
		}
		found[name] = true
		mount := object{{"name", name}, {"mountPath", folder}}
		for _, key := range []string{"subPath", "subPathExpr"} {
			if s, ok := m[key].(string); ok {
				mount = append(mount, field{key, s})
			}
		}
		mounts = append(mounts, append(mount, field{"readOnly", true}))
	}
	for _, name := range p.Mounts {
		if !found[name] {
			return nil, fmt.Errorf("mount: %q: container %s mounts no volume of that name", authz.Printable(name), p.gateway.name())
		}
	}
	return mounts, nil
}
