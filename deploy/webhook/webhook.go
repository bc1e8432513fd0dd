// Package webhook adds the sidecar to Pods when they are created: it is the admission server that the Kubernetes API
// server asks, and what that server needs to live: namespaces, policies, and a certificate that the API server trusts.
//
// A Pod is a gateway if it is labelled so, if it matches its namespace's annotation envgate/selector, or if one of its
// containers has a gateway's image and declares a port. What to add is deploy/inject's decision, the same as on the
// command line. Whatever goes wrong is a denial: a gateway that starts without its guard is what all this prevents.
//
// Nothing here depends on client-go: the few requests that are needed, and one list and watch, are a small part of it,
// and it would more than double a binary whose size is budgeted.
package webhook

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"envgate/authz"
	"envgate/deploy/inject"
	"envgate/metrics"
)

// Labels and annotations that are read here; deploy/inject reads and writes the others.
const (
	labelInject      = "envgate/inject"      // on a namespace: enabled; on a Pod: enabled or disabled
	labelEnvironment = "envgate/environment" // this environment's name; the Pod's wins over the namespace's
	selectorKey      = "envgate/selector"    // on a namespace: a label selector of gateways
	policyKey        = "envgate/policy"      // the ConfigMap that holds the policy
	enabled          = "enabled"
	disabled         = "disabled"
	injectPath       = "/inject"
	policyFile       = "policy.yaml"
)

// Options are the command line's. Empty ones take the default that is named beside them.
type Options struct {
	Listen, AdminListen string // :8443 (TLS), :4446

	// The Kubernetes API server. Default: the one of the cluster that this runs in, by its service account.
	Server               string // URL
	TokenFile            string // a bearer token, read anew for each request: bound tokens rotate
	CertificateAuthority string // PEM

	Namespace            string   // own; default: the service account's
	Service              string   // envgate-webhook: the Service that leads here
	Configuration        string   // envgate: the MutatingWebhookConfiguration
	Secret               string   // envgate-webhook-tls: holds CA and certificate, shared by the replicas
	CertificateDirectory string   // tls.crt and tls.key as cert-manager writes them; Secret and caBundle are left alone then
	Hostnames            []string // further names and IP addresses of the certificate

	Image         string   // the sidecar's; must be given
	GatewayImages []string // patterns of gateway images; inject.DefaultGatewayImages
	Mode          string   // report or enforce: of new sidecars, where no annotation says
	Native        string   // auto (by the API server's version), true or false
	Probe         string   // exec or http
	EnvFrom       string   // all, config-maps or none
	SharedSecret  string   // with EnvFrom none or config-maps: the Secret beside the gateway that holds the shared variables
	Policy        string   // envgate-policy: a ConfigMap that a namespace may have, or a built-in policy
	Mesh          string   // istio or linkerd
	MemoryLimit   string   // the sidecar's; 128Mi
	CPULimit      string   // the sidecar's; none

	Build metrics.Build // its version is written to the Pods

	AuthorityLifetime   time.Duration // of the CA: 365 days; it is replaced when a third is left
	CertificateLifetime time.Duration // 90 days, likewise
	SyncInterval        time.Duration // between looks at Secret and configuration, beside those that a change causes: 1 minute
	Settle              time.Duration // how long a new CA is in caBundle before a certificate of it is served: 1 minute
	ReloadInterval      time.Duration // between looks at the certificate directory: 10 s
	DrainDelay          time.Duration // unready, but still answering, until the endpoints are gone: 5 s
	DrainTimeout        time.Duration // for requests in flight afterwards: 10 s

	now func() time.Time // a test's clock
}

const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"

// complete fills in the defaults, and reports the first option that is wrong.
func (o Options) complete() (Options, error) {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&o.Listen, ":8443"}, {&o.AdminListen, ":4446"}, {&o.Service, "envgate-webhook"}, {&o.Configuration, "envgate"},
		{&o.Secret, "envgate-webhook-tls"}, {&o.Native, "auto"}, {&o.Policy, "envgate-policy"},
	} {
		*d.field = cmp.Or(*d.field, d.value)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.AuthorityLifetime, 365 * 24 * time.Hour}, {&o.CertificateLifetime, 90 * 24 * time.Hour}, {&o.SyncInterval, time.Minute},
		{&o.Settle, time.Minute}, {&o.ReloadInterval, 10 * time.Second}, {&o.DrainDelay, 5 * time.Second}, {&o.DrainTimeout, 10 * time.Second},
	} {
		*d.field = cmp.Or(*d.field, d.value)
	}
	if len(o.GatewayImages) == 0 {
		o.GatewayImages = inject.DefaultGatewayImages
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.Namespace == "" {
		b, err := os.ReadFile(serviceAccount + "namespace")
		if err != nil {
			return o, fmt.Errorf("namespace: missing: not in a cluster, so name the webhook's own namespace")
		}
		o.Namespace = strings.TrimSpace(string(b))
	}
	for _, row := range []struct{ name, value string }{
		{"namespace", o.Namespace}, {"service", o.Service}, {"configuration", o.Configuration}, {"secret", o.Secret}, {"policy", o.Policy},
	} {
		if !inject.ObjectName(row.value) {
			return o, fmt.Errorf("%s: %q: want the name of a Kubernetes object", row.name, authz.Printable(row.value))
		}
	}
	for _, name := range o.Hostnames {
		if net.ParseIP(name) == nil && !inject.ObjectName(name) {
			return o, fmt.Errorf("hostname: %q: want a DNS name in lower case, or an IP address", authz.Printable(name))
		}
	}
	if !slices.Contains([]string{"auto", "true", "false"}, o.Native) {
		return o, fmt.Errorf("native: %q: want auto, true or false", authz.Printable(o.Native))
	}
	sample := o.sidecar()
	sample.Environment = "sample" // each namespace has its own
	return o, sample.Check()
}

// sidecar is what injection is told for every Pod alike.
func (o Options) sidecar() inject.Options {
	return inject.Options{
		Mode: o.Mode, Image: o.Image, Version: o.Build.Version, Probe: o.Probe, EnvFrom: o.EnvFrom,
		Secret: o.SharedSecret, Mesh: o.Mesh, GatewayImages: o.GatewayImages, MemoryLimit: o.MemoryLimit, CPULimit: o.CPULimit,
	}
}

// names are all that the certificate must hold.
func (o Options) names() []string {
	service := o.Service + "." + o.Namespace
	return append([]string{service + ".svc", service + ".svc.cluster.local", service}, o.Hostnames...)
}
