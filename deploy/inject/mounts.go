package inject

import (
	"fmt"
	"slices"
	"strings"

	"envgate/authz"
)

// mounts are the gateway's mounts that hold the key files named in plain text, and those asked for, read-only.
func (p *plan) mounts() (mounts []any, err error) {
	paths, err := p.keyPaths()
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, v := range list(p.gateway.fields["volumeMounts"]) {
		m := mapping(v)
		name, _ := m["name"].(string)
		folder, _ := m["mountPath"].(string)
		holds := func(path string) bool { return within(path, folder) }
		if !slices.Contains(p.Mounts, name) && !slices.ContainsFunc(paths, holds) {
			continue
		}
		if p.mountsPolicy() && (within(folder, policyFolder) || within(policyFolder, folder)) {
			return nil, fmt.Errorf("mount: %q: is mounted at %q, and the sidecar has its policy in %s: mount it elsewhere", authz.Printable(name), authz.Printable(folder), policyFolder)
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
			return nil, fmt.Errorf("mount: %q: container %s mounts no volume of that name", authz.Printable(name), p.gateway)
		}
	}
	return mounts, nil
}

// keyPaths are the files that settings name in plain text. One that the sidecar must read has to lie in a mount.
func (p *plan) keyPaths() (paths []string, err error) {
	for _, s := range authz.Settings {
		name := s.Name
		path, ok := literalOf(p.gateway, name)
		if isFile := strings.HasSuffix(name, "_PATH") && name != "APP_ROOT_PATH" || strings.HasSuffix(name, "_FILE"); !isFile || !ok || path == "" {
			continue
		}
		paths = append(paths, path)
		mounted := slices.ContainsFunc(list(p.gateway.fields["volumeMounts"]), func(v any) bool {
			folder, _ := mapping(v)["mountPath"].(string)
			return within(path, folder)
		})
		switch {
		case mounted || name == "JWT_PRIVATE_KEY_PATH" && !p.says("EMBED_ENVIRONMENT_IN_TOKENS"): // which serves no sidecar that doesn't sign
		case !strings.HasPrefix(path, "/"):
			return nil, fmt.Errorf("container %s: %s: %q is a relative path, and the sidecar's working directory is /: name it absolutely", p.gateway, name, authz.Printable(path))
		case len(p.Mounts) > 0:
			p.note("%s: %q lies in no mount: the sidecar starts only if what --mount shares leads there", name, authz.Printable(path))
		default:
			return nil, fmt.Errorf("container %s: %s: %q lies in no volume mount, so the sidecar, which has another image, can't read it: mount it from a Secret; where a link leads to a volume that is mounted, name that by --mount", p.gateway, name, authz.Printable(path))
		}
	}
	return paths, nil
}

// within tells whether a path is the folder, or lies below it.
func within(path, folder string) bool {
	return folder != "" && (path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/"))
}

// pathVariables are the variables that shared mounts refer to.
func pathVariables(mounts []any) (names []string) {
	for _, v := range mounts {
		text, _ := fieldOf(v, "subPathExpr").(string)
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			if m[1] != "" {
				names = append(names, m[1])
			}
		}
	}
	return names
}
