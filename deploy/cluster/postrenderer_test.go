//go:build cluster

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gatewayChart is a chart that renders the gateway of the Kustomize example, and a hook with the same image.
func gatewayChart(t *testing.T, gateway string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"Chart.yaml":             "apiVersion: v2\nname: gateway\nversion: 1.0.0\n",
		"templates/gateway.yaml": gateway,
		"templates/migrate.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: migrate\n  annotations:\n    helm.sh/hook: pre-install\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n        - {name: migrate, image: registry.example.com/mcp-context-forge:0.9.0, ports: [{containerPort: 4444}]}\n",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func exampleGateway(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../kustomize/example/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestHelm3TakesTheBinaryAsItsPostRenderer(t *testing.T) {
	helm := helms(t)["HELM"]
	args := func(chart string, more ...string) []string {
		args := []string{"template", "gateway", chart, "--post-renderer", binary, "--post-renderer-args", "inject"}
		for _, m := range more {
			args = append(args, "--post-renderer-args", m)
		}
		return args
	}
	out, err := program(t, "", helm, args(gatewayChart(t, exampleGateway(t)), "--environment=staging")...)
	checkPostRendered(t, out, err)

	out, err = program(t, "", helm, args(gatewayChart(t, exampleGateway(t)), "--environment=not a name")...)
	if err == nil || !strings.Contains(out, `environment: "not a name"`) {
		t.Errorf("%v: %s: want Helm to stop, and to say why", err, out)
	}
}

func TestHelm4RunsThePlugin(t *testing.T) {
	helm := helms(t)["HELM4"]
	t.Setenv("HELM_DATA_HOME", t.TempDir())
	t.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := program(t, "", helm, "plugin", "install", "../postrenderer"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	args := func(chart, environment string) []string {
		return []string{"template", "gateway", chart, "--post-renderer", "envgate", "--post-renderer-args", "--environment=" + environment}
	}
	out, err := program(t, "", helm, args(gatewayChart(t, exampleGateway(t)), "staging")...)
	checkPostRendered(t, out, err)

	if out, err = program(t, "", helm, args(gatewayChart(t, exampleGateway(t)), "not a name")...); err == nil {
		t.Errorf("%s: want Helm to stop", out)
	}
}

func checkPostRendered(t *testing.T, out string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"image: registry.example.com/envgate:0.1.0", "value: staging", `value: "14444"`, "kind: Service", "kind: ConfigMap", "name: migrate"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "image: registry.example.com/envgate:"); n != 1 {
		t.Errorf("%d sidecars: want one, and none in the Job", n)
	}
}
