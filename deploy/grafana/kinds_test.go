package grafana

// The palette of Okabe and Ito, which people with any kind of colour blindness can tell apart.
const (
	blue       = "#0072B2"
	sky        = "#56B4E9"
	green      = "#009E73"
	yellow     = "#F0E442"
	orange     = "#E69F00"
	vermillion = "#D55E00"
	purple     = "#CC79A7"
	grey       = "#999999"
)

// colours are those of series that are known by name, the same in every panel: by the legend that makes the name, each a
// regular expression and a colour. Others are shades of blue, which differ in lightness, and are named in the tooltip.
var colours = map[string][][2]string{
	"{{decision}}":           {{"accepted", blue}, {"public", sky}, {"refused", vermillion}, {"reported", orange}},
	"{{reason}}":             {{"environment", vermillion}, {"signature", purple}, {"expired", yellow}, {"no_token", sky}, {"no_environment", orange}, {"issuer", green}, {"malformed", grey}},
	"{{server_environment}}": {{"development", sky}, {"staging", orange}, {"production", blue}},
	"{{kind}}":               {{"connect", vermillion}, {"timeout", orange}, {"reset", purple}, {"sse", blue}, {"websocket", orange}},
	"{{source}}":             {{"envgate", orange}, {"upstream", blue}},
	"{{source}} {{code}}":    {{"envgate.*", orange}, {"upstream.*", blue}},
	"{{result}}":             {{"injected", blue}, {"skipped", grey}, {"denied", orange}, {"error", vermillion}},
	"canceled by the client": {{"canceled.*", grey}},
	"without env":            {{"without env", orange}},
	"by the additional key":  {{"by the additional key", purple}},
	"90 %":                   {{"90 %", green}},
	"99 %":                   {{"99 %", orange}},
	"open files":             {{"open files", orange}},
	"heap":                   {{"heap", orange}},

	"99 % of one token's check": {{"99 % of.*", purple}},

	"{{token_environment}}, {{decision}}":                           {{".*refused", vermillion}, {".*reported", orange}, {".*removed", grey}},
	"{{token_environment}} to {{server_environment}}, {{decision}}": {{".*refused", vermillion}, {".*reported", orange}, {".*removed", grey}},
}

func overrides(queries []query) []object {
	list := []object{}
	for _, q := range queries {
		for _, c := range colours[q.legend] {
			list = append(list, object{
				"matcher":    object{"id": "byRegexp", "options": "/^" + c[0] + "$/"},
				"properties": []object{{"id": "color", "value": object{"mode": "shades", "fixedColor": c[1]}}},
			})
		}
	}
	return list
}

func thresholds(steps []step) object {
	list := []object{}
	for i, s := range steps {
		o := object{"color": s.colour, "value": s.from}
		if i == 0 {
			o["value"] = nil
		}
		list = append(list, o)
	}
	if len(list) == 0 {
		list = append(list, object{"color": blue, "value": nil})
	}
	return object{"mode": "absolute", "steps": list}
}

// one is a number of its own colour; with several series one for each.
func one(p *panel) object {
	return object{
		"type": "stat",
		"fieldConfig": object{"defaults": object{
			"unit": p.unit, "noValue": p.none, "color": object{"mode": "thresholds"}, "thresholds": thresholds(p.steps), "mappings": []object{},
		}, "overrides": []object{}},
		"options": object{
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
			"orientation":   "auto", "textMode": "auto", "wideLayout": true, "colorMode": "background_solid", "graphMode": "none",
			"justifyMode": "auto", "showPercentChange": false, "percentChangeColorMode": "standard",
		},
	}
}

// graph is lines over time; area stacks them.
func graph(p *panel) object { return lines(p, "none", 10) }
func area(p *panel) object  { return lines(p, "normal", 60) }

func lines(p *panel, stacking string, fill int) object {
	return object{
		"type": "timeseries",
		"fieldConfig": object{"defaults": object{
			"unit": p.unit, "min": 0, "noValue": p.none, "color": object{"mode": "shades", "fixedColor": blue}, "thresholds": thresholds(nil), "mappings": []object{},
			"custom": object{
				"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 2, "fillOpacity": fill, "gradientMode": "none", "showPoints": "auto", "pointSize": 4,
				"spanNulls": false, "insertNulls": false, "barAlignment": 0, "axisPlacement": "auto", "axisLabel": "", "axisColorMode": "text", "axisBorderShow": false, "axisCenteredZero": false,
				"scaleDistribution": object{"type": "linear"}, "stacking": object{"mode": stacking, "group": "A"},
				"hideFrom": object{"legend": false, "tooltip": false, "viz": false}, "thresholdsStyle": object{"mode": "off"},
			},
		}, "overrides": overrides(p.queries)},
		"options": object{
			"legend":  object{"displayMode": "table", "placement": "right", "showLegend": true, "calcs": []string{"max", "lastNotNull"}},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
	}
}

// table shows the panel's columns, and no other.
func table(p *panel) object {
	names, order, hidden := object{}, object{}, object{"Time": true}
	special := []object{}
	for i, c := range p.columns {
		names[c.field], order[c.field] = c.title, i
		if c.unit != "" {
			special = append(special, object{"matcher": object{"id": "byName", "options": c.title}, "properties": []object{{"id": "unit", "value": c.unit}}})
		}
	}
	for _, value := range []string{"Value", "Value #A"} {
		if _, shown := names[value]; !shown {
			hidden[value] = true
		}
	}
	changes := []object{}
	if len(p.queries) > 1 {
		changes = append(changes, object{"id": "merge", "options": object{}})
	}
	changes = append(changes, object{"id": "organize", "options": object{"excludeByName": hidden, "indexByName": order, "renameByName": names, "includeByName": object{}}})
	return grid(p, changes, special)
}

// matrix has a row for each token_environment, a column for each server_environment, and the value where they meet.
func matrix(p *panel) object {
	return grid(p, []object{{"id": "groupingToMatrix", "options": object{
		"rowField": "token_environment", "columnField": "server_environment", "valueField": "Value", "emptyValue": "null",
	}}}, []object{{
		"matcher":    object{"id": "byType", "options": "number"},
		"properties": []object{{"id": "custom.cellOptions", "value": object{"type": "color-background", "mode": "basic", "applyToRow": false}}},
	}})
}

func grid(p *panel, changes, special []object) object {
	return object{
		"type": "table", "transformations": changes,
		"fieldConfig": object{"defaults": object{
			"unit": p.unit, "noValue": p.none, "color": object{"mode": "thresholds"}, "thresholds": thresholds(p.steps), "mappings": []object{},
			"custom": object{"align": "auto", "inspect": false, "filterable": false, "cellOptions": object{"type": "auto"}},
		}, "overrides": append([]object{{ // what p.none says of the whole table is not true of a cell
			"matcher": object{"id": "byRegexp", "options": "/.*/"}, "properties": []object{{"id": "noValue", "value": "–"}},
		}}, special...)},
		"options": object{"showHeader": true, "cellHeight": "sm", "footer": object{"show": false, "reducer": []string{"sum"}, "fields": "", "countRows": false, "enablePagination": false}},
	}
}
