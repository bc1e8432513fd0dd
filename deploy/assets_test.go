package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every file that a user needs is in the binary, and nothing that only tests need.
func TestAssetsAreWhatIsShipped(t *testing.T) {
	names := Assets()
	for _, want := range []string{
		"Dockerfile", "compose.yaml", "grafana/fleet.json", "prometheus/rules.yaml", "chart/envgate/Chart.yaml", "chart/envgate/values-production.yaml", "chart/envgate/templates/_names.tpl",
		"kustomize/component/kustomization.yaml", "postrenderer/plugin.yaml",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, name := range names {
		on, err := os.ReadFile(name)
		if strings.HasSuffix(name, ".go") || err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := Asset(name, Release{}); err != nil || string(text) != string(on) {
			t.Errorf("%s: %v: not as it is in the repository", name, err)
		}
		if text, err := Asset(name, Release{Version: "9.8.7", Repository: "mirror.example.com/envgate"}); err != nil || strings.Contains(string(text), sourceVersion) || strings.Contains(string(text), sourceRepository) {
			t.Errorf("%s: %v: does not say the release's version and repository", name, err)
		}
	}
	if chart, _ := Asset("chart/envgate/Chart.yaml", Release{Version: "9.8.7"}); !strings.Contains(string(chart), "\nappVersion: 9.8.7\n") {
		t.Errorf("the chart is of another version:\n%s", chart)
	}
	if _, err := Asset("../main.go", Release{}); err == nil {
		t.Error("there is more than there should be")
	}
}

func TestAssetsAreWrittenOnceAndNeverOver(t *testing.T) {
	folder := t.TempDir()
	for range 2 { // the same files again are no harm
		if n, err := WriteAssets(folder, Release{}); err != nil || n != len(Assets()) {
			t.Fatal(n, err)
		}
	}
	changed := filepath.Join(folder, "compose.yaml")
	if err := os.WriteFile(changed, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "Dockerfile")); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteAssets(folder, Release{}); err == nil || err.Error() != changed+": is there already, and differs: move it away first" {
		t.Error(err)
	}
	if text, _ := os.ReadFile(changed); string(text) != "mine" {
		t.Error("a user's file was overwritten")
	}
	if _, err := os.Stat(filepath.Join(folder, "Dockerfile")); err == nil {
		t.Error("half of the files were written")
	}
}
