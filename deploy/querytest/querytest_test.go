package querytest

import (
	"strings"
	"testing"
)

func TestNamesAreFoundInQueries(t *testing.T) {
	for _, row := range []struct{ query, metrics, labels string }{
		{`up`, "up", ""},
		{`sum by (a, b) (rate(x_total{c="d{e}", f!~"g"}[5m] offset 1d))`, "x_total", "a b c f"},
		{`a:b:rate5m > 14.4 * 0.001 and on (n) y == bool 1e3`, "a:b:rate5m y", "n"},
		{`x * on (i) group_left (env) max by (i, env) (z{p=~"$pod"}) unless on() vector(0)`, "x z", "env i p"},
		{`time() - min_over_time(q[30d:1h]) or 0 * count(up)`, "q up", ""},
		{`increase(x_total[$__range]) / ignoring (k) increase(y_total[$__rate_interval])`, "x_total y_total", "k"},
	} {
		if got := strings.Join(Metrics(row.query), " "); got != row.metrics {
			t.Errorf("%s: metrics %q, want %q", row.query, got, row.metrics)
		}
		if got := strings.Join(Labels(row.query), " "); got != row.labels {
			t.Errorf("%s: labels %q, want %q", row.query, got, row.labels)
		}
	}
}

func TestWhatDoesNotExistIsAProblem(t *testing.T) {
	recorded := map[string][]string{"a:b": {"reason"}}
	for _, row := range []struct {
		query, further string
		problems       int
	}{
		{`sum by (decision) (envgate_decisions_total{reason="none", pod="p"})`, "decision", 0},
		{`a:b{reason="none"}`, "", 0},
		{`histogram_quantile(0.5, sum by (le) (rate(envgate_overhead_seconds_bucket[5m])))`, "", 0},
		{`go_goroutines + process_open_fds`, "", 0},
		{`envgate_decision_total`, "", 1},
		{`a:c`, "", 1},
		{`envgate_overhead_seconds`, "", 1},
		{`envgate_decisions_total{kind="sse"}`, "", 1},
		{`sum by (kind) (envgate_decisions_total)`, "version", 2},
		{`vector(1)`, "", 1},
	} {
		if got := Problems(row.query, strings.Fields(row.further), recorded); len(got) != row.problems {
			t.Errorf("%s: %q, want %d", row.query, got, row.problems)
		}
	}
}
