package inject

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"envgate/authz"
)

// saying is one of the places that say where a gateway listens, beside HOST and PORT.
type saying struct{ where, text string }

// sayings are the gateway's command line, and the variables that its servers read as if they stood there. References to
// plain text are written out, but for those to the variables that injection sets.
func (p *plan) sayings() []saying {
	moved := []string{p.hostVariable(), p.portVariable()}
	all := len(list(p.gateway.fields["env"]))
	line, _ := p.gateway.expand(p.gateway.commandLine(), all, moved)
	found := []saying{{"its command line", p.withoutDefaults(line)}}
	for _, v := range []struct{ name, as string }{
		{"GUNICORN_CMD_ARGS", ""}, {"UVICORN_HOST", "--host "}, {"UVICORN_PORT", "--port "},
		{"UVICORN_SSL_KEYFILE", "--ssl-keyfile "}, {"UVICORN_SSL_CERTFILE", "--ssl-certfile "},
	} {
		entry, at := p.gateway.env(v.name)
		if text, ok := textOf(entry); ok && text != "" {
			text, _ = p.gateway.expand(text, at, moved)
			found = append(found, saying{v.name, v.as + text})
		}
	}
	return found
}

// withoutDefaults drops what a shell would take if HOST or PORT weren't set, as in ${PORT:-4444}: they will be.
func (p *plan) withoutDefaults(line string) string {
	for _, name := range []string{p.hostVariable(), p.portVariable()} {
		line = regexp.MustCompile(`\$\{`+name+`:?-[^}]*\}`).ReplaceAllLiteralString(line, "$"+name)
	}
	return line
}

var (
	listenOption = regexp.MustCompile(`(^|\s)(--?(port|host|bind|address|listen|http-address|bind-address)|-b)[= ]+["']?[^$"'\s-]`)
	everyAddress = regexp.MustCompile(`(^|[\s="'/@])(0\.0\.0\.0|\[::\]|::)($|[\s:"';/])`)
	tlsOption    = regexp.MustCompile(`(^|[\s"'])--(ssl-[a-z-]+|certfile|keyfile)($|[\s="'])`)
)

// fixesPort tells whether a command line says where to listen, so that the variables for it would have no effect: it names
// the port's number, a wildcard address, an option for them whose value is no variable, or sets the variables itself.
func fixesPort(line string, port int, variables ...string) bool {
	return mentions(line, port) || strings.Contains(line, "0.0.0.0") || strings.Contains(line, "[::]") || listenOption.MatchString(line) ||
		slices.ContainsFunc(variables, func(name string) bool {
			return regexp.MustCompile(`(^|[\s;&|({"'])` + name + `=["']?[^$"'\s;]`).MatchString(line)
		})
}

// movable refuses a gateway that would not follow HOST and PORT.
func (p *plan) movable() error {
	for _, s := range p.sayings() {
		if fixesPort(s.text, p.redirect.gateway, p.hostVariable(), p.portVariable()) {
			to := p.free(p.redirect.gateway + 10000)
			return fmt.Errorf("container %s: %s fixes where it listens: move it there to 127.0.0.1:%d, and set the annotations %s: manual and %s: \"%d\"",
				p.gateway, s.where, to, annotationRedirect, annotationUpstreamPort, to)
		}
	}
	return nil
}

// movedByHand refuses a gateway of which the manifest says that its owner didn't move it.
func (p *plan) movedByHand() error {
	for _, name := range []string{p.hostVariable(), "UVICORN_HOST"} {
		if host, ok := literalOf(p.gateway, name); ok && !isLoopback(host) {
			return fmt.Errorf("container %s: %s: %q: redirect manual needs the gateway on loopback: set it to 127.0.0.1", p.gateway, name, authz.Printable(host))
		}
	}
	for _, name := range []string{p.portVariable(), "UVICORN_PORT"} {
		if port, ok := literalOf(p.gateway, name); ok && port != fmt.Sprint(p.redirect.upstream) {
			return fmt.Errorf("container %s: %s: %q: redirect manual says that the gateway listens on %d: set one to the other", p.gateway, name, authz.Printable(port), p.redirect.upstream)
		}
	}
	for _, s := range p.sayings() {
		if everyAddress.MatchString(s.text) {
			return fmt.Errorf("container %s: %s listens on every address: redirect manual needs the gateway on loopback: make it 127.0.0.1:%d", p.gateway, s.where, p.redirect.upstream)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// says tells whether the gateway's variable is true in plain text, in any of the spellings that it takes.
func (p *plan) says(name string) bool {
	value, ok := literalOf(p.gateway, name)
	return ok && slices.Contains([]string{"true", "1", "yes", "on", "t", "y"}, strings.ToLower(strings.TrimSpace(value)))
}

// speaksPlainly refuses a gateway that ends TLS itself: envgate forwards plain HTTP.
func (p *plan) speaksPlainly() error {
	const advice = "the gateway would end TLS itself, and envgate speaks plain HTTP to it"
	if p.says("SSL") {
		value, _ := literalOf(p.gateway, "SSL")
		return fmt.Errorf("container %s: SSL: %q: %s: set it to false, and end TLS before the Pod", p.gateway, authz.Printable(value), advice)
	}
	for _, s := range p.sayings() {
		if option := tlsOption.FindStringSubmatch(s.text); option != nil {
			return fmt.Errorf("container %s: %s has --%s: %s: take it out, and end TLS before the Pod", p.gateway, s.where, option[2], advice)
		}
	}
	return nil
}
