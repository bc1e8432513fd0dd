package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Series describes one metric for the documentation.
type Series struct {
	Name, Type, Help string
	Labels           []string
}

// table is a private registry, and the list of what is in it.
type table struct {
	registry *prometheus.Registry
	series   []Series
}

func newTable() table { return table{registry: prometheus.NewRegistry()} }

// Series lists every metric of envgate's own, in the order of the documentation.
func (t *table) Series() []Series { return t.series }

// Gatherer gives tests and the status page the current values.
func (t *table) Gatherer() prometheus.Gatherer { return t.registry }

// Handler serves /metrics in the Prometheus text, OpenMetrics and protobuf formats.
func (t *table) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		Registry: t.registry, EnableOpenMetrics: true, MaxRequestsInFlight: 8, Timeout: 10 * time.Second,
	})
}

// build adds what every process says of itself.
func (t *table) build(b Build) {
	t.gauges("envgate_build_info", "Build of the binary; always 1.", "version", "revision", "goversion").WithLabelValues(b.Version, b.Revision, b.GoVersion).Set(1)
	t.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}

func (t *table) describe(name, kind, help string, labels []string) {
	t.series = append(t.series, Series{name, kind, help, labels})
}

func (t *table) counters(name, help string, labels ...string) *prometheus.CounterVec {
	t.describe(name, "counter", help, labels)
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	t.registry.MustRegister(v)
	return v
}

func (t *table) counter(name, help string) prometheus.Counter {
	return t.counters(name, help).WithLabelValues()
}

// counted is a counter that is kept elsewhere.
func (t *table) counted(name, help string, value func() uint64) {
	t.describe(name, "counter", help, nil)
	t.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) }))
}

// gauged is a gauge that is kept elsewhere.
func (t *table) gauged(name, help string, value func() float64) {
	t.describe(name, "gauge", help, nil)
	t.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func (t *table) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	t.describe(name, "gauge", help, labels)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	t.registry.MustRegister(v)
	return v
}

func (t *table) gauge(name, help string) prometheus.Gauge {
	return t.gauges(name, help).WithLabelValues()
}

// lateGauge is registered when its value becomes known: a timestamp of 0 would be a lie.
func (t *table) lateGauge(name, help string) prometheus.Gauge {
	t.describe(name, "gauge", help, nil)
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func (t *table) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	t.describe(name, "histogram", help, labels)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.2, NativeHistogramMaxBucketNumber: 80, NativeHistogramMinResetDuration: time.Hour,
	}, labels)
	t.registry.MustRegister(v)
	return v
}

func (t *table) histogram(name, help string, buckets []float64) prometheus.Histogram {
	return t.histograms(name, help, buckets).WithLabelValues().(prometheus.Histogram)
}
