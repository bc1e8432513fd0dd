package querytest

import (
	"maps"
	"sync"

	"envgate/authz"
	"envgate/metrics"
)

// TargetLabels are those that a scraper adds to every series (a PodMonitor all but cluster), and a histogram's own.
var TargetLabels = []string{"cluster", "namespace", "pod", "container", "job", "instance", "le"}

// others are the metrics that envgate does not make: the scraper's own, and those of kube-state-metrics v2 with the
// labels of its documentation (docs/metrics/workload/pod-metrics.md).
var others = map[string][]string{
	"up":                           nil,
	"kube_pod_container_info":      {"uid", "image", "image_id", "image_spec", "container_id"},
	"kube_pod_init_container_info": {"uid", "image", "image_id", "image_spec", "container_id", "restart_policy"},
	"kube_pod_status_phase":        {"uid", "phase"},
}

// Known returns the labels of every metric that a query may name, histograms by the names of their parts.
var Known = sync.OnceValue(func() map[string][]string {
	c, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=0123456789abcdef0123456789abcdef"}})
	if err != nil {
		panic(err)
	}
	sidecar, webhook := metrics.New(c, metrics.Build{}), metrics.NewWebhook(metrics.Build{})
	known := maps.Clone(others)
	for _, s := range append(sidecar.Series(), webhook.Series()...) {
		if s.Type != "histogram" {
			known[s.Name] = append(known[s.Name], s.Labels...)
			continue
		}
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			known[s.Name+part] = s.Labels
		}
	}
	families, err := sidecar.Gatherer().Gather() // for those of the runtime and the process
	if err != nil {
		panic(err)
	}
	for _, family := range families {
		name := family.GetName()
		if _, own := known[name]; own {
			continue
		}
		if _, histogram := known[name+"_bucket"]; !histogram {
			known[name] = nil
		}
	}
	return known
})
