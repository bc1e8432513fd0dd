// Command schema decodes dashboards by Grafana's own schema, as the Grafana Foundation SDK publishes it: unknown fields and
// values of a wrong type are errors, in the dashboard, in the options of each kind of panel, and in the queries.
//
// It is a module of its own, so that the SDK stays out of envgate's.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(files []string) (code int) {
	plugins.RegisterDefaultPlugins()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		var d dashboard.Dashboard
		if text, err = withoutOpen(text); err == nil {
			err = d.UnmarshalJSONStrict(text)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s:\n%v\n", file, err)
			code = 1
			continue
		}
		if err := d.Validate(); err != nil {
			fmt.Fprintf(os.Stderr, "%s:\n%v\n", file, err)
			code = 1
			continue
		}
		fmt.Printf("%s: %d panels\n", file, len(d.Panels))
	}
	return code
}

// open are fields of an annotation that the schema leaves to the data source: Prometheus's reads them (PrometheusAnnotationSupport
// in @grafana/prometheus 12.3).
var open = []string{"titleFormat", "textFormat", "tagKeys"}

func withoutOpen(text []byte) ([]byte, error) {
	var d map[string]any
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	annotations, _ := d["annotations"].(map[string]any)
	list, _ := annotations["list"].([]any)
	for _, a := range list {
		for _, name := range open {
			delete(a.(map[string]any), name)
		}
	}
	return json.Marshal(d)
}
