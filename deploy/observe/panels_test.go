//go:build observe

package observe

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// panel is what a dashboard's file says of one.
type panel struct {
	Title, Type, Description string
	Targets                  []struct{ RefID, Expr, LegendFormat string }
	FieldConfig              struct {
		Defaults  struct{ Unit string }
		Overrides []struct {
			Matcher    struct{ ID, Options string }
			Properties []struct {
				ID    string
				Value any
			}
		}
	}
	Transformations []struct {
		ID      string
		Options struct {
			RenameByName map[string]string
			IndexByName  map[string]int
		}
	}
}

func panels(t *testing.T, file string) (list []panel) {
	t.Helper()
	text, err := os.ReadFile("../grafana/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var d struct{ Panels []panel }
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d.Panels
}

// chosen is what stands in the dashboard's variables.
type chosen struct{ environment, namespace, pod string }

// everything is All in each of them.
var everything = chosen{".*", ".*", ".*"}

func only(environment string) chosen {
	s := seen.sidecars[environment]
	return chosen{environment, s.namespace(), s.pod()}
}

// fill does what Grafana does: the range is longer than the tests, the rate's window holds traffic.
func (c chosen) fill(expr string) string {
	return strings.NewReplacer("$__rate_interval", "30s", "$__range", "10m", "$cluster", ".*", "$namespace", c.namespace, "$environment", c.environment, "$pod", c.pod).Replace(expr)
}

// answer asks one query of a panel.
func answer(t *testing.T, file, title string, query int, c chosen) []sample {
	t.Helper()
	for _, p := range panels(t, file) {
		if p.Title == title {
			samples, err := seen.ask(c.fill(p.Targets[query].Expr))
			if err != nil {
				t.Error(err)
			}
			return samples
		}
	}
	t.Fatalf("%s has no panel %s", file, title)
	return nil
}

// answers asks all queries of a dashboard.
func answers(t *testing.T, file string, c chosen) map[string][][]sample {
	t.Helper()
	all := map[string][][]sample{}
	for _, p := range panels(t, file) {
		for _, target := range p.Targets {
			expr := c.fill(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%s: %q still has a variable", p.Title, expr)
			}
			samples, err := seen.ask(expr)
			if err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
			all[p.Title] = append(all[p.Title], samples)
		}
	}
	if len(all) < 20 {
		t.Fatalf("%s: %d panels: this test no longer reads the file", file, len(all))
	}
	return all
}

// Where something of everything happens, every query has an answer.
func TestEveryPanelHasDataUnderMixedTraffic(t *testing.T) {
	for file, c := range map[string]chosen{"fleet.json": everything, "sidecar.json": only("production")} {
		for title, results := range answers(t, file, c) {
			for i, samples := range results {
				if title == "Would deny be safe?" && i == 4 {
					continue // how long it is watched is known hourly
				}
				if len(samples) == 0 {
					t.Errorf("%s: %s: query %d has no answer", file, title, i+1)
				}
			}
		}
	}
}

// quiet are the panels that are meant to be empty where all is well.
var quiet = map[string][]string{
	"fleet.json":   {"Active configuration warnings", "Credentials removed by reason", "Environments that share a key", "Environments that share issuer and audience", "Foreign tokens over time", "Refused and reported by reason", "What enforcing would refuse"},
	"sidecar.json": {"Active configuration warnings", "Credentials removed by reason", "Foreign tokens over time", "Refused and reported by reason"},
}

// Where all is well, no panel is empty but those that are meant to be.
func TestOnlyWhatShouldIsEmptyWhereAllIsWell(t *testing.T) {
	for file, c := range map[string]chosen{"fleet.json": {"development", ".*", ".*"}, "sidecar.json": only("development")} {
		var empty []string
		for title, results := range answers(t, file, c) {
			if !slices.ContainsFunc(results, func(s []sample) bool { return len(s) > 0 }) {
				empty = append(empty, title)
			}
		}
		slices.Sort(empty)
		if !slices.Equal(empty, quiet[file]) {
			t.Errorf("%s: empty are %q\nwant %q", file, empty, quiet[file])
		}
	}
}

// The first row says what was sent.
func TestTheHeadlineIsRight(t *testing.T) {
	const refused = stagingAtProduction + unknownAtProduction
	for _, row := range []struct {
		file   string
		of     chosen
		title  string
		query  int
		labels string
		want   float64
	}{
		{"fleet.json", everything, "Foreign tokens at the door", 0, "", refused + productionAtStaging},
		{"fleet.json", only("production"), "Foreign tokens at the door", 0, "", refused},
		{"fleet.json", chosen{"staging", ".*", ".*"}, "Foreign tokens at the door", 0, "", productionAtStaging},
		{"fleet.json", only("development"), "Foreign tokens at the door", 0, "", 0},
		{"fleet.json", everything, "Foreign tokens let through", 0, "", productionAtStaging},
		{"fleet.json", only("production"), "Foreign tokens let through", 0, "", 0},
		{"fleet.json", everything, "Sidecars down or not ready", 0, "", 0},
		{"fleet.json", everything, "Gateways without a sidecar", 0, "", 1},
		{"fleet.json", only("development"), "Gateways without a sidecar", 0, "", 0},
		{"fleet.json", only("development"), "Configuration warnings", 0, "", 0},
		{"fleet.json", everything, "Token's environment to sidecar's environment", 0, "staging production", stagingAtProduction},
		{"fleet.json", everything, "Token's environment to sidecar's environment", 0, "other production", unknownAtProduction},
		{"fleet.json", everything, "Token's environment to sidecar's environment", 0, "production staging", productionAtStaging},
		{"fleet.json", everything, "Token's environment to sidecar's environment", 0, "development production", 0},
		{"fleet.json", everything, "What enforcing would refuse", 0, "environment staging", productionAtStaging},
		{"fleet.json", everything, "Environments that share issuer and audience", 0, "", 2},
		{"fleet.json", everything, "Would deny be safe?", 3, "development", 1},
		{"fleet.json", everything, "Would deny be safe?", 3, "production", 0},
		{"fleet.json", everything, "Versions", 0, "", 3},
		{"fleet.json", everything, "Open streams", 0, "sse", 3},
		{"fleet.json", everything, "Open streams", 0, "websocket", 3},
		{"sidecar.json", only("production"), "Foreign tokens at the door", 0, "", refused},
		{"sidecar.json", only("staging"), "Foreign tokens at the door", 0, "", productionAtStaging},
		{"sidecar.json", only("production"), "Ready", 0, "", 1},
		{"sidecar.json", only("production"), "Usable keys", 0, "", 1},
		{"sidecar.json", only("development"), "Configuration warnings", 0, "", 0},
		{"sidecar.json", only("staging"), "Open streams", 0, "sse", 1},
	} {
		found := false
		for _, s := range answer(t, row.file, row.title, row.query, row.of) {
			if !hasAll(s.labels, strings.Fields(row.labels)) {
				continue
			}
			found = true
			if s.value != row.want {
				t.Errorf("%s of %s: %s %s: %v, want %v", row.file, row.of.environment, row.title, row.labels, s.value, row.want)
			}
		}
		if !found {
			t.Errorf("%s of %s: %s %s: no answer", row.file, row.of.environment, row.title, row.labels)
		}
	}
}

// hasAll tells whether the labels have the values, the first one as token_environment where there is one.
func hasAll(labels map[string]string, values []string) bool {
	for i, want := range values {
		if foreign, ok := labels["token_environment"]; ok && i == 0 && foreign != want {
			return false
		}
		found := false
		for name, value := range labels {
			found = found || value == want && (name != "token_environment" || i == 0)
		}
		if !found {
			return false
		}
	}
	return true
}
