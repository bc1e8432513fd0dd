//go:build cluster

package cluster

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"envgate/deploy/webhook"
	"envgate/metrics"
)

// While the CA is replaced again and again, in two replicas at once, every single Pod is injected.
func TestRotationIsNotNoticed(t *testing.T) {
	i := install(t)
	logs := &lockedBuffer{}
	for _, r := range i.replicas {
		s, err := webhook.New(webhook.Options{
			Listen: r.listen, AdminListen: r.admin, Namespace: i.namespace, Service: i.name + "-webhook", Configuration: i.name, Secret: i.name + "-webhook-tls",
			Hostnames: []string{"127.0.0.1"}, Server: endpoint.url, TokenFile: i.token, CertificateAuthority: endpoint.ca, Image: "registry.example.com/envgate:0.1.0",
			AuthorityLifetime: 15 * time.Second, CertificateLifetime: 12 * time.Second, SyncInterval: time.Second, Settle: 2 * time.Second, Build: metrics.Build{Version: "0.1.0"},
		}, slog.New(slog.NewJSONHandler(logs, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		waitFor(t, r)
	}
	namespace := gatewayNamespace(t, "envgate/environment=staging")
	created, turn := 0, 0
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); created++ {
		if created%15 == 14 { // the other replica's turn
			turn++
			i.ask(t, i.replicas[turn%2])
		}
		if name := fmt.Sprintf("pod-%d", created); !podIsInjected(t, namespace, name) {
			out, _ := kubectl(t, podText(name+"-again"), "-n", namespace, "create", "-f", "-")
			t.Fatalf("after %d Pods: %s\n%s", created, out, logs.String())
		}
	}
	if replaced := strings.Count(logs.String(), "a new CA beside the previous one"); replaced < 2 {
		t.Errorf("the CA was replaced %d times only", replaced)
	} else {
		t.Logf("%d Pods were injected while the CA was replaced %d times", created, replaced)
	}
}

// A Secret that is emptied or spoilt while certificates are served, and a replica that starts anew afterwards: every single
// Pod is injected.
func TestALostSecretIsNotNoticed(t *testing.T) {
	i := install(t)
	secret := i.name + "-webhook-tls"
	stop := i.start(t, i.replicas[0])
	i.start(t, i.replicas[1])
	namespace := gatewayNamespace(t, "envgate/environment=staging")
	created := 0
	check := func(when string) {
		t.Helper()
		if created++; !podIsInjected(t, namespace, fmt.Sprintf("pod-%d", created)) {
			out, _ := kubectl(t, podText(fmt.Sprintf("pod-%d-again", created)), "-n", namespace, "create", "-f", "-")
			t.Fatalf("%s: %s", when, out)
		}
	}
	held := func() string {
		return mustKubectl(t, "", "-n", i.namespace, "get", "secret", secret, "-o", `jsonpath={.data.ca\.crt}`)
	}
	bundle := func() int {
		out := mustKubectl(t, "", "get", "mutatingwebhookconfiguration", i.name, "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}")
		text, err := base64.StdEncoding.DecodeString(out)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "BEGIN CERTIFICATE")
	}
	check("at first")
	for n, patch := range []string{`{"data": null}`, `{"data": {"tls.crt": "QQ==", "ca.crt": "QQ=="}}`} {
		before := held()
		mustKubectl(t, "", "-n", i.namespace, "patch", "secret", secret, "--type=merge", "-p", patch)
		eventually(t, func() bool {
			check("after " + patch)
			return len(held()) > 100 && held() != before && bundle() == n+2 // the old CAs are still trusted
		})
		for _, r := range i.replicas {
			i.ask(t, r)
			check("after " + patch + ", the other replica")
		}
	}
	i.ask(t, i.replicas[1])
	stop()
	check("one replica stopped")
	i.start(t, i.replicas[0])
	i.ask(t, i.replicas[0])
	check("it started anew")
}
