package inject

import (
	"fmt"
	"slices"
	"strconv"

	"envgate/authz"
)

// redirect is how traffic reaches the sidecar, and the sidecar the gateway.
type redirect struct {
	way      string
	listen   int // envgate's port
	upstream int // the gateway's port on loopback
	gateway  int // the port that the gateway had
}

// hostVariable and portVariable are the variables by which the gateway is told where to listen.
func (p *plan) hostVariable() string { return or(p.policy.Bind.HostEnv, "HOST") }
func (p *plan) portVariable() string { return or(p.policy.Bind.PortEnv, "PORT") }

// findRedirect decides who listens where, and refuses what traffic would miss.
func (p *plan) findRedirect() (err error) {
	r := &p.redirect
	r.way = p.Options.redirect()
	if r.gateway, err = p.gatewayPort(); err != nil {
		return err
	}
	r.listen = r.gateway
	switch r.way {
	case RedirectManual:
		if r.upstream = p.UpstreamPort; r.upstream == 0 {
			return fmt.Errorf("upstream-port: missing: redirect manual needs the loopback port on which the gateway listens")
		}
		err = p.movedByHand()
	case RedirectService:
		r.listen, r.upstream = p.free(4445), r.gateway
	default:
		if p.policy.Bind == (authz.Bind{}) {
			return fmt.Errorf("the policy names no bind variables, so the gateway can't be moved: move it to loopback, and set the annotations %s: manual and %s", annotationRedirect, annotationUpstreamPort)
		}
		if err = p.movable(); err == nil {
			r.upstream = p.free(r.gateway + 10000)
		}
	}
	if err != nil {
		return err
	}
	return p.speaksPlainly()
}

// gatewayPort is P: what PORT says in plain text, else the declared port, else the one called http.
func (p *plan) gatewayPort() (int, error) {
	manual := p.Options.redirect() == RedirectManual
	if value, ok := literalOf(p.gateway, p.portVariable()); ok && !manual {
		if n, ok := portNumber(value); ok {
			return n, nil
		}
		return 0, fmt.Errorf("container %s: %s: %q: want a port, 1 to 65535", p.gateway, p.portVariable(), authz.Printable(value))
	}
	declared := p.gateway.ports()
	ports := slices.DeleteFunc(slices.Clone(declared), func(port port) bool { return manual && port.number == p.UpstreamPort })
	if len(ports) == 1 {
		return ports[0].number, nil
	}
	for _, port := range ports {
		if port.name == "http" {
			return port.number, nil
		}
	}
	switch {
	case len(declared) == 0:
		return 0, fmt.Errorf("container %s declares no port: add the containerPort on which it listens", p.gateway)
	case len(ports) == 0:
		return 0, fmt.Errorf("upstream-port: %d: is the port that container %s declares, which envgate takes: move the gateway to another, such as %d",
			p.UpstreamPort, p.gateway, p.free(p.UpstreamPort+10000))
	}
	return 0, fmt.Errorf("container %s declares several ports: call the one to guard http, or set %s in its env", p.gateway, p.portVariable())
}

// moveGateway gives the gateway its loopback address and new port, in place where entries are there already.
func (p *plan) moveGateway() error {
	for _, extra := range p.gateway.ports() {
		if extra.number != p.redirect.gateway {
			p.note("port %d of container %s stays open beside envgate: nothing guards it", extra.number, p.gateway)
		}
	}
	var missing []any
	for _, entry := range p.moved() {
		found := false
		for i, v := range list(p.gateway.fields["env"]) {
			if mapping(v)["name"] == entry.name { // every one: the last would win
				p.setEnv(p.gateway.path+pointer("env", strconv.Itoa(i)), mapping(v), entry.value.(string))
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

// moved are the variables that injection gives the gateway.
func (p *plan) moved() object {
	if p.redirect.way != RedirectPort {
		return nil
	}
	return object{{p.policy.Bind.HostEnv, "127.0.0.1"}, {p.policy.Bind.PortEnv, strconv.Itoa(p.redirect.upstream)}}
}

// setEnv gives an environment entry a literal value, in the place of what it had.
func (p *plan) setEnv(path string, entry map[string]any, value string) {
	_, hasValue := entry["value"]
	if _, hasSource := entry["valueFrom"]; hasSource && !hasValue {
		p.edits = append(p.edits, edit{path: path + pointer("valueFrom"), replace: true, rename: "value", value: value})
		return
	}
	if entry["valueFrom"] != nil { // the API server allows it beside an empty value only
		p.replace(path+pointer("valueFrom"), nil)
	}
	p.set(path, "value", value)
}
