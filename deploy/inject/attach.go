package inject

import (
	"fmt"
	"slices"

	"envgate/authz"
)

// attach adds the documents that go with a gateway: a PodMonitor and a NetworkPolicy, where they are asked for.
func (s *stream) attach(r resource, o Options, way redirect) error {
	network := o.NetworkPolicy || way.way == RedirectService
	if !o.PodMonitor && !network {
		return nil
	}
	pods := selector(r)
	if len(pods) == 0 {
		return fmt.Errorf("%s: has no labels: a PodMonitor or NetworkPolicy could not select its Pods", r)
	}
	name, _ := mapping(r.value, "metadata")["name"].(string)
	if name += "-envgate"; !ObjectName(name) {
		return fmt.Errorf("%s: a PodMonitor or NetworkPolicy would be called %q: want a name of at most %d characters for it", r, authz.Printable(name), 253-len("-envgate"))
	}
	metadata := object{{"name", name}}
	if ns := r.namespace(); ns != "" {
		metadata = append(metadata, field{"namespace", ns})
	}
	metadata = append(metadata, field{"annotations", object{{annotationInjected, or(o.Version, "dev")}}})
	if o.PodMonitor {
		s.append(object{
			{"apiVersion", "monitoring.coreos.com/v1"}, {"kind", "PodMonitor"}, {"metadata", metadata},
			{"spec", object{
				{"selector", pods},
				{"podMetricsEndpoints", []any{object{{"port", adminPortName}}}},
			}},
		})
	}
	if network {
		s.append(object{
			{"apiVersion", "networking.k8s.io/v1"}, {"kind", "NetworkPolicy"}, {"metadata", metadata},
			{"spec", object{
				{"podSelector", pods},
				{"policyTypes", []any{"Ingress"}},
				{"ingress", []any{object{{"ports", s.openPorts(r, way)}}}},
			}},
		})
	}
	return nil
}

// selector is how a workload selects its Pods, all of it, or what selects a Pod by its own labels.
func selector(r resource) (whole object) {
	given := mapping(r.value, "spec", "selector")
	if labels := mapping(given, "matchLabels"); len(labels) > 0 {
		whole = append(whole, field{"matchLabels", labels})
	}
	if expressions := list(given["matchExpressions"]); len(expressions) > 0 {
		whole = append(whole, field{"matchExpressions", expressions})
	}
	if labels := mapping(r.pod(), "metadata", "labels"); len(whole) == 0 && len(labels) > 0 {
		whole = object{{"matchLabels", labels}}
	}
	return whole
}

// openPorts are all declared ports but the gateway's own.
func (s *stream) openPorts(r resource, way redirect) (open []any) {
	var seen []string
	for _, p := range s.pieces {
		for _, now := range resources(p.value(), "") {
			if now.String() != r.String() || now.namespace() != r.namespace() {
				continue
			}
			for _, c := range containers(now.pod()) {
				for _, v := range list(c.fields["ports"]) {
					n, _ := number(mapping(v)["containerPort"])
					protocol, _ := mapping(v)["protocol"].(string)
					key := fmt.Sprint(or(protocol, "TCP"), n)
					if n == 0 || n == way.upstream || slices.Contains(seen, key) {
						continue
					}
					seen = append(seen, key)
					open = append(open, object{{"protocol", or(protocol, "TCP")}, {"port", n}})
				}
			}
		}
	}
	return open
}
