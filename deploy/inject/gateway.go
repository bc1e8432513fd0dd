package inject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"envgate/authz"
)

// container is one container of a Pod, with its place.
type container struct {
	path   string // JSON pointer
	fields map[string]any
	init   bool
}

type port struct {
	name   string
	number int
}

// containers are all containers of a Pod: first the init containers, in order.
func containers(pod map[string]any) (all []container) {
	for _, key := range []string{"initContainers", "containers"} {
		for i, v := range list(mapping(pod, "spec")[key]) {
			if fields := mapping(v); fields != nil {
				all = append(all, container{pointer("spec", key, strconv.Itoa(i)), fields, key == "initContainers"})
			}
		}
	}
	return all
}

func (c container) name() string  { s, _ := c.fields["name"].(string); return s }
func (c container) image() string { s, _ := c.fields["image"].(string); return s }

// String is the name as messages show it.
func (c container) String() string { return authz.Printable(c.name()) }

// runs tells whether the container lives as long as its Pod.
func (c container) runs() bool { return !c.init || c.fields["restartPolicy"] == "Always" }

// ports are the TCP ports that the container declares.
func (c container) ports() (ports []port) {
	for _, v := range list(c.fields["ports"]) {
		m := mapping(v)
		n, ok := number(m["containerPort"])
		if protocol, _ := m["protocol"].(string); ok && (protocol == "" || protocol == "TCP") {
			name, _ := m["name"].(string)
			ports = append(ports, port{name, n})
		}
	}
	return ports
}

// env is the container's last entry of that name, which is the one that counts, and its index.
func (c container) env(name string) (entry map[string]any, at int) {
	entries := list(c.fields["env"])
	if at = c.entryBefore(name, len(entries)); at < 0 {
		return nil, at
	}
	return mapping(entries[at]), at
}

// commandLine is what the container runs, as far as the manifest says.
func (c container) commandLine() string {
	var words []string
	for _, key := range []string{"command", "args"} {
		for _, v := range list(c.fields[key]) {
			if s, ok := v.(string); ok {
				words = append(words, s)
			}
		}
	}
	return strings.Join(words, " ")
}

// GatewayImage tells whether one of a Pod's containers has an image of a gateway and declares a port.
func GatewayImage(pod map[string]any, patterns []string) bool {
	return slices.ContainsFunc(containers(pod), func(c container) bool { return c.isGateway(patterns) })
}

func (c container) isGateway(patterns []string) bool { return !c.init && c.serves(patterns) }

// serves tells whether the container has a gateway's image and declares a port.
func (c container) serves(patterns []string) bool {
	return len(c.ports()) > 0 && slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, c.image()) })
}

// findGateway picks the gateway's container: the one that is named, else the one with a gateway's image, else the only
// one. The sidecar itself doesn't count.
func (p *plan) findGateway() (container, error) {
	var plain, gateways []container
	var names []string
	for _, c := range containers(p.pod) {
		if c.init || c.name() == sidecarName {
			continue
		}
		plain, names = append(plain, c), append(names, c.String())
		if p.Container != "" && c.name() == p.Container {
			return c, nil
		}
		if c.isGateway(p.gatewayImages()) {
			gateways = append(gateways, c)
		}
	}
	switch {
	case p.Container != "":
		return container{}, fmt.Errorf("container %q: no such container: want one of %s", authz.Printable(p.Container), strings.Join(names, ", "))
	case len(gateways) == 1:
		return gateways[0], nil
	case len(gateways) == 0 && len(plain) == 1:
		return plain[0], nil
	}
	return container{}, fmt.Errorf("which container is the gateway? Name one of %s by --container or the annotation %s", strings.Join(names, ", "), annotationContainer)
}

// guardAll refuses Pods with a second gateway: envgate stands before one, and the other would stay open.
func (p *plan) guardAll() error {
	for _, c := range containers(p.pod) {
		if c.path == p.gateway.path || !c.runs() || !c.serves(p.gatewayImages()) {
			continue
		}
		if !p.Force {
			return fmt.Errorf("containers %s and %s are both gateways, and envgate guards only one: give each a Pod of its own, or inject by command with --force, which leaves %s open", p.gateway, c, c)
		}
		p.note("container %s is a gateway, too, and stays open: nothing guards it", c)
	}
	return nil
}

func (o Options) gatewayImages() []string {
	if len(o.GatewayImages) > 0 {
		return o.GatewayImages
	}
	return DefaultGatewayImages
}
