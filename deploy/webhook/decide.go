package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"envgate/authz"
	"envgate/deploy/inject"
	"envgate/metrics"
)

// admission decides about Pods.
type admission struct {
	sidecar    inject.Options
	policy     string // the ConfigMap that a namespace may have, or a built-in policy
	native     func() (yes, known bool)
	namespaces *namespaces
	policies   *policies
	metrics    *metrics.Webhook
	log        *slog.Logger
}

// decision is what becomes of one Pod.
type decision struct {
	result     string // metrics.Injected, Skipped, Denied or Failed
	reason     string // one line
	pod        string // its name, or the beginning of it
	operations []inject.Operation
	warnings   []string
}

func skipped(format string, args ...any) decision {
	return decision{result: metrics.Skipped, reason: fmt.Sprintf(format, args...)}
}

func denied(format string, args ...any) decision {
	return decision{result: metrics.Denied, reason: fmt.Sprintf(format, args...)}
}

// failure is a denial that isn't the Pod's fault.
func failure(err error) decision { return decision{result: metrics.Failed, reason: err.Error()} }

// decide says what becomes of the Pod in a request. It changes nothing anywhere, so that a dry run is like any other.
func (a *admission) decide(ctx context.Context, r *request) decision {
	if r.Kind.Kind != "Pod" || r.SubResource != "" || r.Operation != "CREATE" {
		return skipped("not the creation of a Pod")
	}
	pod, err := decoded(r.Object)
	if err != nil {
		return failure(err)
	}
	d := a.about(ctx, r.Namespace, pod)
	metadata := mapping(pod["metadata"])
	if d.pod = text(metadata["name"]); d.pod == "" {
		d.pod = text(metadata["generateName"])
	}
	return d
}

// about decides about a Pod that is created in a namespace. Pods made from a template don't name it themselves.
func (a *admission) about(ctx context.Context, name string, pod map[string]any) decision {
	metadata := mapping(pod["metadata"])
	labels := texts(metadata["labels"])
	switch {
	case labels[labelInject] == disabled:
		return skipped("label %s: %s", labelInject, disabled)
	case ofJob(metadata):
		return skipped("belongs to a Job, which nothing calls")
	case texts(metadata["annotations"])["kubernetes.io/config.mirror"] != "":
		d := skipped("a static Pod's mirror, which can't be changed")
		d.warnings = []string{"envgate: a static Pod can't be injected here: run envgate inject on its manifest"}
		return d
	}
	ns, err := a.namespaces.find(ctx, name)
	if err != nil {
		return failure(err)
	}
	if ns.labels[labelInject] != enabled {
		return skipped("the namespace has no label %s: %s", labelInject, enabled)
	}
	var warnings []string
	if value := labels[labelInject]; value != "" && value != enabled {
		warnings = append(warnings, fmt.Sprintf("envgate: label %s: %q: want %s or %s", labelInject, authz.Printable(value), enabled, disabled))
	}
	found, err := a.isGateway(ns, labels, pod)
	if err != nil {
		return denied("%s", err)
	}
	d := skipped("not a gateway")
	if found {
		d = a.inject(ctx, ns, labels, pod)
	}
	d.warnings = append(warnings, d.warnings...)
	return d
}

func (a *admission) isGateway(ns namespace, labels map[string]string, pod map[string]any) (bool, error) {
	if labels[labelInject] == enabled || inject.GatewayImage(pod, a.sidecar.GatewayImages) {
		return true, nil
	}
	written := strings.TrimSpace(ns.annotations[selectorKey])
	if written == "" {
		return false, nil
	}
	s, err := parseSelector(written)
	if err != nil {
		return false, fmt.Errorf("namespace %s: annotation %s: %w", ns.name, selectorKey, err)
	}
	return s.matches(labels), nil
}

// inject decides how the sidecar gets into a gateway's Pod.
func (a *admission) inject(ctx context.Context, ns namespace, labels map[string]string, pod map[string]any) decision {
	o := a.sidecar
	native, known := a.native()
	if !known {
		return failure(errors.New("not ready: the API server's version, and so the kind of sidecar, is not known yet"))
	}
	o.Plain = !native
	if o.Environment = labels[labelEnvironment]; o.Environment == "" && ns.labels[labelEnvironment] == "" {
		// The label may have come after what the cache knows.
		now, err := a.namespaces.ask(ctx, ns.name)
		if err != nil {
			return failure(err)
		}
		ns = now
	}
	if o.Environment == "" {
		o.Environment = ns.labels[labelEnvironment]
	}
	if o.Environment == "" {
		return denied("namespace %s doesn't say which environment it is: set its label %s, as in kubectl label namespace %s %s=staging",
			ns.name, labelEnvironment, ns.name, labelEnvironment)
	}
	if err := defaults(&o, ns.annotations); err != nil {
		return denied("namespace %s: %s", ns.name, err)
	}
	warning, d := a.choosePolicy(ctx, &o, ns, texts(mapping(pod["metadata"])["annotations"]))
	if d != nil {
		return *d
	}
	change, err := inject.Pod(withoutPolicy(pod), o)
	if err != nil {
		return denied("%s", err)
	}
	d = &decision{result: metrics.Injected, reason: "environment " + authz.Printable(o.Environment), operations: change.Operations}
	if len(change.Operations) == 0 {
		d = &decision{result: metrics.Skipped, reason: "has its sidecar already"}
	} else if warning != "" {
		d.warnings = []string{"envgate: " + warning}
	}
	for _, note := range change.Notes {
		d.warnings = append(d.warnings, "envgate: "+note)
	}
	return *d
}

// defaults are a namespace's annotations; those of its Pods win, which is inject's business.
func defaults(o *inject.Options, annotations map[string]string) error {
	for name, field := range map[string]*string{
		"envgate/container": &o.Container, "envgate/redirect": &o.Redirect, "envgate/mode": &o.Mode, "envgate/image": &o.Image,
	} {
		if value := annotations[name]; value != "" {
			*field = value
		}
	}
	if value := annotations["envgate/upstream-port"]; value != "" {
		port, err := strconv.Atoi(value)
		if err != nil || port < 1 || port > 65535 {
			return fmt.Errorf("annotation envgate/upstream-port: %q: want a port, 1 to 65535", authz.Printable(value))
		}
		o.UpstreamPort = port
	}
	return nil
}

func ofJob(metadata map[string]any) bool {
	owners, _ := metadata["ownerReferences"].([]any)
	return slices.ContainsFunc(owners, func(owner any) bool {
		m := mapping(owner)
		return m["kind"] == "Job" && strings.HasPrefix(text(m["apiVersion"]), "batch/")
	})
}

func mapping(v any) map[string]any { m, _ := v.(map[string]any); return m }
func text(v any) string            { s, _ := v.(string); return s }

// texts are the entries of a mapping that are text, as labels and annotations are.
func texts(v any) map[string]string {
	m := map[string]string{}
	for key, value := range mapping(v) {
		if s, ok := value.(string); ok {
			m[key] = s
		}
	}
	return m
}
