//go:build observe

package observe

import (
	"fmt"
	"net/http"
	"time"

	"envgate/metrics"
)

// alone is a gateway that nobody injected.
const alone = "gateway-forgotten-5c6f8"

// kubeState stands in for kube-state-metrics v2: names and labels as it has them (docs/metrics/workload/pod-metrics.md). The
// sidecars of production and development are native, that of staging is not.
func kubeState() http.Handler {
	const image = `image="ghcr.io/ibm/mcp-context-forge:0.9.0",image_spec="ghcr.io/ibm/mcp-context-forge:0.9.0",image_id="ghcr.io/ibm/mcp-context-forge@sha256:0d4c",container_id="containerd://6f1b"`
	const own = `container="envgate",image="registry.example.com/envgate:1.2.3",image_spec="registry.example.com/envgate:1.2.3",image_id="registry.example.com/envgate@sha256:77aa",container_id="containerd://91c2"`
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for environment := range settings {
			s := &sidecar{environment: environment}
			pod := fmt.Sprintf(`namespace="%s",pod="%s",uid="%s"`, s.namespace(), s.pod(), environment)
			fmt.Fprintf(w, "kube_pod_container_info{%s,container=\"gateway\",%s} 1\n", pod, image)
			if environment == "staging" {
				fmt.Fprintf(w, "kube_pod_container_info{%s,%s} 1\n", pod, own)
			} else {
				fmt.Fprintf(w, "kube_pod_init_container_info{%s,%s,restart_policy=\"Always\"} 1\n", pod, own)
			}
			phases(w, pod, "Running")
		}
		pod := `namespace="gateway-production",pod="` + alone + `",uid="forgotten"`
		fmt.Fprintf(w, "kube_pod_container_info{%s,container=\"gateway\",%s} 1\n", pod, image)
		phases(w, pod, "Running")
		pod = `namespace="gateway-production",pod="gateway-migration-x2x9k",uid="job"`
		fmt.Fprintf(w, "kube_pod_container_info{%s,container=\"migration\",%s} 1\n", pod, image)
		phases(w, pod, "Succeeded")
	})
}

func phases(w http.ResponseWriter, pod, in string) {
	for _, phase := range []string{"Pending", "Succeeded", "Failed", "Unknown", "Running"} {
		value := 0
		if phase == in {
			value = 1
		}
		fmt.Fprintf(w, "kube_pod_status_phase{%s,phase=\"%s\"} %d\n", pod, phase, value)
	}
}

// webhookMetrics is the webhook's own registry; with each scrape it has injected one Pod more.
func webhookMetrics() http.Handler {
	m := metrics.NewWebhook(metrics.Build{Version: "1.2.3"})
	m.Ready(true)
	m.CertificateExpiry(time.Now().Add(60 * 24 * time.Hour))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.Decided(metrics.Injected)
		m.Handler().ServeHTTP(w, r)
	})
}
