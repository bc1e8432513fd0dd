package docs

import (
	"io/fs"
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

// pages are the project's Markdown files, wherever they are.
func pages(t *testing.T) (files []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "testdata"):
			return fs.SkipDir
		case filepath.Ext(path) == ".md":
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) < 10 {
		t.Fatalf("%d pages, %v", len(files), err)
	}
	return files
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
			to := filepath.Join(filepath.Dir(file), m[1])
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %s leads nowhere", file, m[1])
			} else if m[2] != "" && !slices.Contains(anchors(read(t, to)), m[2]) {
				t.Errorf("%s: %s has no heading %s", file, m[1], m[2])
			}
		}
	}
}

// anchors are what a page's headings can be linked by.
func anchors(text string) (list []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		slug := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		list = append(list, "#"+strings.ReplaceAll(slug, " ", "-"))
	}
	return list
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
	for _, s := range append(metrics.New(c, metrics.Build{}).Series(), metrics.NewWebhook(metrics.Build{}).Series()...) {
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
	cmd := exec.Command("go", append([]string{"list", "-pgo=off"}, args...)...) // one build of each package
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestImportsGoOneWay holds the house together: authz <- metrics <- proxy <- deploy <- main, where deploy is a folder of
// packages that only the injector's text and its webhook share.
func TestImportsGoOneWay(t *testing.T) {
	order := []string{"envgate/authz/jwks", "envgate/authz", "envgate/metrics", "envgate/proxy", "envgate/deploy/audit", "envgate/deploy/demo", "envgate/deploy/inject", "envgate/deploy/webhook", "envgate/deploy", "envgate"}
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
	want := []string{"github.com/fsnotify/fsnotify", "github.com/go-jose/go-jose/v4", "github.com/goccy/go-yaml", "github.com/golang-jwt/jwt/v5", "github.com/hashicorp/golang-lru/v2", "github.com/prometheus/client_golang", "github.com/prometheus/exporter-toolkit", "github.com/urfave/cli/v2", "go.yaml.in/yaml/v2", "golang.org/x/crypto", "golang.org/x/time"}
	if !slices.Equal(direct, want) {
		t.Errorf("shipped modules:\n%s\nwant:\n%s", strings.Join(direct, "\n"), strings.Join(want, "\n"))
	}
}
