package chart

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"envgate/authz"
	"envgate/metrics"
)

// targetLabels are those that Prometheus sets, or a histogram has.
var targetLabels = []string{"namespace", "pod", "container", "job", "instance", "le"}

// labelsOf gives the labels of every metric of the sidecar and the webhook, histograms by the names of their parts.
func labelsOf(t *testing.T) map[string][]string {
	t.Helper()
	c, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=0123456789abcdef0123456789abcdef"}})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	for _, s := range append(metrics.New(c, metrics.Build{}).Series(), metrics.NewWebhook(metrics.Build{}).Series()...) {
		labels[s.Name] = s.Labels
		if s.Type == "histogram" {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				labels[s.Name+part] = s.Labels
			}
		}
	}
	return labels
}

var (
	metricName = regexp.MustCompile(`envgate_[a-z0-9_]+`)
	grouping   = regexp.MustCompile(`\b(?:by|without) \(([^)]*)\)`)
	matcher    = regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`)
	legend     = regexp.MustCompile(`\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}`)
)

// checkQuery finds metrics and labels that don't exist; text is the legend or the alert's words.
func checkQuery(t *testing.T, where, query, text string) {
	t.Helper()
	known, allowed := labelsOf(t), targetLabels
	names := metricName.FindAllString(query, -1)
	if len(names) == 0 {
		t.Errorf("%s: %q asks for no metric of envgate", where, query)
	}
	for _, name := range names {
		labels, exists := known[name]
		if !exists {
			t.Errorf("%s: there is no metric %s", where, name)
		}
		allowed = append(slices.Clone(allowed), labels...)
	}
	var used []string
	for _, m := range grouping.FindAllStringSubmatch(query, -1) {
		for name := range strings.SplitSeq(m[1], ",") {
			used = append(used, strings.TrimSpace(name))
		}
	}
	for _, expression := range []struct {
		of   *regexp.Regexp
		text string
	}{{matcher, query}, {legend, text}} {
		for _, m := range expression.of.FindAllStringSubmatch(expression.text, -1) {
			used = append(used, m[1])
		}
	}
	for _, label := range used {
		if !slices.Contains(allowed, label) {
			t.Errorf("%s: %q uses the label %s, which none of its metrics has", where, query, label)
		}
	}
}

// dashboard is the part of Grafana's schema that these tests look at.
type dashboard struct {
	UID           string
	Title         string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Description string }
	}
	Panels []struct {
		ID                       int
		Title, Description, Type string
		GridPos                  struct{ X, Y, W, H int }
		Datasource               struct{ UID string }
		Targets                  []struct {
			Expr, LegendFormat string
			Datasource         struct{ UID string }
		}
	}
}

func TestDashboardsAskForMetricsThatExist(t *testing.T) {
	files, err := filepath.Glob("envgate/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	uids := map[string]string{}
	for _, file := range files {
		var d dashboard
		if err := json.Unmarshal(read(t, file), &d); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if other, twice := uids[d.UID]; d.UID == "" || twice || d.Title == "" || d.SchemaVersion < 39 {
			t.Errorf("%s: uid %q (of %s, too?), title %q, schemaVersion %d: want its own, one, and 39 or newer", file, d.UID, other, d.Title, d.SchemaVersion)
		}
		uids[d.UID] = file
		var variables []string
		for _, v := range d.Templating.List {
			variables = append(variables, v.Name)
			if v.Description == "" {
				t.Errorf("%s: variable %s has no description", file, v.Name)
			}
		}
		if !slices.Contains(variables, "datasource") || !slices.Contains(variables, "namespace") {
			t.Errorf("%s: variables %v: want datasource and namespace among them", file, variables)
		}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			where := filepath.Base(file) + ": " + p.Title
			if p.Title == "" || p.Description == "" || ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 {
				t.Errorf("%s (%d): want a title, a description, an id of its own and a place in 24 columns", where, p.ID)
			}
			ids[p.ID] = true
			for _, target := range p.Targets {
				if target.Datasource.UID != "${datasource}" {
					t.Errorf("%s: asks data source %q: want the variable", where, target.Datasource.UID)
				}
				if !strings.Contains(target.Expr, `namespace=~"$namespace"`) {
					t.Errorf("%s: %q does not heed the variable namespace", where, target.Expr)
				}
				checkQuery(t, where, target.Expr, target.LegendFormat)
			}
		}
		if len(d.Panels) == 0 || d.Panels[0].Title != "Cross-environment tokens" && d.UID == "envgate" {
			t.Errorf("%s: want the headline first: cross-environment tokens", file)
		}
	}
}
