package inject

import (
	"fmt"
	"regexp"
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
	for i := len(entries) - 1; i >= 0; i-- {
		if m := mapping(entries[i]); m["name"] == name {
			return m, i
		}
	}
	return nil, -1
}

// literal is an entry's value where it is plain text that refers to no other variable.
func literal(entry map[string]any) (string, bool) {
	s, ok := entry["value"].(string)
	return s, ok && !strings.Contains(s, "$(")
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

func (c container) isGateway(patterns []string) bool {
	return !c.init && len(c.ports()) > 0 && slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, c.image()) })
}

// findGateway picks the gateway's container: the one that is named, else the one with a gateway's image, else the only one.
func (p *plan) findGateway() (container, error) {
	var plain, gateways []container
	var names []string
	for _, c := range containers(p.pod) {
		if c.init {
			continue
		}
		plain, names = append(plain, c), append(names, c.name())
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

func (o Options) gatewayImages() []string {
	if len(o.GatewayImages) > 0 {
		return o.GatewayImages
	}
	return DefaultGatewayImages
}

// redirect is how traffic reaches the sidecar, and the sidecar the gateway.
type redirect struct {
	way      string
	listen   int // envgate's port
	upstream int // the gateway's port on loopback
	gateway  int // the port that the gateway had
}

func (p *plan) findRedirect() (r redirect, err error) {
	r = redirect{way: p.Options.redirect()}
	if r.gateway, err = p.gatewayPort(); err != nil {
		return r, err
	}
	r.listen = r.gateway
	p.redirect = r // what free must not pick
	switch r.way {
	case RedirectManual:
		if r.upstream = p.UpstreamPort; r.upstream == 0 {
			return r, fmt.Errorf("upstream-port: missing: redirect manual needs the loopback port on which the gateway listens")
		}
	case RedirectService:
		r.listen, r.upstream = p.free(4445), r.gateway
	default:
		if p.policy.Bind == (authz.Bind{}) {
			return r, fmt.Errorf("the policy names no bind variables, so the gateway can't be moved: move it to loopback, and set the annotations %s: manual and %s", annotationRedirect, annotationUpstreamPort)
		}
		if line := p.gateway.commandLine(); fixesPort(line, r.gateway) {
			return r, fmt.Errorf("container %s: its command line fixes where it listens: move it there to 127.0.0.1:%d, and set the annotations %s: manual and %s: %q",
				p.gateway.name(), p.free(r.gateway+10000), annotationRedirect, annotationUpstreamPort, strconv.Itoa(p.free(r.gateway+10000)))
		}
		r.upstream = p.free(r.gateway + 10000)
	}
	return r, nil
}

// gatewayPort is P: what PORT says in plain text, else the declared port, else the one called http.
func (p *plan) gatewayPort() (int, error) {
	name := or(p.policy.Bind.PortEnv, "PORT")
	if value, ok := literalOf(p.gateway, name); ok && p.Options.redirect() != RedirectManual {
		if n, ok := portNumber(value); ok {
			return n, nil
		}
		return 0, fmt.Errorf("container %s: %s: %q: want a port, 1 to 65535", p.gateway.name(), name, authz.Printable(value))
	}
	ports := slices.DeleteFunc(p.gateway.ports(), func(port port) bool { return port.number == p.UpstreamPort })
	if len(ports) == 1 {
		return ports[0].number, nil
	}
	for _, port := range ports {
		if port.name == "http" {
			return port.number, nil
		}
	}
	if len(ports) == 0 {
		return 0, fmt.Errorf("container %s declares no port: add the containerPort on which it listens", p.gateway.name())
	}
	return 0, fmt.Errorf("container %s declares several ports: call the one to guard http, or set %s in its env", p.gateway.name(), name)
}

func literalOf(c container, name string) (string, bool) {
	entry, _ := c.env(name)
	return literal(entry)
}

var listenOption = regexp.MustCompile(`(^|\s)(--?(port|host|bind|address|listen|http-address|bind-address)|-b)[= ]+["']?[^$"'\s-]`)

// fixesPort tells whether a command line says where to listen, so that HOST and PORT would have no effect: it names the
// port's number, a wildcard address, or an option for them whose value is no variable.
func fixesPort(line string, port int) bool {
	return mentions(line, port) || strings.Contains(line, "0.0.0.0") || strings.Contains(line, "[::]") || listenOption.MatchString(line)
}

// moveGateway gives the gateway its loopback address and new port, in place where entries are there already.
func (p *plan) moveGateway() error {
	for _, extra := range p.gateway.ports() {
		if extra.number != p.redirect.gateway {
			p.note("port %d of container %s stays open beside envgate: nothing guards it", extra.number, p.gateway.name())
		}
	}
	if p.redirect.way != RedirectPort {
		return nil
	}
	var missing []any
	for _, entry := range []struct{ name, value string }{
		{p.policy.Bind.HostEnv, "127.0.0.1"}, {p.policy.Bind.PortEnv, strconv.Itoa(p.redirect.upstream)},
	} {
		found := false
		for i, v := range list(p.gateway.fields["env"]) {
			if mapping(v)["name"] == entry.name { // every one: the last would win
				p.setEnv(p.gateway.path+pointer("env", strconv.Itoa(i)), mapping(v), entry.value)
				found = true
			}
		}
		if !found {
			missing = append(missing, object{{"name", entry.name}, {"value", entry.value}})
		}
	}
	p.appendAll(p.gateway.path, "env", missing...)
	return nil
}

// setEnv gives an environment entry a literal value, in the place of what it had.
func (p *plan) setEnv(path string, entry map[string]any, value string) {
	if _, present := entry["valueFrom"]; present {
		p.edits = append(p.edits, edit{path: path + pointer("valueFrom"), replace: true, rename: "value", value: value})
		return
	}
	p.set(path, "value", value)
}
