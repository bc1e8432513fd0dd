// Package chart holds the tests of the Helm chart that need nothing but Go: what can be told of its files without
// rendering them. Those that need helm and an API server are in deploy/cluster.
package chart

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"envgate/authz"

	"github.com/goccy/go-yaml"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parseYAML gives what JSON would give: one type of number, and strings as keys.
func parseYAML(t *testing.T, text []byte) (v map[string]any) {
	t.Helper()
	b, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func readYAML(t *testing.T, path string) map[string]any {
	t.Helper()
	return parseYAML(t, read(t, path))
}

func readSchema(t *testing.T) (s schema) {
	t.Helper()
	if err := json.Unmarshal(read(t, "envgate/values.schema.json"), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// merged is what helm makes of defaults and a values file.
func merged(defaults, values map[string]any) map[string]any {
	all := maps.Clone(defaults)
	for name, value := range values {
		below, isMap := value.(map[string]any)
		if old, ok := all[name].(map[string]any); ok && isMap {
			all[name] = merged(old, below)
		} else {
			all[name] = value
		}
	}
	return all
}

func TestTheChartNamesItsVersions(t *testing.T) {
	c := readYAML(t, "envgate/Chart.yaml")
	version := regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	for _, name := range []string{"version", "appVersion"} {
		if v, _ := c[name].(string); !version.MatchString(v) {
			t.Errorf("%s: %v: want three numbers", name, c[name])
		}
	}
	if c["apiVersion"] != "v2" || c["kubeVersion"] != ">=1.30.0-0" {
		t.Errorf("apiVersion %v, kubeVersion %v: want v2 and >=1.30.0-0, which managed clusters' versions with a suffix meet", c["apiVersion"], c["kubeVersion"])
	}
	plugin := readYAML(t, "../postrenderer/plugin.yaml")
	if plugin["version"] != c["version"] {
		t.Errorf("the post-renderer plugin is %v, the chart %v: want one version", plugin["version"], c["version"])
	}
}

// A key of values.yaml has a comment above it. What stands below a key of free form belongs to its comment.
func TestEveryValueHasAComment(t *testing.T) {
	key := regexp.MustCompile(`^( *)([A-Za-z_]+):`)
	s, path := readSchema(t), []string(nil)
	before := ""
	seen := 0
	for line := range strings.Lines(string(read(t, "envgate/values.yaml"))) {
		if m := key.FindStringSubmatch(line); m != nil {
			path = append(path[:len(m[1])/2], m[2])
			if s.knows(path) || len(path) == 1 {
				seen++
				if !strings.HasPrefix(strings.TrimSpace(before), "#") {
					t.Errorf("%s has no comment above it", strings.Join(path, "."))
				}
			}
		}
		before = line
	}
	if seen < 40 {
		t.Errorf("%d keys looked at: this test no longer reads the file", seen)
	}
}

func (s schema) knows(path []string) bool {
	for _, name := range path {
		if s = s.below("properties").child(name); s == nil {
			return false
		}
	}
	return true
}

func (s schema) child(name string) schema { child, _ := s[name].(map[string]any); return child }

// The settings that the chart may write are real, none of them a secret, and none that injection writes itself, which
// would be without effect.
func TestTheSettingsOfANamespaceAreSettings(t *testing.T) {
	properties := readSchema(t).below("properties").child("settings").below("additionalProperties").below("properties")
	written := []string{"ENVGATE_ENVIRONMENT", "ENVGATE_ENVIRONMENT_RULE", "ENVGATE_MODE", "ENVGATE_TRUSTED_PROXIES", "ENVGATE_LISTEN", "ENVGATE_UPSTREAM", "ENVGATE_ADMIN_LISTEN", "ENVGATE_POLICY"}
	for name := range properties {
		if name == "EMBED_ENVIRONMENT_IN_TOKENS" {
			continue // the gateway's own
		}
		if !slices.ContainsFunc(authz.Settings, func(setting authz.Setting) bool { return setting.Name == name && !setting.Secret }) || slices.Contains(written, name) {
			t.Errorf("%s is no setting that a ConfigMap may hold", name)
		}
	}
	for _, setting := range authz.Settings {
		file := strings.HasSuffix(setting.Name, "_FILE") || setting.Name == "JWT_PRIVATE_KEY_PATH"
		if _, present := properties[setting.Name]; setting.Gateway && !setting.Secret && !file && !present {
			t.Errorf("%s is missing", setting.Name)
		}
	}
}

// The worked examples of the three environments name all that separates them.
func TestTheExamplesSeparateTheirEnvironments(t *testing.T) {
	text := string(read(t, "envgate/values.yaml"))
	for _, environment := range []string{"development", "staging", "production"} {
		for _, want := range []string{"ENVIRONMENT=", "JWT_ISSUER=mcpgateway-", "mcpgateway-api-"} {
			if !strings.Contains(text, want+environment) {
				t.Errorf("values.yaml does not show %s%s", want, environment)
			}
		}
	}
	seen := map[any]string{}
	for _, environment := range []string{"staging", "production"} {
		all, _ := readYAML(t, "envgate/values-"+environment+".yaml")["settings"].(map[string]any)
		settings, _ := all["gateway-"+environment].(map[string]any)
		for _, name := range []string{"ENVIRONMENT", "JWT_ISSUER", "JWT_AUDIENCE"} {
			value, _ := settings[name].(string)
			if other, twice := seen[value]; value == "" || twice {
				t.Errorf("%s of %s is %q, and of %s, too", name, environment, value, other)
			}
			seen[value] = environment
		}
	}
}
