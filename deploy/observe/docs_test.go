//go:build observe

package observe

import (
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const page = "../../docs/dashboards.md"

// titles of the page's parts, by file.
var parts = []struct {
	file   string
	of     chosen
	marker string
}{{"fleet.json", everything, "fleet"}, {"sidecar.json", chosen{}, "sidecar"}}

// What every panel showed under the tests' traffic is in the documentation, for readers without a Grafana. The numbers are of
// one run; a later run compares which panels there are.
func TestTheDocumentationShowsEveryPanel(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text)
	for _, part := range parts {
		c := part.of
		if part.file == "sidecar.json" {
			c = only("production")
		}
		shown := regexp.MustCompile(`(?s)<!-- shown: ` + part.marker + ` -->\n.*?<!-- end shown -->`)
		now := strings.ReplaceAll(show(t, part.file, c), "$", "$$")
		if got, want := headings(shown.FindString(changed)), headings(now); got != want && !*update {
			t.Errorf("%s: %s is out of date: run go test -tags observe ./deploy/observe -update\nit has\n%s\nwant\n%s", page, part.marker, got, want)
		}
		changed = shown.ReplaceAllString(changed, "<!-- shown: "+part.marker+" -->\n"+now+"<!-- end shown -->")
	}
	if *update {
		if err := os.WriteFile(page, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func headings(text string) string {
	return strings.Join(regexp.MustCompile(`(?m)^###+ .*$`).FindAllString(text, -1), "\n")
}

// show words a dashboard.
func show(t *testing.T, file string, c chosen) string {
	t.Helper()
	var b strings.Builder
	for _, p := range panels(t, file) {
		if p.Type == "row" {
			fmt.Fprintf(&b, "### Row: %s\n\n", p.Title)
			continue
		}
		fmt.Fprintf(&b, "#### %s\n\n%s\n\n", p.Title, p.Description)
		var results [][]sample
		for _, target := range p.Targets {
			samples, err := seen.ask(c.fill(target.Expr))
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, samples)
		}
		switch {
		case len(p.Transformations) > 0 && p.Transformations[0].ID == "groupingToMatrix":
			b.WriteString(matrix(results[0]))
		case p.Type == "table":
			b.WriteString(table(p, results))
		default:
			b.WriteString(series(p, results))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// most is how many series are shown of one panel.
const most = 12

func series(p panel, results [][]sample) string {
	var b strings.Builder
	b.WriteString("| series | now |\n|---|---:|\n")
	n := 0
	for i, samples := range results {
		for _, s := range samples {
			if n++; n > most {
				continue
			}
			name := regexp.MustCompile(`\{\{(\w+)\}\}`).ReplaceAllStringFunc(p.Targets[i].LegendFormat, func(label string) string { return s.labels[strings.Trim(label, "{}")] })
			if name == "" {
				name = "value"
			}
			fmt.Fprintf(&b, "| %s | %s |\n", name, format(s.value, p.FieldConfig.Defaults.Unit))
		}
	}
	if n > most {
		fmt.Fprintf(&b, "| and %d more | |\n", n-most)
	}
	return b.String()
}

func matrix(samples []sample) string {
	cells, tokens, servers := map[[2]string]float64{}, map[string]bool{}, map[string]bool{}
	for _, s := range samples {
		from, to := s.labels["token_environment"], s.labels["server_environment"]
		cells[[2]string{from, to}], tokens[from], servers[to] = s.value, true, true
	}
	var b strings.Builder
	columns := slices.Sorted(maps.Keys(servers))
	fmt.Fprintf(&b, "| token \\ sidecar | %s |\n|---%s|\n", strings.Join(columns, " | "), strings.Repeat("|---:", len(columns)))
	for _, from := range slices.Sorted(maps.Keys(tokens)) {
		fmt.Fprintf(&b, "| %s ", from)
		for _, to := range columns {
			text := "–"
			if value, ok := cells[[2]string{from, to}]; ok {
				text = format(value, "short")
			}
			fmt.Fprintf(&b, "| %s ", text)
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// table merges the queries' series by the labels that they share, and names the columns, as the panel's transformations do.
func table(p panel, results [][]sample) string {
	organize := p.Transformations[len(p.Transformations)-1].Options
	var rows []map[string]string
	for i, samples := range results {
		column := "Value"
		if len(results) > 1 {
			column = "Value #" + p.Targets[i].RefID
		}
		for _, s := range samples {
			row := map[string]string{}
			for _, have := range rows {
				if fits(have, s.labels) {
					row = have
				}
			}
			if len(row) == 0 {
				rows = append(rows, row)
			}
			maps.Copy(row, s.labels)
			row[column] = format(s.value, p.unit(organize.RenameByName[column]))
		}
	}
	columns := slices.SortedFunc(maps.Keys(organize.RenameByName), func(a, b string) int { return organize.IndexByName[a] - organize.IndexByName[b] })
	var b strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&b, "| %s ", organize.RenameByName[c])
	}
	b.WriteString("|\n" + strings.Repeat("|---", len(columns)) + "|\n")
	for i, row := range rows {
		if i == most {
			fmt.Fprintf(&b, "| and %d more %s|\n", len(rows)-most, strings.Repeat("| ", len(columns)-1))
			break
		}
		for _, c := range columns {
			text := row[c]
			if text == "" {
				text = "–"
			}
			fmt.Fprintf(&b, "| %s ", text)
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// fits tells whether a row has the labels of another series.
func fits(row, labels map[string]string) bool {
	for name, value := range labels {
		if have, ok := row[name]; ok && have != value {
			return false
		}
	}
	return true
}

// unit of a column.
func (p panel) unit(column string) string {
	for _, o := range p.FieldConfig.Overrides {
		if o.Matcher.Options == column {
			for _, property := range o.Properties {
				if unit, ok := property.Value.(string); ok && property.ID == "unit" {
					return unit
				}
			}
		}
	}
	return p.FieldConfig.Defaults.Unit
}

// format words a value in its unit, about as Grafana does.
func format(v float64, unit string) string {
	short := strconv.FormatFloat(v, 'g', 3, 64)
	if v == math.Trunc(v) && math.Abs(v) < 1e6 || math.Abs(v) >= 1000 {
		short = strconv.FormatFloat(v, 'f', 0, 64)
	}
	switch {
	case math.IsNaN(v):
		return "–"
	case unit == "s" && v != 0 && math.Abs(v) < 1:
		return time.Duration(v * 1e9).Round(time.Microsecond).String()
	case unit == "s":
		return time.Duration(v * 1e9).Round(time.Second).String()
	case unit == "percentunit":
		return strconv.FormatFloat(100*v, 'g', 3, 64) + " %"
	case unit == "bytes":
		return strconv.FormatFloat(v/(1<<20), 'f', 1, 64) + " MiB"
	case unit == "bool_yes_no":
		return map[bool]string{true: "yes", false: "no"}[v != 0]
	case unit == "reqps":
		return short + " req/s"
	case unit == "cps":
		return short + " /s"
	}
	return short
}
