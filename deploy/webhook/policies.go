package webhook

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"envgate/authz"
	"envgate/deploy/inject"
)

// policies reads the ConfigMaps that hold policies, and remembers each for a while: a decision mostly waits for none.
type policies struct {
	client *client
	now    func() time.Time
	mutex  sync.Mutex
	known  map[string]*policyText
}

// policyText is what is known of one ConfigMap. Its mutex makes those who ask at the same time wait for one answer.
type policyText struct {
	mutex sync.Mutex
	until time.Time
	text  []byte
	err   error // as it was answered
}

const (
	policyLifetime  = 10 * time.Second
	failureLifetime = time.Second // of an answer that isn't one
	mostPolicies    = 1000
)

// errNoKey is the mistake that a ConfigMap of the right name holds no policy.
type errNoKey struct{ name, namespace string }

func (e errNoKey) Error() string {
	return fmt.Sprintf("policy: ConfigMap %s in namespace %s has no key %s: add it, or delete the ConfigMap to use the built-in policy", e.name, e.namespace, policyFile)
}

// find returns a ConfigMap's policy.yaml, or why there is none: answered(err, 404, 403), errNoKey or a failure.
func (p *policies) find(ctx context.Context, namespace, name string) ([]byte, error) {
	key := namespace + "/" + name
	p.mutex.Lock()
	entry := p.known[key]
	if entry == nil {
		if len(p.known) >= mostPolicies { // nothing that is worth more than asking again
			clear(p.known)
		}
		entry = &policyText{}
		p.known[key] = entry
	}
	p.mutex.Unlock()

	entry.mutex.Lock()
	defer entry.mutex.Unlock()
	if now := p.now(); !now.Before(entry.until) {
		text, err := p.ask(context.WithoutCancel(ctx), namespace, name) // others wait for it, too
		switch {
		case err == nil || answered(err, http.StatusNotFound, http.StatusForbidden) || isNoKey(err):
			entry.text, entry.err, entry.until = text, err, now.Add(policyLifetime)
		case entry.text != nil: // the last that was heard is better than none
			entry.until = now.Add(failureLifetime)
		default:
			entry.err, entry.until = err, now.Add(failureLifetime)
		}
	}
	return entry.text, entry.err
}

func isNoKey(err error) bool { _, ok := err.(errNoKey); return ok } //nolint:errorlint // ask returns it bare

func (p *policies) ask(ctx context.Context, namespace, name string) ([]byte, error) {
	var configMap struct{ Data map[string]string }
	path := namespacesPath + "/" + url.PathEscape(namespace) + "/configmaps/" + url.PathEscape(name)
	if err := p.client.get(ctx, lookupTimeout, path, &configMap); err != nil {
		return nil, err
	}
	text, ok := configMap.Data[policyFile]
	if !ok {
		return nil, errNoKey{name, namespace}
	}
	return []byte(text), nil
}

// choosePolicy finds the policy that the sidecar will read. A ConfigMap that isn't there would leave the Pod waiting for
// its volume: the built-in policy is taken instead, with a warning where somebody asked for the other.
func (a *admission) choosePolicy(ctx context.Context, o *inject.Options, ns namespace, annotations map[string]string) (warning string, d *decision) {
	name, asked := annotations[policyKey], true
	if name == "" {
		name = ns.annotations[policyKey]
	}
	if name == "" {
		name, asked = a.policy, false
	}
	if slices.Contains(authz.BuiltinPolicies(), name) {
		o.Policy = name
		return "", nil
	}
	if !inject.ObjectName(name) {
		d := denied("annotation %s: %q: want a built-in policy (%s) or the name of a ConfigMap", policyKey, authz.Printable(name), strings.Join(authz.BuiltinPolicies(), ", "))
		return "", &d
	}
	text, err := a.policies.find(ctx, ns.name, name)
	instead := "the built-in policy " + authz.BuiltinPolicies()[0] + " is used instead"
	switch {
	case err == nil:
		o.Policy, o.PolicyText = name, text
	case answered(err, http.StatusNotFound) && !asked:
	case answered(err, http.StatusNotFound):
		warning = fmt.Sprintf("policy: namespace %s has no ConfigMap %s: %s", ns.name, name, instead)
	case answered(err, http.StatusForbidden):
		warning = fmt.Sprintf("policy: the webhook may not read ConfigMap %s in namespace %s: %s", name, ns.name, instead)
	case isNoKey(err):
		d := denied("%s", err)
		return "", &d
	default:
		d := failure(fmt.Errorf("policy: ConfigMap %s in namespace %s: %w", name, ns.name, err))
		return "", &d
	}
	return warning, nil
}

// withoutPolicy is the Pod without its annotation for the policy: which one is used was decided, and inject would take
// the annotation's word. Nothing that injection changes is below it.
func withoutPolicy(pod map[string]any) map[string]any {
	metadata := mapping(pod["metadata"])
	annotations := mapping(metadata["annotations"])
	if _, there := annotations[policyKey]; !there {
		return pod
	}
	pod, metadata, annotations = maps.Clone(pod), maps.Clone(metadata), maps.Clone(annotations)
	delete(annotations, policyKey)
	metadata["annotations"], pod["metadata"] = annotations, metadata
	return pod
}
