// Package inject puts the sidecar beside a gateway: it reads a Pod, or the template of a workload, and says what to change.
//
// The gateway's port number P becomes envgate's. By default the gateway is told to listen on 127.0.0.1 and P+10000, by
// explicit environment entries, which win over envFrom: Services, probes and policies that name P stay as they are, and
// nothing in the cluster can walk around the sidecar. Where that is impossible, injection is refused with what to set;
// it never leaves a sidecar that traffic misses.
//
// Pod decides, for the command line and for the webhook alike: the result is a list of RFC 6902 operations. The webhook
// answers them as they are. Manifests applies them to the text of a manifest, in place: comments, order, indentation and
// line ends of what is not touched stay, and Restore takes them back.
package inject

import (
	"fmt"
	"slices"

	"envgate/authz"
)

// Labels and annotations, all below envgate/.
const (
	labelInject             = "envgate/inject" // enabled or disabled
	annotationContainer     = "envgate/container"
	annotationRedirect      = "envgate/redirect"
	annotationUpstreamPort  = "envgate/upstream-port"
	annotationMode          = "envgate/mode"
	annotationPolicy        = "envgate/policy"
	annotationImage         = "envgate/image"
	annotationInjected      = "envgate/injected" // written by us: the version
	annotationOriginal      = "envgate/original" // written by us: how to take it back
	sidecarName             = "envgate"
	portName, adminPortName = "envgate", "envgate-admin"
)

// Ways to redirect traffic.
const (
	RedirectPort    = "port"    // envgate takes the gateway's port, the gateway moves to loopback
	RedirectManual  = "manual"  // the owner moved the gateway
	RedirectService = "service" // another port; the Services in the same input are rewritten
)

// Operation is one operation of RFC 6902.
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Change is what to do to a Pod.
type Change struct {
	Operations []Operation // none: it has its sidecar already
	Notes      []string    // what its owner should know, a line each
	edits      []edit
	redirect   redirect
	mode       string
	annotated  bool // the mode is the annotation's
}

// Pod says how to inject the sidecar into a Pod, given as decoded JSON or YAML with metadata and spec. Annotations of
// the Pod win over the options. The error is one line that names what stands in the way and what to set.
func Pod(pod map[string]any, o Options) (Change, error) {
	c, err := decide(pod, o)
	if err == nil && len(c.edits) > 0 && c.redirect.way == RedirectService {
		return Change{}, fmt.Errorf("redirect service: needs the Services: use envgate inject on the command line, or redirect %s", RedirectPort)
	}
	return c, err
}

func decide(pod map[string]any, o Options) (Change, error) {
	annotations := mapping(pod, "metadata", "annotations")
	o, err := o.annotated(annotations)
	if err != nil {
		return Change{}, err
	}
	if err := o.Check(); err != nil {
		return Change{}, err
	}
	p := &plan{Options: o, pod: pod}
	if err := p.make(); err != nil {
		return Change{}, err
	}
	return Change{
		Operations: patch(p.edits), Notes: p.notes, edits: p.edits, redirect: p.redirect,
		mode: o.mode(), annotated: annotations[annotationMode] == o.Mode && o.Mode != "",
	}, nil
}

// patch is what the webhook answers: null, in JSON Patch, is no value.
func patch(edits []edit) []Operation {
	ops := operations(edits)
	for i, op := range ops {
		if op.Op == "replace" && op.Value == nil {
			ops[i].Op = "remove"
		}
	}
	return ops
}

// plan collects the edits of one Pod.
type plan struct {
	Options
	pod      map[string]any
	policy   *authz.Policy
	gateway  container
	redirect redirect
	admin    int
	probes   object // the rewritten probes, by container/kind
	edits    []edit
	notes    []string
}

