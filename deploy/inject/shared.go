package inject

import (
	"fmt"
	"slices"
	"strings"

	"envgate/authz"
)

// shared are the gateway's own entries that envgate reads, too, and those that they refer to, in their order. Entries of
// other names (passwords among them) are left where they are.
func (p *plan) shared(written object, mounts []any) (entries []any, err error) {
	all := list(p.gateway.fields["env"])
	wanted := map[int]bool{}
	want := func(name string, fromSecret bool) error {
		reached := p.reached(name)
		if len(reached) == 0 {
			return nil
		}
		plain := p.plainSecret(reached)
		switch {
		case plain == "":
		case fromSecret:
			if !isSecret(name) {
				p.note("container %s: %s holds what %s says in plain text: the sidecar reads it from Secret %s, so put it there", p.gateway, name, plain, p.Secret)
			}
			return nil
		case !p.Force:
			return fmt.Errorf("container %s: %s stands in plain text: move it to a Secret and use valueFrom, or use --force to copy it as it is", p.gateway, plain)
		}
		for _, i := range reached {
			wanted[i] = true
		}
		p.noteReferences(name, reached)
		return nil
	}
	for _, s := range authz.Settings {
		if s.Name == "ENVGATE_PROBES" || slices.ContainsFunc(written, func(f field) bool { return f.name == s.Name }) {
			continue
		}
		if err := want(s.Name, p.inSecret(s)); err != nil {
			return nil, err
		}
	}
	for _, name := range pathVariables(mounts) {
		if p.gateway.entryBefore(name, len(all)) < 0 && p.envFrom() != "all" {
			return nil, fmt.Errorf("container %s: a shared mount's subPathExpr refers to %s, which envFrom would have to give: set it in env", p.gateway, name)
		}
		if err := want(name, false); err != nil {
			return nil, err
		}
	}
	moved := p.moved()
	for i, v := range all {
		if !wanted[i] {
			continue
		}
		for _, f := range moved {
			if mapping(v)["name"] == f.name { // as the gateway will see it
				v = object{{"name", f.name}, {"value", f.value}}
			}
		}
		entries = append(entries, v)
	}
	return entries, nil
}

// reached are the indexes of the gateway's entry of that name, and of those that it refers to: each reference sees the
// last entry that stands before it.
func (p *plan) reached(name string) (indexes []int) {
	all := list(p.gateway.fields["env"])
	var reach func(name string, before int)
	reach = func(name string, before int) {
		i := p.gateway.entryBefore(name, before)
		if i < 0 || slices.Contains(indexes, i) {
			return
		}
		indexes = append(indexes, i)
		text, _ := textOf(mapping(all[i]))
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			if m[1] != "" {
				reach(m[1], i)
			}
		}
	}
	reach(name, len(all))
	return indexes
}

// plainSecret is the name of the first entry that would copy a secret as plain text: one of a secret's name, or that such
// a one refers to, or that reads like one and isn't envgate's own, in which plain text remains beside the references.
func (p *plan) plainSecret(reached []int) string {
	all := list(p.gateway.fields["env"])
	root, _ := mapping(all[reached[0]])["name"].(string)
	for _, i := range reached {
		name, _ := mapping(all[i])["name"].(string)
		if (isSecret(root) || isSecret(name) || readsLikeSecret(name)) && p.remains(i) {
			return name
		}
	}
	return ""
}

// remains tells whether plain text is left of an entry's value without its references.
func (p *plan) remains(i int) bool {
	text, _ := textOf(mapping(list(p.gateway.fields["env"])[i]))
	return reference.ReplaceAllStringFunc(text, func(match string) string {
		if match == "$$" {
			return "$"
		}
		if len(list(p.gateway.fields["envFrom"])) == 0 && p.gateway.entryBefore(match[2:len(match)-1], i) < 0 {
			return match // leads nowhere: the kubelet leaves it as it is
		}
		return ""
	}) != ""
}

func isSecret(name string) bool {
	return slices.ContainsFunc(authz.Settings, func(s authz.Setting) bool { return s.Name == name && s.Secret })
}

// readsLikeSecret tells whether a variable that isn't one of envgate's own is named as secrets are.
func readsLikeSecret(name string) bool {
	name = strings.ToUpper(name)
	own := slices.ContainsFunc(authz.Settings, func(s authz.Setting) bool { return s.Name == name })
	return !own && !strings.Contains(name, "PUBLIC") && (strings.HasSuffix(name, "KEY") || slices.ContainsFunc(
		[]string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "PRIVATE"}, func(word string) bool { return strings.Contains(name, word) }))
}

// noteReferences names values that injection changes, and those that the sidecar may see differently.
func (p *plan) noteReferences(name string, reached []int) {
	all := list(p.gateway.fields["env"])
	for _, i := range reached {
		entry := mapping(all[i])
		text, _ := textOf(entry)
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			at := p.gateway.entryBefore(m[1], i)
			moved := slices.ContainsFunc(p.moved(), func(f field) bool { return f.name == m[1] })
			switch {
			case m[1] == "":
			case moved && at >= 0:
				p.note("container %s: %s refers to %s, which is another one now, for the sidecar and the gateway: write out what it should stay", p.gateway, name, m[1])
			case at < 0 && len(p.sources()) < len(list(p.gateway.fields["envFrom"])):
				p.note("container %s: %s refers to %s, which the sidecar doesn't get from envFrom: set it in env", p.gateway, name, m[1])
			}
		}
	}
}
