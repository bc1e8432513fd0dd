//go:build realgateway

package realgateway

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Nothing that works without the sidecar may break behind it: every GET that the gateway describes is answered alike.
func TestEveryGet(t *testing.T) {
	eachInstallation(t, installations, func(t *testing.T, g *gateway) {
		token := login(t, g.url)
		paths := describedGets(t, g, token)
		if len(paths) < 150 {
			t.Fatalf("the gateway describes only %d GETs", len(paths))
		}
		prefixes := []string{""}
		if g.root != "" {
			prefixes = append(prefixes, g.root)
		}
		for _, prefix := range prefixes {
			answers := map[int]int{}
			for _, path := range paths {
				answers[sameBehind(t, g, prefix+path, bearer(token)).status]++
			}
			t.Logf("%d GETs below %q are the same, by status: %v", len(paths), prefix, answers)
			if prefix == "" && answers[200] < 40 {
				t.Error("hardly anything was answered 200")
			}
		}
	})
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// describedGets returns the paths of the GETs in the gateway's OpenAPI document, ids replaced by one that doesn't exist.
// 1.0.7 describes its API below /v1, and serves it without that too: once is enough for that.
func describedGets(t *testing.T, g *gateway, token string) []string {
	t.Helper()
	var document struct {
		Paths map[string]map[string]any
	}
	a := send(t, g.url, "GET", "/openapi.json", "", bearer(token)).is(t, "OpenAPI document", 200)
	if err := json.Unmarshal([]byte(a.body), &document); err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	for path, operations := range document.Paths {
		// A logout would end the session that the walk uses.
		if operations["get"] == nil || strings.HasSuffix(path, "/logout") {
			continue
		}
		path = placeholder.ReplaceAllString(path, "00000000-0000-4000-8000-000000000000")
		paths[path] = true
		if g.root == "" {
			paths[strings.TrimPrefix(path, "/v1")] = true
		}
	}
	return slices.Sorted(maps.Keys(paths))
}
