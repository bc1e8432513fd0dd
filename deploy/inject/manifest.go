package inject

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"envgate/authz"
)

// templates are the kinds that are injected, with the place of their Pod.
var templates = map[string]string{
	"Pod": "", "Deployment": "/spec/template", "StatefulSet": "/spec/template", "DaemonSet": "/spec/template", "ReplicaSet": "/spec/template",
}

// skipped are the kinds whose Pods end by themselves: a sidecar would have nothing to guard.
var skipped = []string{"Job", "CronJob"}

// resource is one object of a manifest: a document, or an item of a List.
type resource struct {
	base  string // its place in the document
	kind  string
	value map[string]any
}

func (r resource) template() string { return r.base + templates[r.kind] }

func (r resource) pod() map[string]any {
	v, _ := lookUp(r.value, templates[r.kind])
	return mapping(v)
}

func (r resource) String() string {
	name, _ := mapping(r.value, "metadata")["name"].(string)
	return strings.ToLower(r.kind) + "/" + authz.Printable(or(name, "unnamed"))
}

func (r resource) namespace() string {
	s, _ := mapping(r.value, "metadata")["namespace"].(string)
	return s
}

// label reads a label of the Pod, else of the object around it.
func (r resource) label(name string) string {
	for _, v := range []map[string]any{r.pod(), r.value} {
		if s, ok := mapping(v, "metadata", "labels")[name].(string); ok {
			return s
		}
	}
	return ""
}

// resources lists the objects of a document, those of Lists one by one.
func resources(v any, base string) (all []resource) {
	m := mapping(v)
	kind, _ := m["kind"].(string)
	if items := list(m["items"]); strings.HasSuffix(kind, "List") {
		for i, item := range items {
			all = append(all, resources(item, base+pointer("items", strconv.Itoa(i)))...)
		}
		return all
	}
	return append(all, resource{base, kind, m})
}

// Result is a manifest with its sidecars.
type Result struct {
	Text     []byte
	Injected []Injection
	Notes    []string // what its owner should know, a line each
}

// Injection is one sidecar that was put in.
type Injection struct {
	Name      string // of the object, as kind/name
	Mode      string
	Annotated bool // the mode is the one that the Pod's annotation says, which wins over the option
}

// Manifests injects every gateway in a YAML or JSON stream. Documents that hold none pass byte for byte. A gateway is
// what is labelled envgate/inject: enabled, has the named container, or runs a gateway's image; where nothing in the
// input is such, a lone workload is one. An error names the object, and nothing is half done.
func Manifests(text []byte, o Options) (r Result, err error) {
	if err := o.Check(); err != nil {
		return r, err
	}
	s, err := split(text)
	if err != nil {
		return r, err
	}
	if err = s.restore(); err != nil { // inject of inject is inject
		return r, err
	}
	gateways, notes, err := s.gateways(o)
	if err != nil {
		return r, err
	}
	r.Notes = append(s.notes, notes...)
	for i := range s.pieces {
		for _, base := range gateways[i] {
			if err := s.inject(i, base, o, &r); err != nil {
				return r, err
			}
		}
	}
	r.Text = s.bytes()
	return r, nil
}

// Restore takes every injection of Manifests in a stream back.
func Restore(text []byte) ([]byte, error) {
	s, err := split(text)
	if err != nil {
		return nil, err
	}
	if err := s.restore(); err != nil {
		return nil, err
	}
	return s.bytes(), nil
}

// gateways picks what to inject: for each piece, where its gateways are.
func (s *stream) gateways(o Options) (picked map[int][]string, notes []string, err error) {
	picked = map[int][]string{}
	type place struct {
		piece int
		resource
	}
	var workloads, gateways []place
	var foreign []string // gateways that can't be injected
	for i, p := range s.pieces {
		for _, r := range resources(p.value(), "") {
			if r.endsByItself() {
				notes = append(notes, fmt.Sprintf("%s: left alone: its Pods end by themselves", r))
			} else if !r.injectable() && r.label(labelInject) != "disabled" && r.hidesGateway(o) {
				foreign = append(foreign, r.foreign())
			}
			if !r.injectable() {
				continue
			}
			if r.label(labelInject) == "disabled" {
				notes = append(notes, fmt.Sprintf("%s: left alone: labelled %s: disabled", r, labelInject))
				continue
			}
			workloads = append(workloads, place{i, r})
			named := o.Container != "" && slices.ContainsFunc(containers(r.pod()), func(c container) bool { return !c.init && c.name() == o.Container })
			if named || r.label(labelInject) == "enabled" || GatewayImage(r.pod(), o.gatewayImages()) {
				gateways = append(gateways, place{i, r})
			}
		}
	}
	switch {
	case len(gateways) > 0:
		notes = append(notes, foreign...)
	case len(foreign) > 0:
		return nil, nil, errors.New(strings.Join(foreign, "; "))
	case len(workloads) == 1:
		gateways = workloads
	}
	for _, w := range workloads {
		if slices.ContainsFunc(gateways, func(g place) bool { return g.piece == w.piece && g.base == w.base }) {
			picked[w.piece] = append(picked[w.piece], w.base)
		} else {
			notes = append(notes, fmt.Sprintf("%s: left alone: not a gateway", w))
		}
	}
	if len(workloads) > 0 && len(gateways) == 0 {
		return nil, nil, fmt.Errorf("none of the %d workloads is known to be a gateway: name its container by --container, or label its Pods %s: enabled", len(workloads), labelInject)
	}
	return picked, notes, nil
}

// inject puts the sidecar into one Pod or template.
func (s *stream) inject(piece int, base string, o Options, r *Result) error {
	d := s.pieces[piece].document
	v, _ := lookUp(d.value, base)
	target := resources(v, base)[0]
	fail := func(err error) error { return fmt.Errorf("%s: %w", target, err) }
	change, err := decide(target.pod(), o)
	if err != nil {
		return fail(err)
	}
	for _, note := range change.Notes {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: %s", target, note))
	}
	if len(change.Operations) == 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: left alone: has its sidecar already, by other means", target))
		return nil
	}
	if err := s.edit(piece, target.template(), change.edits); err != nil {
		return fail(err)
	}
	if change.redirect.way == RedirectService {
		if err := s.redirectServices(target, change.redirect); err != nil {
			return fail(err)
		}
	}
	r.Injected = append(r.Injected, Injection{target.String(), change.mode, change.annotated})
	return s.attach(target, o, change.redirect)
}

// edit changes the text of a piece, and makes sure that the text then says just what the edits do.
func (s *stream) edit(piece int, base string, edits []edit) error {
	d := s.pieces[piece].document
	pod, _ := lookUp(d.value, base)
	u := undoOf(edits, pod)
	for _, e := range edits {
		if !e.replace {
			continue
		}
		raw, err := d.raw(base + e.path)
		if err != nil {
			return err
		}
		if first, err := originalOf(raw); err == nil && same(object{{first.key, first.value}}, u.Restore[named(e.target(), pod, e.value)]) {
			u.Restore[named(e.target(), pod, e.value)] = raw // so that the first bytes come back
		}
	}
	setOriginal(edits, u)
	text, err := d.apply(base, edits)
	if err != nil {
		return err
	}
	edited, err := parse(text)
	if err != nil {
		return fmt.Errorf("can't be changed in place (%w): write it in plain block style", err)
	}
	if wanted := applied(d.value, base, edits); !same(edited.value, wanted) {
		return fmt.Errorf("can't be changed in place: write it in plain block style, without anchors, and end the file with a line end")
	}
	s.pieces[piece].document = edited
	return nil
}
