package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// keeper keeps CA and certificate in one Secret that all replicas share, and the CA in the configuration's caBundle. Any
// replica may do any step: the API server's versions decide who does.
type keeper struct {
	client        *client
	log           *slog.Logger
	secretsPath   string
	secret        string
	configuration string
	rotation      rotation
	interval      time.Duration
	now           func() time.Time
	loaded        func(*tls.Certificate) // is told of each certificate to serve

	changed chan struct{} // Secret or configuration did
	last    *material     // what was seen last
}

const (
	configurationsPath = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
	leastPause         = 500 * time.Millisecond // between looks: whoever tampers all the time must not keep this busy
	attempts           = 5                      // to be first with a change
)

func newKeeper(o Options, c *client, log *slog.Logger, loaded func(*tls.Certificate)) *keeper {
	return &keeper{
		client: c, log: log, secretsPath: namespacesPath + "/" + o.Namespace + "/secrets", secret: o.Secret, configuration: o.Configuration,
		rotation: rotation{names: o.names(), caLifetime: o.AuthorityLifetime, leafLifetime: o.CertificateLifetime, settle: o.Settle},
		interval: o.SyncInterval, now: o.now, loaded: loaded, changed: make(chan struct{}, 1),
	}
}

// run looks after both objects until ctx ends: at every change of them, and every interval.
func (k *keeper) run(ctx context.Context) {
	var running sync.WaitGroup
	for _, w := range []struct{ path, name string }{{k.secretsPath, k.secret}, {configurationsPath, k.configuration}} {
		only := watcher{
			client: k.client, log: k.log, path: w.path, query: url.Values{"fieldSelector": {"metadata.name=" + w.name}},
			listed: func([]object) { k.poke() }, event: func(string, object) { k.poke() },
		}
		running.Go(func() { only.run(ctx) })
	}
	defer running.Wait()
	pause := time.Second
	for ctx.Err() == nil {
		wait := k.interval
		if err := k.sync(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("the certificate is not in order", "error", err.Error())
			wait, pause = pause, min(2*pause, k.interval)
		} else {
			pause = time.Second
		}
		sleep(ctx, leastPause)
		select {
		case <-ctx.Done():
		case <-k.changed:
		case <-time.After(wait):
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (k *keeper) poke() {
	select {
	case k.changed <- struct{}{}:
	default: // a look is due already
	}
}

// sync does at most one step. Another replica that was first makes it look again.
func (k *keeper) sync(ctx context.Context) (err error) {
	for range attempts {
		if err = k.step(ctx); !answered(err, http.StatusConflict) {
			return err
		}
	}
	return err
}

// step reads the configuration before the Secret. What stands in caBundle was made from a Secret at most as new as the
// one read here, and the patch is refused if the configuration changed meanwhile: a replica that was asleep can never
// take away a CA that another one has added.
func (k *keeper) step(ctx context.Context) error {
	configuration, missing, err := k.readConfiguration(ctx)
	if err != nil {
		return err
	}
	secret, current, err := k.readSecret(ctx)
	if err != nil {
		return err
	}
	now := k.now()
	if current != nil {
		k.rotation.saw(current, configuration.bundles(), now)
	}
	next, what, err := k.next(current, now)
	if err != nil {
		return err
	}
	if next != nil {
		if err := k.store(ctx, secret, next); err != nil {
			return fmt.Errorf("secret %s: %w", k.secret, err)
		}
		k.log.Info("certificates were changed", "secret", k.secret, "to", what, "expires", next.leaf.NotAfter, "ca_expires", next.ca.NotAfter)
		current = next
	}
	if k.last == nil || !k.last.leaf.Equal(current.leaf) {
		k.loaded(current.served())
	}
	k.last = current
	if missing != nil {
		return missing
	}
	return k.publish(ctx, configuration, current.bundle(now))
}

// next is the rotation's next step. A Secret that was emptied, or filled with something else, while a certificate is
// served asks for another CA: it is made as for any rotation, so that nothing fails meanwhile.
func (k *keeper) next(current *material, now time.Time) (*material, string, error) {
	if current == nil && k.last != nil && now.Before(k.last.ca.NotAfter) {
		return k.rotation.replaceAuthority(k.last, now)
	}
	return k.rotation.next(current, now)
}

// secretObject is the Secret; its version is empty where there is none.
type secretObject struct {
	object
	Data map[string][]byte `json:"data"`
}

// readSecret returns the Secret and what it holds: nil where that is of no use.
func (k *keeper) readSecret(ctx context.Context) (s secretObject, m *material, err error) {
	err = k.client.get(ctx, requestTimeout, k.secretsPath+"/"+k.secret, &s)
	switch {
	case answered(err, http.StatusNotFound):
		return s, nil, nil
	case err != nil:
		return s, nil, fmt.Errorf("secret %s: %w", k.secret, err)
	case len(s.Data) == 0: // made by the chart, so that no right to create Secrets is needed
		return s, nil, nil
	}
	if m, err = parseMaterial(s.Data); err != nil {
		k.log.Warn("the Secret is of no use", "secret", k.secret, "error", err.Error())
	}
	return s, m, nil
}

// store writes the Secret, unless it changed since it was read: 409 then.
func (k *keeper) store(ctx context.Context, read secretObject, m *material) error {
	data, err := m.data()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if version := read.Metadata.ResourceVersion; version != "" {
		patch := map[string]any{"metadata": map[string]any{"resourceVersion": version}, "data": data}
		return k.client.ask(ctx, http.MethodPatch, k.secretsPath+"/"+k.secret, nil, mergePatch, patch, nil)
	}
	if data[keyPrevious] == nil {
		delete(data, keyPrevious)
	}
	created := map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": map[string]any{"name": k.secret}, "data": data}
	return k.client.ask(ctx, http.MethodPost, k.secretsPath, nil, plainJSON, created, nil)
}

// configurationObject is the MutatingWebhookConfiguration.
type configurationObject struct {
	object
	Webhooks []struct {
		ClientConfig struct {
			CABundle []byte `json:"caBundle"`
		} `json:"clientConfig"`
	} `json:"webhooks"`
}

func (c configurationObject) bundles() (all [][]byte) {
	for _, w := range c.Webhooks {
		all = append(all, w.ClientConfig.CABundle)
	}
	return all
}

// readConfiguration also returns why there is nothing to write to, which does not keep the certificate from being served.
func (k *keeper) readConfiguration(ctx context.Context) (c configurationObject, missing, err error) {
	err = k.client.get(ctx, requestTimeout, configurationsPath+"/"+k.configuration, &c)
	switch {
	case answered(err, http.StatusNotFound, http.StatusForbidden):
		return configurationObject{}, fmt.Errorf("configuration %s: %w", k.configuration, err), nil
	case err != nil:
		return c, nil, fmt.Errorf("configuration %s: %w", k.configuration, err)
	}
	return c, nil, nil
}

// publish writes the bundle to every entry that has another.
func (k *keeper) publish(ctx context.Context, c configurationObject, bundle []byte) error {
	patch := []map[string]any{{"op": "test", "path": "/metadata/resourceVersion", "value": c.Metadata.ResourceVersion}}
	for i, had := range c.bundles() {
		if !bytes.Equal(had, bundle) {
			patch = append(patch, map[string]any{"op": "add", "path": "/webhooks/" + strconv.Itoa(i) + "/clientConfig/caBundle", "value": bundle})
		}
	}
	if len(patch) == 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := k.client.ask(ctx, http.MethodPatch, configurationsPath+"/"+k.configuration, nil, jsonPatch, patch, nil)
	if answered(err, http.StatusUnprocessableEntity) { // what a failed test is answered with
		return &apiError{http.StatusConflict, err.Error()}
	}
	if err != nil {
		return fmt.Errorf("configuration %s: %w", k.configuration, err)
	}
	k.log.Info("caBundle was written", "configuration", k.configuration, "entries", len(patch)-1, "authorities", len(certificates(bundle)))
	return nil
}
