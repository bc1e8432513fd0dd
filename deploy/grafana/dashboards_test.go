package grafana

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"envgate/deploy/querytest"
)

var update = flag.Bool("update", false, "write the dashboards and the chart's copies of them")

const chartCopies = "../chart/envgate/dashboards"

var files = map[string]func() dashboard{"fleet.json": fleet, "sidecar.json": sidecar}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The files are what the rows say, and the chart, where Helm reads, has the same.
func TestTheFilesAreUpToDate(t *testing.T) {
	for name, d := range files {
		want := d().build(t)
		for _, path := range []string{name, filepath.Join(chartCopies, name)} {
			if *update {
				if err := os.WriteFile(path, want, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(read(t, path), want) {
				t.Errorf("%s is out of date: run go test ./deploy/grafana -update", path)
			}
		}
	}
	for _, folder := range []string{".", chartCopies} {
		found, err := filepath.Glob(folder + "/*.json")
		if err != nil || len(found) != len(files) {
			t.Errorf("%v, %v: want nothing but the %d dashboards", found, err, len(files))
		}
	}
}

// loaded is the part of Grafana's schema that these tests look at. deploy/observe has the whole of it.
type loaded struct {
	UID           string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Description, Definition string }
	}
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Panels []struct {
		ID                       int
		Title, Description, Type string
		GridPos                  struct{ X, Y, W, H int }
		Datasource               struct{ UID string }
		FieldConfig              struct {
			Defaults struct{ Unit, NoValue string }
		}
		Targets []struct {
			Expr, LegendFormat string
			Datasource         struct{ UID string }
		}
		Transformations []struct {
			ID      string
			Options struct{ RenameByName map[string]string }
		}
	}
}

func load(t *testing.T, name string) (d loaded) {
	t.Helper()
	if err := json.Unmarshal(read(t, name), &d); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(d.Panels) < 20 {
		t.Fatalf("%s: %d panels: this test no longer reads the file", name, len(d.Panels))
	}
	return d
}

var legend = regexp.MustCompile(`\{\{ ?([a-z_]+) ?\}\}`)

// Every metric and label that a panel, a variable or an annotation names exists.
func TestQueriesAskForMetricsThatExist(t *testing.T) {
	for name := range files {
		d := load(t, name)
		check := func(where, query string, further []string) {
			for _, problem := range querytest.Problems(query, further, nil) {
				t.Errorf("%s: %s: %s", name, where, problem)
			}
		}
		for _, p := range d.Panels {
			var columns []string
			for _, change := range p.Transformations {
				for label := range change.Options.RenameByName {
					if !strings.HasPrefix(label, "Value") {
						columns = append(columns, label)
					}
				}
			}
			asked := ""
			for _, target := range p.Targets {
				var named []string
				for _, m := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
					named = append(named, m[1])
				}
				check(p.Title, target.Expr, named)
				asked += target.Expr + " + "
			}
			if len(columns) > 0 {
				check(p.Title, asked, columns)
			}
		}
		values := regexp.MustCompile(`^label_values\((.*), ([a-z_]+)\)$`)
		for _, v := range d.Templating.List {
			if v.Type != "query" {
				continue
			}
			m := values.FindStringSubmatch(v.Definition)
			if m == nil {
				t.Fatalf("%s: variable %s: %q is no label_values", name, v.Name, v.Definition)
			}
			check("variable "+v.Name, m[1], []string{m[2]})
		}
		for _, a := range d.Annotations.List {
			if a.Expr != "" {
				check("annotation "+a.Name, a.Expr, nil)
			}
		}
	}
}

