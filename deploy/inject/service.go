package inject

import (
	"fmt"
	"strconv"
)

// redirectServices leads the Services of the stream that select a gateway's Pods, and target its port, to envgate.
func (s *stream) redirectServices(gateway resource, way redirect) error {
	labels := mapping(gateway.pod(), "metadata", "labels")
	found, taken := false, ""
	for i, p := range s.pieces {
		for _, r := range resources(p.value(), "") {
			if r.kind != "Service" || r.namespace() != gateway.namespace() || !selects(mapping(r.value, "spec", "selector"), labels) {
				continue
			}
			edits, led := servicePorts(r, gateway, way)
			found = found || led || len(edits) > 0
			if len(edits) == 0 {
				if _, ours := mapping(r.value, "metadata", "annotations")[annotationOriginal]; ours && !led {
					taken = r.String()
				}
				continue
			}
			plan := &plan{pod: r.value, edits: edits}
			plan.addAll("/metadata", "annotations", object{{annotationOriginal, ""}})
			if err := s.edit(i, r.base, plan.edits); err != nil {
				return fmt.Errorf("%s: %w", r, err)
			}
		}
	}
	if !found && taken != "" {
		return fmt.Errorf("redirect service: %s leads to another workload's envgate already, and here it would listen on %d: a Service has one port for all its Pods: give their gateways the same ports, or a Service each", taken, way.listen)
	}
	if !found {
		return fmt.Errorf("redirect service: no Service in the input leads to port %d of its Pods: put the Service into the same input", way.gateway)
	}
	return nil
}

func selects(selector, labels map[string]any) bool {
	for name, value := range selector {
		if labels[name] != value {
			return false
		}
	}
	return len(selector) > 0
}

// servicePorts are the edits that lead a Service's ports from the gateway to envgate. It tells whether one leads there
// already, as it does when another workload behind the same Service came first.
func servicePorts(service, gateway resource, way redirect) (edits []edit, led bool) {
	for i, v := range list(mapping(service.value, "spec")["ports"]) {
		m := mapping(v)
		path := pointer("spec", "ports", strconv.Itoa(i))
		target, given := m["targetPort"]
		if !given {
			target = m["port"] // the default
		}
		n, ok := portNumber(target)
		if name, isName := target.(string); isName && !ok {
			for _, c := range containers(gateway.pod()) {
				for _, port := range c.ports() {
					if port.name == name {
						n = port.number
					}
				}
			}
		}
		led = led || n == way.listen
		if n == way.gateway {
			edits = append(edits, edit{path: path + pointer("targetPort"), value: way.listen, replace: given})
		}
	}
	return edits, led
}
