package grafana

// fleet shows every environment and pod. OF_THEM keeps the series of sidecars of the chosen environments: only
// envgate_config_info knows a sidecar's environment, as no other metric repeats it.
func fleet() dashboard {
	const chosen = `envgate_config_info{cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod", server_environment=~"$environment"}`
	const join = ` * on (cluster, namespace, pod, instance) group_left (server_environment) max by (cluster, namespace, pod, instance, server_environment) `
	const named = join + `(` + chosen + `)`
	// Over a longer time pods that are gone count, too.
	const namedInRange, namedInMonth = join + `(last_over_time(` + chosen + `[$__range]))`, join + `(last_over_time(` + chosen + `[30d]))`
	const ofThemInRange = ` and on (cluster, namespace, pod, instance) last_over_time(` + chosen + `[$__range])`
	const unbound = `round(sum by (server_environment) (increase(envgate_tokens_without_environment_total{SELECTOR}[30d])` + namedInMonth + `))`
	const expiry = `max by (server_environment) (max_over_time(envgate_token_without_environment_last_expiry_timestamp_seconds{SELECTOR}[30d])` + namedInMonth + `)`
	const forever = `(max by (server_environment) (envgate_configuration_warnings{SELECTOR, check="expiry_optional"}` + named + `) == 1)`
	const gateways = `(max by (cluster, namespace, pod) (kube_pod_container_info{cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod", image_spec=~".*/mcp-context-forge.*"})` +
		` and on (cluster, namespace, pod) (kube_pod_status_phase{phase="Running"} == 1))`
	const alone = gateways + ` unless on (cluster, namespace, pod) (kube_pod_container_info{container="envgate"} or kube_pod_init_container_info{container="envgate"})`
	const theirs = `envgate_cross_environment_tokens_total{SELECTOR, server_environment=~"$environment"`
	none := []step{{0, blue}, {1, vermillion}}
	few := []step{{0, blue}, {1, orange}}
	return dashboard{
		uid: "envgate-fleet", title: "envgate: fleet",
		description: "Every environment and pod with an envgate sidecar: whose tokens come to whose door, what is refused, what is set badly, what it costs.",
		selector:    `cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod"`,
		environment: `and on (cluster, namespace, pod, instance) ` + chosen,
		variables:   variables(true),
		annotations: annotations(`changes(process_start_time_seconds{container="envgate", cluster=~"$cluster", namespace=~"$namespace", pod=~"$pod"}[2m]) > 0`),
		rows: []row{
			{"", []panel{
				{4, 4, one, "Foreign tokens at the door", "short", "Tokens with a good signature that belong to another environment, in the time shown; removed ones (mostly stale cookies) are not counted. Not 0: the matrix below says from where to where, the sidecar's log who. Give the environments keys of their own.",
					[]query{{`round(sum(increase(` + theirs + `, decision=~"refused|reported"}[$__range])))`, ""}}, "no sidecar", nil, none},
				{4, 4, one, "Foreign tokens let through", "short", "Those of them that reached the gateway, because the mode or the environment rule only reports. Not 0: another environment's tokens work here now. Set ENVGATE_MODE=enforce as soon as their clients are known.",
					[]query{{`round(sum(increase(` + theirs + `, decision="reported"}[$__range])))`, ""}}, "no sidecar", nil, none},
				{4, 4, one, "Sidecars down or not ready", "short", "Sidecars that Prometheus can't reach, or that say that they are not ready. Not 0: the table of sidecars below says which; see EnvgateDown and EnvgateNotReady in docs/runbook.md.",
					[]query{{`count(up{SELECTOR, container="envgate"} and on (cluster, namespace, pod, instance) last_over_time(` + chosen + `[$__range])) - (sum(envgate_ready{SELECTOR} OF_THEM) or vector(0))`, ""}}, "no sidecar", nil, none},
				{4, 4, one, "Gateways without a sidecar", "short", "Running Pods with a gateway's image and no container called envgate, as kube-state-metrics sees them. Not 0: the table below names them; label their namespace and restart them. The choice of environments doesn't narrow this.",
					[]query{{`count(` + alone + `) or 0 * count(` + gateways + `)`, ""}}, "no kube-state-metrics", nil, none},
				{4, 4, one, "Configuration warnings", "short", "Checks that fail, counted once for each namespace. Not 0: the table below says which; envgate check and the status page say what to set.",
					[]query{{`count(max by (cluster, namespace, check) (envgate_configuration_warnings{SELECTOR} OF_THEM) == 1) or 0 * count(` + chosen + `)`, ""}}, "no sidecar", nil, few},
				{4, 4, one, "Errors of envgate's own", "percentunit", "Share of the requests that envgate answered with 5xx: the gateway did not answer, or no key was usable. Above 0.1 % for long: see EnvgateErrorBudgetBurn in docs/runbook.md.",
					[]query{{`(sum(increase(envgate_http_requests_total{SELECTOR, source="envgate", code=~"5.."}[$__range])` + ofThemInRange + `) or vector(0)) / sum(increase(envgate_http_requests_total{SELECTOR}[$__range])` + ofThemInRange + `)`, ""}}, "no request", nil, []step{{0, blue}, {0.001, orange}, {0.01, vermillion}}},
			}},
			{"Tokens of other environments", []panel{
				{10, 8, matrix, "Token's environment to sidecar's environment", "short", "Rows: whose tokens they are. Columns: at whose door. In the time shown, without removed ones. A cell above 0 is a pair of environments that share a key: find the client in the sidecar's log by subject_hash, then separate the keys (docs/securing.md). Other: a name that ENVGATE_KNOWN_ENVIRONMENTS does not list.",
					[]query{{`round(sum by (token_environment, server_environment) (increase(` + theirs + `, decision=~"refused|reported"}[$__range])))`, ""}}, "no sidecar", nil, none},
				{14, 8, graph, "Foreign tokens over time", "short", "Empty is good. The same pairs in steps of five minutes, with what became of them. Refused: kept out. Reported: let through. Removed: taken off a request that went on, mostly stale cookies. A step up that stays: somebody rolled out a client with another environment's token.",
					[]query{{`round(sum by (token_environment, server_environment, decision) (increase(` + theirs + `}[5m]))) > 0`, "{{token_environment}} to {{server_environment}}, {{decision}}"}}, "none", nil, nil},
			}},
			{"Decisions", []panel{
				{12, 8, area, "Requests by decision", "reqps", "What became of all requests. Much refused: see the reasons beside. Reported: enforcing would refuse it. Nothing at all: traffic doesn't come through the sidecars.",
					[]query{{`sum by (decision) (rate(envgate_decisions_total{SELECTOR}[$__rate_interval]) OF_THEM)`, "{{decision}}"}}, "no sidecar", nil, nil},
				{12, 8, graph, "Refused and reported by reason", "reqps", "Why. signature: another key, or a forgery; environment: another environment's token; expired: a client that does not renew. A surge of one reason: the table in docs/runbook.md, EnvgateRefusalSurge, says what mostly causes it.",
					[]query{{`sum by (reason) (rate(envgate_decisions_total{SELECTOR, decision=~"refused|reported"}[$__rate_interval]) OF_THEM) > 0`, "{{reason}}"}}, "nothing refused", nil, nil},
				{12, 7, table, "What enforcing would refuse", "short", "Requests that went on although their credential fails, in the time shown. Rows other than no_token and expired (which a gateway refuses by itself) are clients to correct before ENVGATE_MODE=enforce. Empty is good.",
					[]query{{`round(sum by (server_environment, namespace, reason) (increase(envgate_decisions_total{SELECTOR, decision="reported"}[$__range])` + namedInRange + `)) > 0`, ""}}, "nothing", []column{{"server_environment", "Environment", ""}, {"namespace", "Namespace", ""}, {"reason", "Reason", ""}, {"Value", "Requests", "short"}}, nil},
				{12, 7, graph, "Credentials removed by reason", "cps", "Failing credentials that were taken off a request that went on: stale cookies of browsers, mostly, and nothing to act on. A step up after a change of keys or names is browsers that have not logged in anew.",
					[]query{{`sum by (reason) (rate(envgate_credentials_removed_total{SELECTOR}[$__rate_interval]) OF_THEM) > 0`, "{{reason}}"}}, "none removed", nil, nil},
			}},
			{"Tokens without env", []panel{
				{10, 8, graph, "Share of tokens without env", "percentunit", "Of the tokens whose signature verified, those that carry no env claim and so belong to every environment. It must reach 0 before ENVGATE_MISSING_ENVIRONMENT=deny; let the gateway write env (EMBED_ENVIRONMENT_IN_TOKENS=true), and wait for old tokens to expire.",
					[]query{{`sum by (server_environment) (rate(envgate_tokens_without_environment_total{SELECTOR}[$__rate_interval])` + named + `) / (sum by (server_environment) (rate(envgate_tokens_verified_total{SELECTOR}[$__rate_interval])` + named + `) > 0)`, "{{server_environment}}"}}, "no token", nil, nil},
				{14, 8, table, "Would deny be safe?", "short", "Looks safe where no token without env was used in 30 days, or where the last one has expired (a negative time) and none may lack exp. Believe it only if the sidecars were watched for longer than your tokens live. No: let the gateway write env, and wait. A token that was not used in that time is refused when it wakes.",
					[]query{
						{`round(sum by (server_environment) (increase(envgate_tokens_verified_total{SELECTOR}[30d])` + namedInMonth + `))`, ""},
						{unbound, ""},
						{expiry + ` - time()`, ""},
						{`clamp_max((` + unbound + ` == bool 0) + ((` + expiry + ` < bool time() unless on (server_environment) ` + forever + `) or 0 * ` + unbound + `), 1)`, ""},
						{`max by (server_environment) (count_over_time(envgate_config_info{SELECTOR, server_environment=~"$environment"}[30d:1h])) * 3600`, ""},
					}, "no sidecar", []column{{"server_environment", "Environment", ""}, {"Value #A", "Tokens verified", "short"}, {"Value #B", "without env", "short"}, {"Value #C", "the last of them expires in", "s"}, {"Value #E", "Watched for", "s"}, {"Value #D", "deny looks safe", "bool_yes_no"}}, nil},
			}},
			{"Configuration", []panel{
				{12, 8, table, "Active configuration warnings", "short", "Which check fails where, in how many pods. The sidecar's log at start, envgate check and the status page say what it means and what to set; docs/configuration.md lists all. Empty is good.",
					[]query{{`sum by (server_environment, namespace, check) ((envgate_configuration_warnings{SELECTOR} == 1)` + named + `)`, ""}}, "none", []column{{"server_environment", "Environment", ""}, {"namespace", "Namespace", ""}, {"check", "Check", ""}, {"Value", "Pods", "short"}}, nil},
				{12, 8, table, "Environments that share issuer and audience", "short", "Two environments with the same JWT_ISSUER and JWT_AUDIENCE: with a shared key nothing but env tells their tokens apart. Give each names, and a key, of its own (docs/securing.md). Empty is good.",
					[]query{{`count by (issuer, audience) (count by (server_environment, issuer, audience) (` + chosen + `)) > 1`, ""}}, "none", []column{{"issuer", "Issuer", ""}, {"audience", "Audience", ""}, {"Value", "Environments", "short"}}, nil},
				{16, 8, table, "Sidecars", "short", "Every sidecar with its settings. Ready is no, or missing because it can't be reached: see EnvgateNotReady and EnvgateDown in docs/runbook.md. Pods of one environment that differ in mode or rule: a roll-out that stopped half-way. A short uptime again and again: it restarts; look at its log's end.",
					[]query{
						{`max by (cluster, namespace, pod, server_environment, mode, environment_rule) (` + chosen + ` or (last_over_time(` + chosen + `[$__range]) and on (cluster, namespace, pod, instance) up{SELECTOR, container="envgate"} == 0))`, ""},
						{`min by (cluster, namespace, pod) (envgate_ready{SELECTOR} OF_THEM)`, ""},
						{`min by (cluster, namespace, pod) (envgate_keys{SELECTOR} OF_THEM)`, ""},
						{`time() - min by (cluster, namespace, pod) (process_start_time_seconds{SELECTOR, container="envgate"} OF_THEM)`, ""},
					}, "no sidecar", []column{{"server_environment", "Environment", ""}, {"cluster", "Cluster", ""}, {"namespace", "Namespace", ""}, {"pod", "Pod", ""}, {"mode", "Mode", ""}, {"environment_rule", "Rule", ""}, {"Value #B", "Ready", "bool_yes_no"}, {"Value #C", "Usable keys", "short"}, {"Value #D", "Uptime", "s"}}, nil},
				{8, 8, table, "Versions", "short", "How many sidecars run which build. More than one row for longer than a roll-out: restart the Deployments that are behind; the image is chosen when a Pod is created.",
					[]query{{`count by (version, revision, goversion) (envgate_build_info{SELECTOR} OF_THEM)`, ""}}, "no sidecar", []column{{"version", "Version", ""}, {"revision", "Revision", ""}, {"goversion", "Go", ""}, {"Value", "Sidecars", "short"}}, nil},
				{12, 7, table, "Gateway pods without a sidecar", "short", "Running Pods with a gateway's image and no container called envgate (kube-state-metrics). They take the tokens of every environment that shares their key. Label the namespace, restart them: EnvgateGatewayWithoutSidecar in docs/runbook.md. Empty is good.",
					[]query{{alone, ""}}, "none", []column{{"cluster", "Cluster", ""}, {"namespace", "Namespace", ""}, {"pod", "Pod", ""}}, nil},
				{12, 7, graph, "Pods at the webhook", "short", "What the webhook decided, in steps of five minutes. denied: a gateway that no sidecar can be put before; the events of its ReplicaSet say what to set. error: keep the message. Empty without a webhook.",
					[]query{{`sum by (result) (increase(envgate_injections_total{cluster=~"$cluster"}[5m]))`, "{{result}}"}}, "no webhook", nil, nil},
			}},
			{"Keys, reloads and cache", []panel{
				{12, 8, table, "Keys by issuer", "short", "Usable keys of every issuer, and for those whose keys are fetched, how long ago that last worked. 0 keys: that issuer's tokens are refused with 503. Old: the fetches fail, and a new key of the issuer will not be known; the log's line says why. EnvgateIssuerKeysStale in docs/runbook.md.",
					[]query{
						{`min by (namespace, issuer) (envgate_keys{SELECTOR} OF_THEM)`, ""},
						{`time() - min by (namespace, issuer) (envgate_key_fetch_success_timestamp_seconds{SELECTOR} OF_THEM)`, ""},
						{`sum by (namespace, issuer) (increase(envgate_key_fetch_failures_total{SELECTOR}[1h]) OF_THEM)`, ""},
					}, "no sidecar", []column{{"namespace", "Namespace", ""}, {"issuer", "Issuer", ""}, {"Value #A", "Usable keys", "short"}, {"Value #B", "Fetched", "s"}, {"Value #C", "Failures in an hour", "short"}}, nil},
				{12, 8, table, "Configuration read", "short", "How long ago each sidecar last read its files successfully, and whether its last try was. No: the former configuration is still in force; the log says what is wrong. Pods of one namespace that differ by more than minutes: one of them doesn't see the change. EnvgateReloadFailed in docs/runbook.md.",
					[]query{
						{`time() - max by (namespace, pod) (envgate_last_reload_success_timestamp_seconds{SELECTOR} OF_THEM)`, ""},
						{`min by (namespace, pod) (envgate_last_reload_successful{SELECTOR} OF_THEM)`, ""},
					}, "no sidecar", []column{{"namespace", "Namespace", ""}, {"pod", "Pod", ""}, {"Value #A", "Read", "s"}, {"Value #B", "Last try successful", "bool_yes_no"}}, nil},
				{12, 7, table, "Environments that share a key", "short", "Environments whose keys have one fingerprint: whoever holds a token, or the key, of one has it of the other. By chance two different secrets are alike once in 16 million pairs: confirm with envgate audit, then give each a key of its own. EnvgateSharedKey in docs/runbook.md. Empty is good.",
					[]query{{`count by (fingerprint) (count by (fingerprint, server_environment) (envgate_key_fingerprint{SELECTOR}` + named + `)) > 1`, ""}}, "none", []column{{"fingerprint", "Fingerprint", ""}, {"Value", "Environments", "short"}}, nil},
				{12, 7, graph, "Tokens that the gateway hands out", "cps", "What became of them, where EMBED_ENVIRONMENT_IN_TOKENS is on. embedded: they got this environment's name. unbound_request: asked for with a token without one; it ends as old tokens expire. unreadable, too_large: the log says which answer.",
					[]query{{`sum by (result) (rate(envgate_tokens_embedded_total{SELECTOR}[$__rate_interval]) OF_THEM)`, "{{result}}"}}, "no sidecar", nil, nil},
				{24, 7, graph, "Tokens judged by memory", "percentunit", "Share of the tokens that were accepted because they had been before, by namespace. Low is dear, not dangerous: many tokens are used once only, or evictions (below) show that ENVGATE_VERDICT_CACHE_BYTES is too small.",
					[]query{
						{`sum by (namespace) (rate(envgate_verdict_cache_hits_total{SELECTOR}[$__rate_interval]) OF_THEM) / sum by (namespace) (rate(envgate_verdict_cache_hits_total{SELECTOR}[$__rate_interval]) + rate(envgate_verdict_cache_misses_total{SELECTOR}[$__rate_interval]) OF_THEM)`, "{{namespace}}"},
						{`sum by (namespace) (rate(envgate_verdict_cache_evictions_total{SELECTOR}[$__rate_interval]) OF_THEM) / sum by (namespace) (rate(envgate_verdict_cache_hits_total{SELECTOR}[$__rate_interval]) + rate(envgate_verdict_cache_misses_total{SELECTOR}[$__rate_interval]) OF_THEM)`, "evictions in {{namespace}}"},
					}, "no sidecar", nil, nil},
			}},
			{"Cost and errors", []panel{
				{12, 8, graph, "Time that envgate adds", "s", "What envgate itself takes of a request, without the gateway's time. Rises with load: the CPU limit throttles it; give it more. Rises for one pod only: look at that node.",
					[]query{
						{`histogram_quantile(0.5, sum by (le) (rate(envgate_overhead_seconds_bucket{SELECTOR}[$__rate_interval]) OF_THEM))`, "median"},
						{`histogram_quantile(0.99, sum by (le) (rate(envgate_overhead_seconds_bucket{SELECTOR}[$__rate_interval]) OF_THEM))`, "99 %"},
					}, "no request", nil, nil},
				{12, 8, graph, "Gateway errors by kind", "reqps", "Requests that the gateway did not answer: connect (it isn't there), timeout, reset; clients see 502 or 504. Above 0 for long: look at the gateway, EnvgateUpstreamErrors in docs/runbook.md. Cancelled ones are the clients' own.",
					[]query{
						{`sum by (kind) (rate(envgate_upstream_errors_total{SELECTOR}[$__rate_interval]) OF_THEM)`, "{{kind}}"},
						{`sum(rate(envgate_client_canceled_total{SELECTOR}[$__rate_interval]) OF_THEM)`, "canceled by the client"},
					}, "no sidecar", nil, nil},
				{12, 8, graph, "Whose errors: answers of 4xx and 5xx by source", "reqps", "Which side said no. envgate 401: a refusal, see the reasons. upstream 401: the gateway refused what envgate let pass, as it may. envgate 5xx: the gateway is gone, or no key.",
					[]query{{`sum by (source, code) (rate(envgate_http_requests_total{SELECTOR, code=~"[45].."}[$__rate_interval]) OF_THEM)`, "{{source}} {{code}}"}}, "none", nil, nil},
				{12, 8, graph, "Open streams", "short", "Server-sent events and WebSockets that are open now. Falls to 0 at once: a roll-out, or an ingress that cut them. Grows without end: clients that don't close.",
					[]query{{`sum by (kind) (envgate_streams_open{SELECTOR} OF_THEM)`, "{{kind}}"}}, "no sidecar", nil, nil},
				{12, 8, graph, "Memory by pod", "bytes", "Resident memory of the sidecars, the ten largest. Near the limit of the container: raise it, or the kernel kills the sidecar and with it the gateway's traffic. Streams and distinct tokens cost memory.",
					[]query{{`topk(10, process_resident_memory_bytes{SELECTOR, container="envgate"} OF_THEM)`, "{{namespace}}/{{pod}}"}}, "no sidecar", nil, nil},
				{12, 8, graph, "CPU by pod", "percentunit", "Of one core, the ten busiest. At the container's limit it is throttled, and the time that envgate adds rises: raise the limit, or add replicas of the gateway.",
					[]query{{`topk(10, rate(process_cpu_seconds_total{SELECTOR, container="envgate"}[$__rate_interval]) OF_THEM)`, "{{namespace}}/{{pod}}"}}, "no sidecar", nil, nil},
			}},
		},
	}
}
