package grafana

// sidecar shows one sidecar: that of the chosen pod.
func sidecar() dashboard {
	none := []step{{0, blue}, {1, vermillion}}
	return dashboard{
		uid: "envgate-sidecar", title: "envgate: one sidecar",
		description: "One sidecar: what it decides and why, what it adds, what it uses.",
		selector:    `cluster=~"$cluster", namespace="$namespace", pod="$pod", container="envgate"`,
		variables:   variables(false),
		annotations: annotations(`changes(process_start_time_seconds{container="envgate", cluster=~"$cluster", namespace="$namespace", pod="$pod"}[2m]) > 0`),
		rows: []row{
			{"", []panel{
				{4, 4, one, "Foreign tokens at the door", "short", "Tokens with a good signature that belong to another environment, in the time shown, without removed ones. Not 0: filter the sidecar's log for reason environment, find the client by subject_hash, give the environments keys of their own.",
					[]query{{`round(sum(increase(envgate_cross_environment_tokens_total{SELECTOR, decision=~"refused|reported"}[$__range])))`, ""}}, "no sidecar", nil, none},
				{4, 4, one, "Ready", "bool_yes_no", "Whether Kubernetes sends traffic here. No: curl localhost:4446/readyz?verbose through a port-forward says which check fails; EnvgateNotReady in docs/runbook.md.",
					[]query{{`min(envgate_ready{SELECTOR})`, ""}}, "not scraped", nil, []step{{0, vermillion}, {1, blue}}},
				{4, 4, one, "Usable keys", "short", "Keys that can verify tokens now. 0: the secret or key file is missing or of another algorithm; EnvgateKeysUnavailable in docs/runbook.md.",
					[]query{{`min(envgate_keys{SELECTOR})`, ""}}, "not scraped", nil, []step{{0, vermillion}, {1, blue}}},
				{4, 4, one, "Configuration warnings", "short", "Checks that fail; the table below names them. Not 0: set what the sidecar's log at start, or its status page, says.",
					[]query{{`sum(envgate_configuration_warnings{SELECTOR})`, ""}}, "not scraped", nil, []step{{0, blue}, {1, orange}}},
				{4, 4, one, "Uptime", "s", "Since the process started. Short again and again: it restarts; the last lines of kubectl logs --previous say why.",
					[]query{{`time() - max(process_start_time_seconds{SELECTOR})`, ""}}, "not scraped", nil, nil},
				{4, 4, one, "Requests in flight", "short", "Requests being served now, streams among them. Far above what is usual: the gateway is slow, or clients hold streams open.",
					[]query{{`sum(envgate_requests_in_flight{SELECTOR})`, ""}}, "not scraped", nil, nil},
				{16, 5, table, "Configuration in force", "short", "What this sidecar was started with. Not what you set: a changed ConfigMap or Secret needs a restart of the Pod.",
					[]query{{`max by (server_environment, mode, environment_rule, issuer, audience, algorithm) (envgate_config_info{SELECTOR})`, ""}}, "not scraped", []column{{"server_environment", "Environment", ""}, {"mode", "Mode", ""}, {"environment_rule", "Rule", ""}, {"issuer", "Issuer", ""}, {"audience", "Audience", ""}, {"algorithm", "Algorithm", ""}}, nil},
				{8, 5, table, "Build", "short", "Which build runs. Older than the fleet's others: restart the Pod's Deployment.",
					[]query{{`max by (version, revision, goversion) (envgate_build_info{SELECTOR})`, ""}}, "not scraped", []column{{"version", "Version", ""}, {"revision", "Revision", ""}, {"goversion", "Go", ""}}, nil},
			}},
			{"Decisions", []panel{
				{12, 8, area, "Requests by decision", "reqps", "What became of all requests. Much refused: see the reasons beside. Nothing at all: traffic doesn't come through this sidecar.",
					[]query{{`sum by (decision) (rate(envgate_decisions_total{SELECTOR}[$__rate_interval]))`, "{{decision}}"}}, "not scraped", nil, nil},
				{12, 8, graph, "Refused and reported by reason", "reqps", "Why. EnvgateRefusalSurge in docs/runbook.md says what mostly causes each; the sidecar's log names client and path.",
					[]query{{`sum by (reason) (rate(envgate_decisions_total{SELECTOR, decision=~"refused|reported"}[$__rate_interval])) > 0`, "{{reason}}"}}, "nothing refused", nil, nil},
				{12, 8, graph, "Foreign tokens over time", "short", "Empty is good. By the environment that they belong to, in steps of five minutes. Refused: kept out. Reported: let through, because the mode or the rule only reports. Removed: mostly stale cookies.",
					[]query{{`round(sum by (token_environment, decision) (increase(envgate_cross_environment_tokens_total{SELECTOR}[5m]))) > 0`, "{{token_environment}}, {{decision}}"}}, "none", nil, nil},
				{12, 8, graph, "Credentials removed by reason", "cps", "Failing credentials taken off a request that went on: browsers' stale cookies, mostly, and nothing to act on.",
					[]query{{`sum by (reason) (rate(envgate_credentials_removed_total{SELECTOR}[$__rate_interval])) > 0`, "{{reason}}"}}, "none removed", nil, nil},
				{12, 8, graph, "Tokens verified, and those without env", "cps", "Tokens whose signature verified. Without env above 0: clients that would be refused under ENVGATE_MISSING_ENVIRONMENT=deny. By the additional key: a rotation is going on; flat for the longest lifetime in use: it is over, take the key away.",
					[]query{
						{`sum(rate(envgate_tokens_verified_total{SELECTOR}[$__rate_interval]))`, "verified"},
						{`sum(rate(envgate_tokens_without_environment_total{SELECTOR}[$__rate_interval]))`, "without env"},
						{`sum(rate(envgate_tokens_verified_by_additional_key_total{SELECTOR}[$__rate_interval]))`, "by the additional key"},
					}, "not scraped", nil, nil},
				{12, 8, table, "Active configuration warnings", "short", "Checks that fail. The log at start, envgate check and the status page say what each means and what to set. Empty is good.",
					[]query{{`max by (check) (envgate_configuration_warnings{SELECTOR}) == 1`, ""}}, "none", []column{{"check", "Check", ""}}, nil},
			}},
			{"Answers and cost", []panel{
				{12, 8, graph, "Answers by source and code", "reqps", "Which side answered what. envgate 401: a refusal; upstream 401: the gateway refused what envgate let pass. envgate 502, 504: the gateway does not answer.",
					[]query{{`sum by (source, code) (rate(envgate_http_requests_total{SELECTOR}[$__rate_interval]))`, "{{source}} {{code}}"}}, "not scraped", nil, nil},
				{12, 8, graph, "Time to the response headers", "s", "From the request's arrival, by whose answer it was; 95 of 100 requests were faster. upstream slow: the gateway is. envgate slow while upstream is not: too little CPU.",
					[]query{{`histogram_quantile(0.95, sum by (le, source) (rate(envgate_http_request_duration_seconds_bucket{SELECTOR}[$__rate_interval])))`, "{{source}}"}}, "no request", nil, nil},
				{12, 8, graph, "Time that envgate adds", "s", "What envgate itself takes of a request, and what checking one token takes. Rises with load: the container's CPU limit throttles it; raise it.",
					[]query{
						{`histogram_quantile(0.5, sum by (le) (rate(envgate_overhead_seconds_bucket{SELECTOR}[$__rate_interval])))`, "median"},
						{`histogram_quantile(0.9, sum by (le) (rate(envgate_overhead_seconds_bucket{SELECTOR}[$__rate_interval])))`, "90 %"},
						{`histogram_quantile(0.99, sum by (le) (rate(envgate_overhead_seconds_bucket{SELECTOR}[$__rate_interval])))`, "99 %"},
						{`histogram_quantile(0.99, sum by (le) (rate(envgate_verification_duration_seconds_bucket{SELECTOR}[$__rate_interval])))`, "99 % of one token's check"},
					}, "no request", nil, nil},
				{12, 8, graph, "Gateway errors by kind", "reqps", "Requests that the gateway did not answer: connect (it isn't there), timeout, reset. Above 0 for long: EnvgateUpstreamErrors in docs/runbook.md. Cancelled ones are the clients' own.",
					[]query{
						{`sum by (kind) (rate(envgate_upstream_errors_total{SELECTOR}[$__rate_interval]))`, "{{kind}}"},
						{`sum(rate(envgate_client_canceled_total{SELECTOR}[$__rate_interval]))`, "canceled by the client"},
					}, "not scraped", nil, nil},
				{12, 8, graph, "Open streams", "short", "Server-sent events and WebSockets that are open now. Grows without end: clients that don't close. Falls to 0 at once: something in front cut them.",
					[]query{{`sum by (kind) (envgate_streams_open{SELECTOR})`, "{{kind}}"}}, "not scraped", nil, nil},
				{12, 8, graph, "How long streams stayed open", "s", "The median of the streams that ended in the last hour, by kind. Always the same round number: a time limit in front of the sidecar ends them.",
					[]query{{`histogram_quantile(0.5, sum by (le, kind) (rate(envgate_stream_duration_seconds_bucket{SELECTOR}[1h])))`, "{{kind}}"}}, "no stream ended", nil, nil},
			}},
			{"Keys, reloads and cache", []panel{
				{8, 7, table, "Keys by issuer", "short", "Usable keys of every issuer, and for those whose keys are fetched, how long ago that last worked. 0 keys: that issuer's tokens are refused with 503. Old: the log says why the fetches fail.",
					[]query{
						{`min by (issuer) (envgate_keys{SELECTOR})`, ""},
						{`time() - min by (issuer) (envgate_key_fetch_success_timestamp_seconds{SELECTOR})`, ""},
					}, "not scraped", []column{{"issuer", "Issuer", ""}, {"Value #A", "Usable keys", "short"}, {"Value #B", "Fetched", "s"}}, nil},
				{8, 7, graph, "Reloads by result", "short", "How often files were read anew, in steps of five minutes. failure: the former configuration stays in force; the log says what is wrong.",
					[]query{{`round(sum by (result) (increase(envgate_reloads_total{SELECTOR}[5m])))`, "{{result}}"}}, "not scraped", nil, nil},
				{8, 7, graph, "Tokens judged by memory and anew", "cps", "By memory: accepted before, and not verified again. Anew: new ones, and all that are refused. Evictions: ENVGATE_VERDICT_CACHE_BYTES is too small for the tokens in use.",
					[]query{
						{`sum(rate(envgate_verdict_cache_hits_total{SELECTOR}[$__rate_interval]))`, "by memory"},
						{`sum(rate(envgate_verdict_cache_misses_total{SELECTOR}[$__rate_interval]))`, "anew"},
						{`sum(rate(envgate_verdict_cache_evictions_total{SELECTOR}[$__rate_interval]))`, "evictions"},
					}, "not scraped", nil, nil},
			}},
			{"Revocation, streams' ends and limits", []panel{
				{8, 7, graph, "Deny-list entries", "short", "What the deny-list in force holds: jtis and subjects. Not what the file says: its last reload failed, and the log names the line.",
					[]query{{`max by (kind) (envgate_deny_list_entries{SELECTOR})`, "{{kind}}"}}, "not scraped", nil, nil},
				{8, 7, graph, "Streams ended with their token", "short", "By cause, in steps of five minutes: the token expired, or a reload or an issuer's keys would refuse it. Many at once, refused: a key or the deny-list changed; see Reloads by result.",
					[]query{{`round(sum by (cause) (increase(envgate_streams_ended_total{SELECTOR}[5m])))`, "{{cause}}"}}, "not scraped", nil, nil},
			}},
			{"Process", []panel{
				{8, 7, graph, "Memory", "bytes", "Resident memory, and Go's heap in it. Near the container's limit: raise it. The heap grows without end while traffic doesn't: keep a profile and report it.",
					[]query{{`max(process_resident_memory_bytes{SELECTOR})`, "resident"}, {`max(go_memstats_heap_inuse_bytes{SELECTOR})`, "heap"}}, "not scraped", nil, nil},
				{8, 7, graph, "CPU", "percentunit", "Of one core. At the container's limit it is throttled: raise the limit, or add replicas of the gateway.",
					[]query{{`sum(rate(process_cpu_seconds_total{SELECTOR}[$__rate_interval]))`, "cores"}}, "not scraped", nil, nil},
				{8, 7, graph, "Goroutines and open files", "short", "About two goroutines and two files for each open connection. Growing while requests in flight don't: a leak; restart it, and report it.",
					[]query{{`max(go_goroutines{SELECTOR})`, "goroutines"}, {`max(process_open_fds{SELECTOR})`, "open files"}}, "not scraped", nil, nil},
				{24, 6, graph, "Log lines left out", "cps", "At most ten lines a second for each reason are written; these were counted only. Above 0: a flood of one kind of refusal, see the reasons.",
					[]query{{`sum(rate(envgate_log_lines_suppressed_total{SELECTOR}[$__rate_interval]))`, "left out"}}, "not scraped", nil, nil},
			}},
		},
	}
}
