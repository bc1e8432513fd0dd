package demo

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"envgate/authz"
)

// shownMetrics are those whose movement the demo prints.
var shownMetrics = []string{
	"envgate_decisions_total", "envgate_cross_environment_tokens_total", "envgate_credentials_removed_total",
	"envgate_tokens_without_environment_total", "envgate_configuration_warnings",
}

// series reads the shown metrics from a sidecar's /metrics.
func series(ctx context.Context, s *sidecar) (map[string]float64, error) {
	text, err := fetch(ctx, s.admin+"/metrics")
	values := map[string]float64{}
	for line := range strings.SplitSeq(text, "\n") {
		name, _, _ := strings.Cut(line, "{")
		at := strings.LastIndexByte(line, ' ')
		if !slices.Contains(shownMetrics, name) || at < 0 {
			continue
		}
		values[line[:at]], _ = strconv.ParseFloat(line[at+1:], 64)
	}
	return values, err
}

// counted words every decision and removal between two readings: one request must make exactly the expected ones.
func counted(before, after map[string]float64) string {
	text := ""
	note := func(words, series string) {
		text += strings.Repeat(words, int(after[series]-before[series]))
	}
	for _, outcome := range authz.Outcomes {
		for _, reason := range reasons() {
			note(decisionText(outcome, reason), fmt.Sprintf(`envgate_decisions_total{decision="%s",reason="%s"}`, outcome, reason))
		}
	}
	for _, reason := range reasons() {
		note(removedText(reason), fmt.Sprintf(`envgate_credentials_removed_total{reason="%s"}`, reason))
	}
	if text == "" {
		return "nothing was counted"
	}
	return text
}

func decisionText(outcome authz.Outcome, reason authz.Reason) string {
	if reason == authz.None {
		return string(outcome)
	}
	return string(outcome) + ", " + string(reason)
}

func removedText(reason authz.Reason) string { return "; removed " + string(reason) }

func reasons() []authz.Reason {
	all := []authz.Reason{authz.None}
	for _, t := range authz.Reasons {
		all = append(all, t.Reason)
	}
	return all
}

// showMetrics prints every series that moved.
func (d *demo) showMetrics(ctx context.Context) {
	for _, name := range environments {
		values, err := series(ctx, d.sidecars[name])
		d.printf("\nMetrics of %s, as Prometheus reads them; what moved:\n", name)
		if err != nil {
			d.failures++
			d.printf("  %s\n", authz.Printable(err.Error()))
		}
		heading := ""
		for _, s := range slices.Sorted(maps.Keys(values)) {
			metric, labels, _ := strings.Cut(s, "{")
			if values[s] == 0 {
				continue
			}
			if metric != heading {
				heading = metric
				d.printf("  %s\n", metric)
			}
			d.printf("    %3g  {%s\n", values[s], labels)
		}
	}
}

// searchOutputs is the last row: nothing that was logged, counted or shown holds a part of a token or the secret.
func (d *demo) searchOutputs(ctx context.Context) {
	const what, why = "no token in any log or metric", "nor the secret; all searched"
	text, err := d.outputs(ctx)
	if err != nil {
		d.row(false, what, "both", "", "could not be searched", why)
		d.printf("    %s\n", authz.Printable(err.Error()))
		return
	}
	if leaks(text, append(slices.Collect(maps.Values(d.tokens)), d.secret)) {
		d.row(false, what, "both", "", "a part of one was found", why)
		return
	}
	d.row(true, what, "both", "", fmt.Sprintf("%d lines hold none", strings.Count(text, "\n")), why)
}

// outputs is all that the sidecars have said: their logs, metrics and status pages.
func (d *demo) outputs(ctx context.Context) (string, error) {
	// A request is logged behind its answer, so the last lines may be still to come.
	const requestLine = `"msg":"request"`
	for deadline := time.Now().Add(2 * time.Second); strings.Count(d.logs.String(), requestLine) < d.sent; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return "", fmt.Errorf("the logs hold %d of %d requests", strings.Count(d.logs.String(), requestLine), d.sent)
		}
	}
	text := d.logs.String()
	for _, name := range environments {
		for _, page := range []string{"/metrics", "/"} {
			answer, err := fetch(ctx, d.sidecars[name].admin+page)
			if err != nil {
				return "", err
			}
			text += answer
		}
	}
	return text, nil
}

// leaks tells whether text holds a part of a secret that is long enough to be no coincidence.
func leaks(text string, secrets []string) bool {
	for _, secret := range secrets {
		for part := range strings.SplitSeq(secret, ".") {
			if len(part) > 8 && strings.Contains(text, part) {
				return true
			}
		}
	}
	return false
}

// buffer collects the sidecars' logs.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
