// Package grafana holds the dashboards' rows, and the tests that compare the shipped files with them. A panel is changed
// here, not in the JSON:
//
//	go test ./deploy/grafana -update
//
// writes fleet.json and sidecar.json, and the chart's copies of them.
package grafana

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

type object = map[string]any

// schemaVersion is that of Grafana 12.0; later ones migrate it when they load it.
const schemaVersion = 41

// A dashboard is rows of panels below each other; a row without a title has no bar.
type dashboard struct {
	uid, title, description string
	selector, environment   string // what SELECTOR and OF_THEM stand for in queries
	variables               []object
	annotations             []object
	rows                    []row
}

type row struct {
	title  string
	panels []panel
}

// A panel is width columns of 24 wide and height units high. None is what it says without data.
type panel struct {
	width, height int
	kind          func(*panel) object
	title, unit   string
	description   string
	queries       []query
	none          string
	columns       []column // of tables
	steps         []step   // of colours by value
}

type query struct{ expr, legend string }

// A column of a table: a label or a query's value, how it is headed, and its unit.
type column struct{ field, title, unit string }

// A step is the colour from a value on; the first is the colour of all below the second.
type step struct {
	from   float64
	colour string
}

var source = object{"type": "prometheus", "uid": "${datasource}"}

// build lays the rows out and gives the dashboard's JSON.
func (d dashboard) build(t *testing.T) []byte {
	t.Helper()
	var panels []object
	id, y := 0, 0
	for _, r := range d.rows {
		if r.title != "" {
			id++
			panels = append(panels, object{"id": id, "type": "row", "title": r.title, "collapsed": false, "panels": []object{}, "gridPos": place(0, y, 24, 1)})
			y++
		}
		x, high := 0, 0
		for _, p := range r.panels {
			if x+p.width > 24 {
				x, y, high = 0, y+high, 0
			}
			id++
			panels = append(panels, d.panel(p, id, x, y))
			x, high = x+p.width, max(high, p.height)
		}
		y += high
	}
	all := object{
		"uid": d.uid, "title": d.title, "description": d.description, "tags": []string{"envgate"},
		"schemaVersion": schemaVersion, "version": 1, "editable": true, "graphTooltip": 1, "fiscalYearStartMonth": 0, "preload": false, "timezone": "browser",
		"time": object{"from": "now-6h", "to": "now"}, "timepicker": object{}, "refresh": "1m",
		"links": []object{{
			"type": "dashboards", "title": "envgate", "tags": []string{"envgate"}, "asDropdown": false, "includeVars": true, "keepTime": true,
			"targetBlank": false, "icon": "external link", "tooltip": "the other dashboard of envgate", "url": "",
		}},
		"templating": object{"list": d.variables}, "annotations": object{"list": d.annotations}, "panels": panels,
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(all); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func place(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }

func (d dashboard) panel(p panel, id, x, y int) object {
	o := p.kind(&p)
	o["id"], o["title"], o["description"], o["datasource"], o["gridPos"] = id, p.title, p.description, source, place(x, y, p.width, p.height)
	ranged := o["type"] == "timeseries"
	var targets []object
	for i, q := range p.queries {
		target := object{
			"refId": string(rune('A' + i)), "datasource": source, "editorMode": "code", "expr": d.fill(q.expr), "legendFormat": q.legend,
			"range": ranged, "instant": !ranged,
		}
		if o["type"] == "table" {
			target["format"] = "table"
		}
		targets = append(targets, target)
	}
	o["targets"] = targets
	return o
}

// fill puts the dashboard's choice of series into a query.
func (d dashboard) fill(expr string) string {
	return strings.NewReplacer("OF_THEM", d.environment, "SELECTOR", d.selector).Replace(expr)
}
