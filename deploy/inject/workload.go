package inject

import (
	"fmt"
	"slices"
	"strings"

	"envgate/authz"
)

// injectable tells whether the object is of a kind that is injected, of Kubernetes' own groups: a Deployment of another
// group may keep its Pods elsewhere, and treat them otherwise.
func (r resource) injectable() bool {
	if _, ok := templates[r.kind]; !ok {
		return false
	}
	if r.kind == "Pod" {
		return r.version() == "v1"
	}
	return strings.HasPrefix(r.version(), "apps/")
}

// endsByItself tells whether the object's Pods do, so that a sidecar would have nothing to guard.
func (r resource) endsByItself() bool {
	return slices.Contains(skipped, r.kind) && strings.HasPrefix(r.version(), "batch/")
}

func (r resource) version() string { s, _ := r.value["apiVersion"].(string); return s }

// hidesGateway tells whether the object holds, at any depth, a template of Pods that would be a gateway if it were of a
// kind that is injected. Custom resources keep it at different places.
func (r resource) hidesGateway(o Options) bool {
	return hidesGateway(r.value, r.label(labelInject) == "enabled", o)
}

func hidesGateway(v any, labelled bool, o Options) bool {
	switch v := v.(type) {
	case map[string]any:
		labelled = labelled || mapping(v, "metadata", "labels")[labelInject] == "enabled"
		pod := map[string]any{"spec": v}
		if all := containers(pod); len(all) > 0 {
			named := o.Container != "" && slices.ContainsFunc(all, func(c container) bool { return !c.init && c.name() == o.Container })
			return labelled || named || GatewayImage(pod, o.gatewayImages())
		}
		for _, below := range v {
			if hidesGateway(below, labelled, o) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return hidesGateway(item, labelled, o) })
	}
	return false
}

// foreign says that a gateway stays without its sidecar.
func (r resource) foreign() string {
	return fmt.Sprintf("%s: left alone, though it is a gateway: %q of %q is not injected as a manifest: let the webhook add the sidecar when its Pods are created", r, authz.Printable(r.kind), authz.Printable(r.version()))
}
