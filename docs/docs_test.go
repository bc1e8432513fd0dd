package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"envgate/authz"
	"envgate/metrics"
)

// pages are the project's Markdown files.
func pages(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d pages, %v", len(files), err)
	}
	return append(files, "../README.md")
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	for _, file := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: %s leads nowhere", file, m[1])
			}
		}
	}
}

// TestNamesInTheDocsExist looks for settings and metrics that were renamed or never were.
func TestNamesInTheDocsExist(t *testing.T) {
	settings := map[string]bool{}
	for _, s := range authz.Settings {
		settings[s.Name] = true
	}
	c, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=0123456789abcdef0123456789abcdef"}})
	if err != nil {
		t.Fatal(err)
	}
	var series []string
	for _, s := range metrics.New(c, metrics.Build{}).Series() {
		series = append(series, s.Name)
	}
	for _, file := range pages(t) {
		text := read(t, file)
		for _, name := range regexp.MustCompile(`ENVGATE_[A-Z_]*[A-Z]`).FindAllString(text, -1) {
			if !settings[name] && name != "ENVGATE_PORT" && name != "ENVGATE_SERVICE" && !strings.HasPrefix(name, "ENVGATE_TYPO") && !strings.HasPrefix(name, "ENVGATE_TEST") {
				t.Errorf("%s: no setting %s", file, name)
			}
		}
		for _, name := range regexp.MustCompile(`\benvgate_[a-z_]+[a-z]`).FindAllString(text, -1) {
			base := regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")
			if !slices.Contains(series, name) && !slices.Contains(series, base) {
				t.Errorf("%s: no metric %s", file, name)
			}
		}
	}
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestImportsGoOneWay holds the house together: authz <- metrics <- proxy <- deploy <- main.
func TestImportsGoOneWay(t *testing.T) {
	order := []string{"envgate/authz", "envgate/metrics", "envgate/proxy", "envgate/deploy", "envgate"}
	for _, line := range goList(t, "-f", "{{$p := .ImportPath}}{{range .Imports}}{{$p}} {{.}}\n{{end}}", "./...") {
		from, to, _ := strings.Cut(strings.TrimSpace(line), " ")
		if i, j := slices.Index(order, from), slices.Index(order, to); i >= 0 && j >= i {
			t.Errorf("%s imports %s", from, to)
		}
		if slices.Contains(order, from) && strings.HasPrefix(to, "envgate/") && !slices.Contains(order, to) {
			t.Errorf("%s imports %s, which only tests may", from, to)
		}
		if strings.Contains(to, "urfave/cli") && from != "envgate" {
			t.Errorf("%s knows the command line", from)
		}
	}
}

func TestTopLevelHoldsOnlyWhatItMay(t *testing.T) {
	allowed := strings.Fields("go.mod go.sum main.go proxy authz metrics deploy docs README.md LICENSE default.pgo .ci .golangci.yml .gitignore .git envgate")
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s does not belong to the top level", e.Name())
		}
	}
}

// TestTheShippedModulesCanBeRecited keeps the binary's dependencies from growing unnoticed.
func TestTheShippedModulesCanBeRecited(t *testing.T) {
	var direct []string
	for _, path := range goList(t, "-deps", "-f", "{{with .Module}}{{if not .Main}}{{if not .Indirect}}{{.Path}}{{end}}{{end}}{{end}}", ".") {
		if path != "" && !slices.Contains(direct, path) {
			direct = append(direct, path)
		}
	}
	slices.Sort(direct)
	want := []string{"github.com/goccy/go-yaml", "github.com/golang-jwt/jwt/v5", "github.com/prometheus/client_golang", "github.com/urfave/cli/v2"}
	if !slices.Equal(direct, want) {
		t.Errorf("shipped modules:\n%s\nwant:\n%s", strings.Join(direct, "\n"), strings.Join(want, "\n"))
	}
}
