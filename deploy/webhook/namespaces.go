package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
)

// namespace is what a namespace says about the Pods in it.
type namespace struct {
	name                string
	labels, annotations map[string]string
}

// namespaces keeps those that opted in, by list and watch: a decision waits for no answer. Others are asked for when a
// Pod of theirs comes, which happens only to namespaces that were labelled a moment ago.
type namespaces struct {
	client  *client
	watcher watcher
	listed  atomic.Bool
	mutex   sync.RWMutex
	known   map[string]namespace
}

const namespacesPath = "/api/v1/namespaces"

func newNamespaces(c *client, log *slog.Logger) *namespaces {
	n := &namespaces{client: c, known: map[string]namespace{}}
	n.watcher = watcher{client: c, log: log, path: namespacesPath, query: url.Values{"labelSelector": {labelInject + "=" + enabled}}, listed: n.replace, event: n.change}
	return n
}

func (n *namespaces) replace(all []object) {
	known := make(map[string]namespace, len(all))
	for _, it := range all {
		known[it.Metadata.Name] = namespaceOf(it)
	}
	n.mutex.Lock()
	n.known = known
	n.mutex.Unlock()
	n.listed.Store(true)
}

func (n *namespaces) change(kind string, it object) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if kind == "DELETED" { // the label may be what was deleted
		delete(n.known, it.Metadata.Name)
		return
	}
	n.known[it.Metadata.Name] = namespaceOf(it)
}

func namespaceOf(it object) namespace {
	return namespace{it.Metadata.Name, it.Metadata.Labels, it.Metadata.Annotations}
}

// find returns a namespace, from the cache if it is there.
func (n *namespaces) find(ctx context.Context, name string) (namespace, error) {
	n.mutex.RLock()
	found, ok := n.known[name]
	n.mutex.RUnlock()
	if ok {
		return found, nil
	}
	return n.ask(ctx, name)
}

// ask returns a namespace as it is now.
func (n *namespaces) ask(ctx context.Context, name string) (namespace, error) {
	var it object
	if err := n.client.get(ctx, lookupTimeout, namespacesPath+"/"+url.PathEscape(name), &it); err != nil {
		return namespace{}, fmt.Errorf("namespace %s: %w", name, err)
	}
	return namespaceOf(it), nil
}
