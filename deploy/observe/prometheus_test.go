//go:build observe

package observe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const rulesFile = "../prometheus/rules.yaml"

// startPrometheus starts one that scrapes everything each second, with the labels that PodMonitors give, and has the rules.
func (s *stack) startPrometheus(cluster, webhook, alertmanager string) error {
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		return err
	}
	config := "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [" + rules + "]\n" +
		"alerting: {alertmanagers: [{static_configs: [{targets: ['" + alertmanager + "']}]}]}\nscrape_configs:\n"
	target := func(address string, labels ...string) string {
		return "{targets: ['" + address + "'], labels: {cluster: eu-1, " + strings.Join(labels, ", ") + "}}"
	}
	var targets []string
	for _, side := range s.sidecars {
		targets = append(targets, target(side.admin, "namespace: "+side.namespace(), "pod: "+side.pod(), "container: envgate", "endpoint: envgate-admin"))
	}
	job := func(name, more string, targets ...string) {
		config += "  - {job_name: " + name + ", " + more + "static_configs: [" + strings.Join(targets, ", ") + "]}\n"
	}
	job("envgate-system/envgate-sidecars", "", targets...)
	job("envgate-system/envgate-webhook", "", target(webhook, "namespace: envgate-system", "pod: envgate-webhook-1", "container: webhook", "endpoint: admin"))
	job("kube-state-metrics", "honor_labels: true, ", target(cluster, "namespace: monitoring", "pod: kube-state-metrics-0", "container: kube-state-metrics"))
	file := filepath.Join(s.work, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	log, err := s.launch("prometheus", nil, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(s.work, "data"), "--web.listen-address="+address)
	if err != nil {
		return err
	}
	s.prometheus = "http://" + address
	return waitFor(s.prometheus+"/-/ready", log)
}

// sample is one series of an answer.
type sample struct {
	labels map[string]string
	value  float64
}

// query asks Prometheus's API for the value of a query now, and decodes data.
func (s *stack) query(text string, data any) error {
	res, err := http.PostForm(s.prometheus+"/api/v1/query", url.Values{"query": {text}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Status, Error string
		Warnings      []string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" || len(answer.Warnings) > 0 {
		return fmt.Errorf("%s %s %q", answer.Status, answer.Error, answer.Warnings)
	}
	return json.Unmarshal(answer.Data, data)
}

// ask asks a query, now, and gives the series in order; NaN is a value.
func (s *stack) ask(query string) ([]sample, error) {
	var data struct {
		ResultType string
		Result     []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	if err := s.query(query, &data); err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	if data.ResultType != "vector" {
		return nil, fmt.Errorf("%s: a %s, want a vector", query, data.ResultType)
	}
	var samples []sample
	for _, r := range data.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		samples = append(samples, sample{r.Metric, value})
	}
	slices.SortFunc(samples, func(a, b sample) int { return strings.Compare(fmt.Sprint(a.labels), fmt.Sprint(b.labels)) })
	return samples, nil
}

// scraped waits until every target was scraped twice: a counter must have been seen at 0.
func (s *stack) scraped() error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		samples, err := s.ask(`count(sum_over_time(up[1m]) >= 2)`)
		if err == nil && len(samples) == 1 && samples[0].value == float64(len(s.sidecars)+2) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not everything is scraped: %v, %w", samples, err)
		}
	}
}
