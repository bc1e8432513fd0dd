//go:build cluster

package cluster

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// chartFolder is the chart, as helm wants it.
const chartFolder = "../chart/envgate"

// helms are the two major versions of Helm, from HELM and HELM4, or helm and helm4 in PATH.
func helms(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, binary := range map[string]string{"HELM": "helm", "HELM4": "helm4"} {
		if path := os.Getenv(name); path != "" {
			binary = path
		}
		path, err := exec.LookPath(binary)
		if err != nil {
			t.Fatalf("%s: %v: install it with go install helm.sh/helm/v3/cmd/helm@latest (helm4: v4), or name it in %s", name, err, name)
		}
		found[name] = path
	}
	return found
}

// program runs a program and gives its standard output, and its standard error behind it.
func program(t *testing.T, stdin, name string, args ...string) (string, error) {
	t.Helper()
	out, problems, err := execute(t, stdin, name, args...)
	return out + problems, err
}

// execute gives standard output and standard error apart.
func execute(t *testing.T, stdin, name string, args ...string) (out, problems string, err error) {
	t.Helper()
	return output(stdin, name, args...)
}

func output(stdin, name string, args ...string) (out, problems string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute) // the test's own context ends before its cleanup
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin = strings.NewReader(stdin)
	var standard, other bytes.Buffer
	c.Stdout, c.Stderr = &standard, &other
	err = c.Run()
	return standard.String(), other.String(), err
}

// templateArgs render the chart without a cluster, as Argo CD does. A helm built by go install takes itself for one of
// Kubernetes 1.20.
func templateArgs(args ...string) []string {
	return append([]string{"template", "envgate", chartFolder, "-n", "envgate-system", "--kube-version", "1.30.0"}, args...)
}

func template(t *testing.T, args ...string) string {
	t.Helper()
	out, problems, err := execute(t, "", helms(t)["HELM"], templateArgs(args...)...)
	if err != nil {
		t.Fatalf("%v: %s", err, problems)
	}
	return out
}

func TestTheChartPassesLint(t *testing.T) {
	for name, helm := range helms(t) {
		for _, values := range []string{"values.yaml", "values-staging.yaml", "values-production.yaml"} {
			if out, err := program(t, "", helm, "lint", "--strict", chartFolder, "-f", chartFolder+"/"+values); err != nil {
				t.Errorf("%s, %s: %v: %s", name, values, err, out)
			}
		}
	}
}

func TestTheChartRendersWhatItIsAskedFor(t *testing.T) {
	policies := []string{"--set", "policies.gateway-staging=routes: []"}
	managed := []string{"--set", "certificates.certManager.enabled=true"}
	production := []string{"-f", chartFolder + "/values-production.yaml"}
	for _, row := range []struct {
		name, text string
		want       int
		args       []string
	}{
		{"no CA, in no case", "caBundle:", 0, nil},
		{"no CA with cert-manager either", "caBundle:", 0, managed},
		{"an empty Secret for the process", "kind: Secret\n", 1, nil},
		{"no data in it", "\ndata:", 0, nil},
		{"no Secret beside cert-manager's", "kind: Secret\n", 0, managed},
		{"a CA and a leaf with cert-manager", "kind: Certificate\n", 2, managed},
		{"a leaf alone with an issuer of one's own", "kind: Certificate\n", 1, append([]string{"--set", "certificates.certManager.issuerRef.name=x"}, managed...)},
		{"the annotation for cert-manager", "cert-manager.io/inject-ca-from: envgate-system/envgate-webhook\n", 1, managed},
		{"no rights on Secrets with cert-manager", "resources: [secrets]", 0, managed},
		{"no right to create anything", "create", 0, []string{"--show-only", "templates/rbac.yaml"}},
		{"refusal where the webhook doesn't answer", "failurePolicy: Fail\n", 1, nil},
		{"no side effects", "sideEffects: None\n", 1, nil},
		{"reinvocation", "reinvocationPolicy: IfNeeded\n", 1, nil},
		{"no guard by default", "kind: ValidatingAdmissionPolicy\n", 0, nil},
		{"a guard in production", "kind: ValidatingAdmissionPolicy\n", 1, production},
		{"no PodMonitor by default", "kind: PodMonitor\n", 0, nil},
		{"PodMonitors of sidecars and webhook", "kind: PodMonitor\n", 2, production},
		{"alerts", "alert: EnvgateCrossEnvironmentTokens\n", 1, production},
		{"alerts with their own templates untouched", "{{ $labels.token_environment }}", 2, production},
		{"alerts that lead to the runbook", "runbook_url: https://wiki.example.com/envgate#envgate", 16, append([]string{"--set", "prometheusRule.runbook=https://wiki.example.com/envgate"}, production...)},
		{"dashboards that Grafana's sidecar finds", `grafana_dashboard: "1"`, 2, production},
		{"an image by digest", "/envgate@sha256:", 3, production},
		{"policies of any namespace without a cluster", "name: envgate-policy\n", 1, policies},
		{"settings of a namespace", `JWT_ISSUER: "mcpgateway-production"`, 1, production},
	} {
		t.Run(row.name, func(t *testing.T) {
			if n := strings.Count(withoutComments(template(t, row.args...)), row.text); n != row.want {
				t.Errorf("%q: %d times, want %d", row.text, n, row.want)
			}
		})
	}
}

func withoutComments(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// Each flag of the Deployment is one that the binary has: a misspelt one would keep the webhook from starting.
func TestTheWebhookIsStartedWithFlagsThatItHas(t *testing.T) {
	help, err := program(t, "", binary, "webhook", "--help")
	if err != nil {
		t.Fatal(help)
	}
	flag := regexp.MustCompile(`- "?(--[a-z-]+)=`)
	seen := 0
	for _, args := range [][]string{
		{"--set", "webhook.mesh=istio,webhook.envFrom=none,webhook.sharedSecret=x,webhook.sidecarCPULimit=500m"}, {"--set", "certificates.certManager.enabled=true"},
	} {
		for _, m := range flag.FindAllStringSubmatch(template(t, append(args, "--show-only", "templates/deployment.yaml")...), -1) {
			if seen++; !strings.Contains(help, m[1]+" ") {
				t.Errorf("envgate webhook has no flag %s", m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("%d flags looked at: this test no longer reads the Deployment", seen)
	}
}

func TestTheSchemaStopsAWrongValue(t *testing.T) {
	for name, helm := range helms(t) {
		for _, setting := range []string{"webhok.mode=report", "webhook.mode=observe", "webhook.failurePolicy=Ignore", "settings.gateway.JWT_SECRET_KEY=x", "webhook.sidecarMemoryLimit=128", "webhook.sidecarCPULimit=half"} {
			out, err := program(t, "", helm, templateArgs("--set", setting)...)
			if err == nil || !strings.Contains(out, "schema") {
				t.Errorf("%s, %s: %v, %s: want a refusal by the schema", name, setting, err, out)
			}
		}
		if out, err := program(t, "", helm, templateArgs("--set", "global.anything=goes")...); err != nil {
			t.Errorf("%s, global: %v: %s", name, err, out)
		}
	}
}
