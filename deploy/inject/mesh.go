package inject

import (
	"slices"
	"strconv"
	"strings"
)

// exclusions are the annotations by which a mesh leaves inbound ports alone, each a comma-separated list.
var exclusions = map[string]string{
	"istio":   "traffic.sidecar.istio.io/excludeInboundPorts",
	"linkerd": "config.linkerd.io/skip-inbound-ports",
}

// exclude keeps the admin port out of the mesh, so that Prometheus and the kubelet reach it without a mesh identity. Ports
// that are listed already stay.
func (p *plan) exclude(annotations *object) {
	name, admin := exclusions[p.Mesh], strconv.Itoa(p.admin)
	given, _ := mapping(p.pod, "metadata", "annotations")[name].(string)
	ports := strings.FieldsFunc(given, func(r rune) bool { return r == ',' || r == ' ' })
	if !slices.Contains(ports, admin) {
		*annotations = append(*annotations, field{name, strings.Join(append(ports, admin), ",")})
	}
}
