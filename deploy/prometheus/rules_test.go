// Package prometheus holds the tests of the rules that need nothing but Go. promtool runs rules_test.yaml, and deploy/observe
// asks a real Prometheus.
package prometheus

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"envgate/deploy/querytest"

	"github.com/goccy/go-yaml"
)

var update = flag.Bool("update", false, "rewrite the chart's copy of the rules")

type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	if err := yaml.UnmarshalWithOptions(read(t, "rules.yaml"), &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("%d rules: this test no longer reads the file", len(all))
	}
	return all
}

var template = regexp.MustCompile(`\$labels\.([a-z_]+)`)

// Every metric and label that a rule names is one that something exports or an earlier rule records.
func TestRulesAskForMetricsThatExist(t *testing.T) {
	recorded := map[string][]string{}
	for _, r := range rules(t) {
		var words []string
		for _, text := range r.Annotations {
			for _, m := range template.FindAllStringSubmatch(text, -1) {
				words = append(words, m[1])
			}
		}
		for _, problem := range querytest.Problems(r.Expr, words, recorded) {
			t.Errorf("%s%s: %s", r.Record, r.Alert, problem)
		}
		if r.Record != "" {
			recorded[r.Record] = querytest.Labels(r.Expr)
			for _, name := range querytest.Metrics(r.Expr) {
				recorded[r.Record] = append(recorded[r.Record], recorded[name]...)
			}
		}
	}
}

// Every recording rule is asked by an alert: one that nobody asks is kept for nothing.
func TestEveryRecordingIsUsed(t *testing.T) {
	used := ""
	for _, r := range rules(t) {
		if r.Alert != "" {
			used += r.Expr + "\n"
		}
	}
	for _, r := range rules(t) {
		if r.Record != "" && !strings.Contains(used, r.Record) {
			t.Errorf("%s is recorded, and no alert asks for it", r.Record)
		}
	}
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	sections := regexp.MustCompile(`(?m)^## (Envgate.*)$`).FindAllStringSubmatch(string(read(t, "../../docs/runbook.md")), -1)
	var alerts, described []string
	for _, s := range sections {
		described = append(described, s[1])
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		alerts = append(alerts, r.Alert)
		if severity := r.Labels["severity"]; severity != "page" && severity != "ticket" {
			t.Errorf("%s: severity %q: want page or ticket", r.Alert, severity)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: want a summary and a description", r.Alert)
		}
		if link := r.Annotations["runbook_url"]; link != "docs/runbook.md#"+strings.ToLower(r.Alert) {
			t.Errorf("%s: runbook_url %q: want its section of docs/runbook.md", r.Alert, link)
		}
		if strings.Contains(r.Expr, "removed") {
			t.Errorf("%s looks at removed credentials, which are mostly stale browser cookies", r.Alert)
		}
	}
	if !slices.Equal(alerts, described) {
		t.Errorf("the runbook has %q\nwant, in the order of the rules, %q", described, alerts)
	}
}

// Each alert has a promtool test in which it fires, and one in which it is silent.
func TestEveryAlertIsTriedFiringAndSilent(t *testing.T) {
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string `yaml:"alertname"`
				Expected  []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(read(t, "rules_test.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	firing, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.AlertRuleTest {
			if len(a.Expected) > 0 {
				firing[a.Alertname] = true
			} else {
				silent[a.Alertname] = true
			}
		}
	}
	for _, r := range rules(t) {
		if r.Alert != "" && (!firing[r.Alert] || !silent[r.Alert]) {
			t.Errorf("%s: tried firing: %v, silent: %v", r.Alert, firing[r.Alert], silent[r.Alert])
		}
	}
}

// Helm reads only what lies in the chart's folder.
func TestTheChartHasTheSameRules(t *testing.T) {
	const copied = "../chart/envgate/rules/rules.yaml"
	want := read(t, "rules.yaml")
	if *update {
		if err := os.WriteFile(copied, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(read(t, copied), want) {
		t.Errorf("%s differs from rules.yaml: run go test ./deploy/prometheus -update", copied)
	}
}
