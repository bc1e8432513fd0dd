//go:build observe

package observe

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func TestPromtoolAcceptsTheRules(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}, {"check", "config", "--syntax-only", "prometheus.yml"},
	} {
		c := exec.Command("promtool", args...)
		c.Dir = "../prometheus"
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "SUCCESS") {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// young are the rules that need more than the minutes that these tests have: promtool's tests have days.
var young = []string{"envgate:not_accepted:avg1d"}

// met are the alerts whose condition this traffic meets; for may still hold them back.
var met = []string{"EnvgateCrossEnvironmentTokens", "EnvgateReportedTokens", "EnvgateConfigurationWarning", "EnvgateGatewayWithoutSidecar", "EnvgateSharedKey"}

// Every rule is evaluated without an error, and has a result exactly where the traffic gives it one.
func TestEveryRuleReturnsWhatItShould(t *testing.T) {
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Record, Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, group := range file.Groups {
		for _, r := range group.Rules {
			n++
			samples, err := seen.ask(r.Expr)
			want := r.Record != "" && !slices.Contains(young, r.Record) || slices.Contains(met, r.Alert)
			if err != nil || len(samples) > 0 != want {
				t.Errorf("%s%s: %v, %v: want a result: %v", r.Record, r.Alert, samples, err, want)
			}
			t.Logf("%-35s %d series", r.Record+r.Alert, len(samples))
		}
	}
	recorded, err := seen.ask(`envgate:own_errors:ratio_rate5m{namespace="gateway-production"}`)
	if err != nil || len(recorded) != 1 || recorded[0].value <= 0 || recorded[0].value > 0.1 {
		t.Errorf("recorded errors of production: %v, %v: want a small share", recorded, err)
	}
	if n < 18 {
		t.Errorf("%d rules: this test no longer reads the file", n)
	}
}

// Prometheus itself evaluates each rule every second, and must have had no complaint.
func TestPrometheusHasEvaluatedEveryRule(t *testing.T) {
	res, err := http.Get(seen.prometheus + "/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Type, State, Health, LastError string }
			}
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, group := range answer.Data.Groups {
		for _, r := range group.Rules {
			n++
			if r.Health != "ok" || r.LastError != "" {
				t.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
			}
			if active := r.State == "pending" || r.State == "firing"; r.Type == "alerting" && active != slices.Contains(met, r.Name) {
				t.Errorf("%s is %s", r.Name, r.State)
			}
		}
	}
	if n < 18 {
		t.Errorf("%d rules", n)
	}
}
