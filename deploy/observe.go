package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"envgate/authz"
)

// shownSeries are the metrics whose movement the demo prints.
var shownSeries = []string{
	"envgate_decisions_total", "envgate_cross_environment_tokens_total", "envgate_credentials_removed_total",
	"envgate_tokens_without_environment_total", "envgate_configuration_warnings",
}

// series reads the series of the given metrics from a sidecar's /metrics.
func series(s *sidecar, names ...string) map[string]float64 {
	text, _ := fetch(s.admin + "/metrics")
	values := map[string]float64{}
	for line := range strings.SplitSeq(text, "\n") {
		name, _, _ := strings.Cut(line, "{")
		at := strings.LastIndexByte(line, ' ')
		if !slices.Contains(names, name) || at < 0 {
			continue
		}
		values[line[:at]], _ = strconv.ParseFloat(line[at+1:], 64)
	}
	return values
}

func decisions(s *sidecar) map[string]float64 { return series(s, "envgate_decisions_total") }

// moved tells which decision was counted last between two readings, and whether it is the expected one.
func moved(before, after map[string]float64, outcome authz.Outcome, reason authz.Reason) (string, bool) {
	expected := fmt.Sprintf(`envgate_decisions_total{decision="%s",reason="%s"}`, outcome, reason)
	text := string(outcome)
	if reason != authz.None {
		text += ", " + string(reason)
	}
	if after[expected] > before[expected] {
		return text, true
	}
	for name, v := range after {
		if v > before[name] {
			return strings.TrimPrefix(name, "envgate_decisions_total"), false
		}
	}
	return "nothing was counted", false
}

// metrics prints every series that moved.
func (d *demo) metrics() {
	for _, name := range environments {
		values := series(d.sidecars[name], shownSeries...)
		d.printf("\nWhat Prometheus sees of %s:\n", name)
		names := make([]string, 0, len(values))
		for n, v := range values {
			if v > 0 {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		for _, n := range names {
			d.printf("  %s %g\n", n, values[n])
		}
	}
}

// stay prints how to go on by hand, and waits for a signal. The tokens are in files, to stay out of the shell history.
func (d *demo) stay() error {
	dir, err := os.MkdirTemp("", "envgate-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d.printf("\nStill running; end it with Ctrl-C. Try:\n")
	for _, name := range environments {
		file := filepath.Join(dir, name+".jwt")
		if err := os.WriteFile(file, []byte(d.tokens[name]+"\n"), 0o600); err != nil {
			return err
		}
		for _, to := range environments {
			d.printf("  curl -i -H \"Authorization: Bearer $(cat %s)\" %s/tools   # a %s token at %s\n", file, d.sidecars[to].traffic, name, to)
		}
	}
	d.printf("  curl -i %s/tools                      # no token\n", d.sidecars["production"].traffic)
	for _, name := range environments {
		d.printf("  curl -s %s/metrics | grep ^envgate    # metrics of %s; its status page is %s/\n", d.sidecars[name].admin, name, d.sidecars[name].admin)
	}
	<-d.Stop
	return nil
}