func (p *plan) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// make is the whole injection, in order.
func (p *plan) make() (err error) {
	if p.policy, err = p.Options.policy(); err != nil {
		return err
	}
	if injected, err := p.injected(); injected || err != nil {
		return err
	}
	if err = p.allowed(); err != nil {
		return err
	}
	if p.gateway, err = p.findGateway(); err != nil {
		return err
	}
	if err = p.findRedirect(); err != nil {
		return err
	}
	p.admin = p.free(4446)
	for _, step := range []func() error{p.guardAll, p.ownHostPort, p.moveGateway, p.rewriteProbes, p.keepGatewayUntilDrained, p.addSidecar, p.annotate} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// injected tells whether the Pod has envgate's sidecar. A container that only calls itself envgate is an error, and so is
// a sidecar that the gateway was not moved for: traffic would miss it.
func (p *plan) injected() (bool, error) {
	i := slices.IndexFunc(containers(p.pod), func(c container) bool { return c.name() == sidecarName })
	if i < 0 {
		return false, nil
	}
	if image := containers(p.pod)[i].image(); repository(image) != repository(p.Image) {
		return false, fmt.Errorf("container envgate: image %q is not %s: rename that container, or name its image by --image or the annotation %s",
			authz.Printable(image), repository(p.Image), annotationImage)
	}
	if p.Options.redirect() != RedirectPort {
		return true, nil
	}
	gateway, err := p.findGateway()
	if err != nil {
		return false, fmt.Errorf("container envgate is there, but not for whom: %w", err)
	}
	if host, _ := literalOf(gateway, p.hostVariable()); host != "127.0.0.1" {
		return false, fmt.Errorf("container envgate is there, but container %s has no %s=127.0.0.1: traffic would miss it: take it out and inject again, or set the annotation %s: %s",
			gateway, p.hostVariable(), annotationRedirect, RedirectManual)
	}
	return true, nil
}

// allowed refuses Pods in which a sidecar can't stand between the gateway and its clients.
func (p *plan) allowed() error {
	spec := mapping(p.pod, "spec")
	if spec == nil {
		return fmt.Errorf("spec: missing: want a Pod or a template of Pods")
	}
	if spec["hostNetwork"] == true && !p.Force {
		return fmt.Errorf("hostNetwork: true: the gateway's loopback and ports would be the node's, open to every process there; remove it, or inject by command with --force")
	}
	if name, _ := mapping(spec, "os")["name"].(string); name == "windows" {
		return fmt.Errorf("os: windows: envgate runs on Linux nodes only")
	}
	return nil
}

// ownHostPort refuses what the API server would: on the host's network every declared port is a host port, and two plain
// containers can't have the same.
func (p *plan) ownHostPort() error {
	if mapping(p.pod, "spec")["hostNetwork"] != true || !p.Plain {
		return nil
	}
	for _, c := range containers(p.pod) {
		if !c.init && slices.ContainsFunc(c.ports(), func(port port) bool { return port.number == p.redirect.listen }) {
			return fmt.Errorf("hostNetwork: true: a plain container can't take port %d, which container %s declares: use a native sidecar, or redirect %s", p.redirect.listen, c, RedirectService)
		}
	}
	return nil
}

// free is the first number from start upwards that no container declares and the gateway doesn't use; past 65535 the
// search goes on from 10000.
func (p *plan) free(start int) int {
	taken := []int{p.redirect.listen, p.redirect.upstream}
	for _, c := range containers(p.pod) {
		for _, port := range c.ports() {
			taken = append(taken, port.number)
		}
	}
	for port := start; ; port++ {
		if port > 65535 {
			port = 10000
		}
		if !slices.Contains(taken, port) {
			return port
		}
	}
}

// annotate writes what was done, and how to take it back, to the Pod.
func (p *plan) annotate() error {
	written := object{{annotationInjected, or(p.Version, "dev")}, {annotationOriginal, ""}}
	if p.redirect.way == RedirectService { // for the webhook, which can't see the Services
		written = append(written, field{annotationRedirect, RedirectService})
	}
	if p.Mesh != "" {
		p.exclude(&written)
	}
	p.addAll("/metadata", "annotations", written)
	setOriginal(p.edits, undoOf(p.edits, p.pod))
	return nil
}

// setOriginal fills in the annotation that takes the edits back: it can be known only when they all are.
func setOriginal(edits []edit, u undo) {
	for i, e := range edits {
		if last(e.path) == annotationOriginal {
			edits[i].value = u.String()
		} else if fields, ok := e.value.(object); ok {
			for _, f := range fields {
				if below, ok := f.value.(object); ok && f.name == "annotations" { // there was no metadata
					fields = below
				}
			}
			for j, f := range fields {
				if f.name == annotationOriginal {
					fields[j].value = u.String()
				}
			}
		}
	}
}
