package grafana

import "strings"

// choice is a variable whose values come from a label. Where all may be chosen, all is .*, which also matches series
// without the label: a Prometheus of one cluster mostly has no label cluster.
func choice(name, label, description, query string, all bool) object {
	o := object{
		"type": "query", "name": name, "label": label, "description": description, "datasource": source,
		"definition": query, "query": object{"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
		"refresh": 2, "sort": 1, "multi": all, "includeAll": all, "hide": 0, "regex": "", "skipUrlSync": false, "options": []object{}, "current": object{"text": "", "value": ""},
	}
	if all {
		o["allValue"], o["current"] = ".*", object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}}
	}
	return o
}

var datasource = object{
	"type": "datasource", "name": "datasource", "label": "Data source", "description": "The Prometheus that scrapes the sidecars.", "query": "prometheus",
	"refresh": 1, "multi": false, "includeAll": false, "hide": 0, "regex": "", "skipUrlSync": false, "options": []object{}, "current": object{"text": "default", "value": "default"},
}

// variables are the same in both dashboards; in that of one sidecar only one namespace and one pod can be chosen.
func variables(many bool) []object {
	in := `cluster=~"$cluster", namespace=~"$namespace"`
	return []object{
		datasource,
		choice("cluster", "Cluster", "The label cluster, where series have one.", `label_values(envgate_config_info, cluster)`, true),
		choice("namespace", "Namespace", "Where gateways run.", `label_values(envgate_config_info{cluster=~"$cluster"}, namespace)`, many),
		choice("environment", "Environment", "What the sidecars guard (ENVGATE_ENVIRONMENT).", `label_values(envgate_config_info{`+in+`}, server_environment)`, true),
		choice("pod", "Pod", "Gateways with a sidecar, of the chosen environments.", `label_values(envgate_config_info{`+in+`, server_environment=~"$environment"}, pod)`, many),
	}
}

// annotations mark restarts: a counter that starts anew, and whatever was wrong just before.
func annotations(expr string) []object {
	return []object{
		{
			"builtIn": 1, "type": "dashboard", "name": "Annotations & Alerts", "datasource": object{"type": "grafana", "uid": "-- Grafana --"},
			"enable": true, "hide": true, "iconColor": sky,
		},
		{
			"name": "Restarts", "datasource": source, "enable": true, "hide": false, "iconColor": purple,
			"expr": expr, "titleFormat": "a sidecar restarted", "textFormat": "{{namespace}}/{{pod}}", "tagKeys": "namespace,pod",
		},
		{
			"name": "Reloads", "datasource": source, "enable": true, "hide": false, "iconColor": green,
			"expr":        strings.Replace(expr, "process_start_time_seconds", "envgate_last_reload_success_timestamp_seconds", 1),
			"titleFormat": "a sidecar read its files anew", "textFormat": "{{namespace}}/{{pod}}", "tagKeys": "namespace,pod",
		},
	}
}
