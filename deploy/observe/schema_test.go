//go:build observe

package observe

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The dashboards are of Grafana's own schema, and the judge notices what is not.
func TestDashboardsAreOfGrafanasSchema(t *testing.T) {
	judge := filepath.Join(seen.work, "schema")
	build := exec.Command("go", "build", "-C", "schema", "-p", "2", "-o", judge, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"fleet.json", "sidecar.json"} {
		file := filepath.Join("../grafana", name)
		out, err := exec.Command(judge, file).CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range [][2]string{
			{`"graphMode": "none"`, `"graphMode": 1`}, {`"legendFormat"`, `"legendFromat"`}, {`"showHeader": true`, `"showHead": true`}, {`"gridPos"`, `"gridPosition"`},
		} {
			broken := filepath.Join(t.TempDir(), name)
			if err := os.WriteFile(broken, []byte(strings.Replace(string(text), row[0], row[1], 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(judge, broken).CombinedOutput(); err == nil {
				t.Errorf("%s for %s passes:\n%s", row[1], row[0], out)
			}
		}
	}
}
