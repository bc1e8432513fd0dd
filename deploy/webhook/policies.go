package webhook

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
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