func TestPanelsSayWhatToDo(t *testing.T) {
	runbook := string(read(t, "../../docs/runbook.md"))
	uids := map[string]bool{}
	for name := range files {
		d := load(t, name)
		if d.UID == "" || uids[d.UID] {
			t.Errorf("%s: uid %q: want its own", name, d.UID)
		}
		uids[d.UID] = true
		titles := map[string]bool{}
		for i, p := range d.Panels {
			where := name + ": " + p.Title
			if p.ID != i+1 || p.Title == "" || titles[p.Title] {
				t.Errorf("%s (%d): want a title and an id of its own", where, p.ID)
			}
			titles[p.Title] = true
			if p.Type == "row" {
				continue
			}
			if len(p.Description) < 60 || !strings.HasSuffix(p.Description, ".") {
				t.Errorf("%s: description %q: want what to do when it looks bad", where, p.Description)
			}
			if p.FieldConfig.Defaults.Unit == "" || p.FieldConfig.Defaults.NoValue == "" {
				t.Errorf("%s: want a unit, and what to say without data", where)
			}
			for _, alert := range regexp.MustCompile(`\bEnvgate[A-Z]\w+`).FindAllString(p.Description, -1) {
				if !strings.Contains(runbook, "\n## "+alert+"\n") {
					t.Errorf("%s: the runbook has no section %s", where, alert)
				}
			}
		}
		if d.Panels[0].Title != "Foreign tokens at the door" {
			t.Errorf("%s: want the headline first", name)
		}
	}
}

// The documentation shows each panel, in order and with its description; deploy/observe writes it.
func TestTheDocumentationHasEveryPanel(t *testing.T) {
	page := string(read(t, "../../docs/dashboards.md"))
	for _, name := range []string{"fleet.json", "sidecar.json"} {
		for _, p := range load(t, name).Panels {
			section := "\n#### " + p.Title + "\n\n" + p.Description + "\n"
			if p.Type == "row" {
				section = "\n### Row: " + p.Title + "\n"
			}
			_, after, found := strings.Cut(page, section)
			if !found {
				t.Fatalf("docs/dashboards.md does not show %s of %s there, or with another description: run go test -tags observe ./deploy/observe -update", p.Title, name)
			}
			page = "\n" + after
		}
	}
}

func TestPanelsLieBesideEachOther(t *testing.T) {
	for name := range files {
		taken := map[[2]int]string{}
		for _, p := range load(t, name).Panels {
			g := p.GridPos
			if g.X < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
				t.Errorf("%s: %s lies at %+v: want it within 24 columns", name, p.Title, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" {
						t.Fatalf("%s: %s lies over %s", name, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

// What is chosen above holds for every query, and no query goes to a data source that only one Grafana has.
func TestVariablesAreHeeded(t *testing.T) {
	for name := range files {
		d := load(t, name)
		var names []string
		for _, v := range d.Templating.List {
			names = append(names, v.Name)
			if v.Description == "" {
				t.Errorf("%s: variable %s has no description", name, v.Name)
			}
		}
		if !slices.Equal(names, []string{"datasource", "cluster", "namespace", "environment", "pod"}) {
			t.Errorf("%s: variables %v", name, names)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if p.Datasource.UID != "${datasource}" || target.Datasource.UID != "${datasource}" {
					t.Errorf("%s: %s asks data source %q: want the variable", name, p.Title, target.Datasource.UID)
				}
				for _, v := range names[1:] {
					heeded := strings.Contains(target.Expr, "$"+v)
					switch {
					case v == "environment" && (name == "sidecar.json" || strings.Contains(target.Expr, "kube_pod")):
						continue // the choice of pods heeds it; kube-state-metrics does not know it
					case strings.Contains(target.Expr, "envgate_injections_total") && v != "cluster":
						continue // the webhook's, which stands in no gateway's namespace
					case !heeded:
						t.Errorf("%s: %s: %q does not heed $%s", name, p.Title, target.Expr, v)
					}
				}
			}
		}
	}
}

// The first row and the colours must be readable for everybody: only the palette's colours, by value.
func TestColoursAreOfThePalette(t *testing.T) {
	palette := []string{blue, sky, green, yellow, orange, vermillion, purple, grey}
	for name := range files {
		text := string(read(t, name))
		for _, m := range regexp.MustCompile(`"(?:color|fixedColor|iconColor)": "([^"]*)"`).FindAllStringSubmatch(text, -1) {
			if !slices.Contains(palette, m[1]) {
				t.Errorf("%s: colour %q is not of the palette", name, m[1])
			}
		}
		if strings.Contains(text, "palette-classic") || strings.Contains(text, "continuous-") {
			t.Errorf("%s: Grafana's own palettes aren't for everybody", name)
		}
	}
}
