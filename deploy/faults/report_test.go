//go:build faults

package faults

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const page = "../../docs/reliability.md"

// publish logs a table, and with -update writes it into the page.
func publish(t *testing.T, name, table string) {
	t.Helper()
	t.Logf("\n%s", table)
	if !*update {
		return
	}
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	part := regexp.MustCompile(`(?s)<!-- measured: ` + name + ` -->\n.*?<!-- end measured -->`)
	if !part.Match(old) {
		t.Fatalf("%s has no part %q", page, name)
	}
	now := part.ReplaceAllLiteral(old, []byte("<!-- measured: "+name+" -->\n"+table+"<!-- end measured -->"))
	if err := os.WriteFile(page, now, 0o644); err != nil {
		t.Fatal(err)
	}
}

// report says how a soak went.
func (s *soaked) report(lasted time.Duration, before, after levels, first map[string]float64) {
	counts := s.p.Counts()
	sum := func(prefix string) (n float64) {
		for series, value := range counts {
			if strings.HasPrefix(series, prefix) {
				n += value - first[series]
			}
		}
		return n
	}
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | "+format+" |\n", append([]any{what}, args...)...)
	}
	b.WriteString("| | |\n|---|---|\n")
	row("lasted", "%v", lasted)
	row("requests", "%d, %.0f a second", s.load.count.Load(), float64(s.load.count.Load())/lasted.Seconds())
	for _, decision := range []string{"accepted", "public", "refused"} {
		row("of all decisions, "+decision, "%.0f", sum(`envgate_decisions_total{decision="`+decision+`"`))
	}
	streams := 0
	for _, n := range s.streams {
		streams += n
	}
	row("streams opened and ended", "%d, with %d events and messages", streams, s.events.Load())
	for _, what := range slices.Sorted(maps.Keys(s.did)) {
		row(what, "%d", s.did[what])
	}
	for _, what := range slices.Sorted(maps.Keys(s.streams)) {
		when := ""
		if !strings.HasSuffix(what, endedByUs) && !strings.HasSuffix(what, " for no reason") {
			when = ", while the gateway was broken"
		}
		row("streams: "+what+when, "%d", s.streams[what])
	}
	row("upstream errors counted", "%.0f", sum("envgate_upstream_errors_total"))
	row("reloads counted", "%.0f in force, %.0f refused", sum(`envgate_reloads_total{result="success"`), sum(`envgate_reloads_total{result="failure"`))
	row("the middle, 99 % and longest time of an answer", "%v, %v, %v", s.load.quantile(0.5), s.load.quantile(0.99), s.load.quantile(1))
	row("goroutines, before and after", "%.0f, %.0f", before.goroutines, after.goroutines)
	row("open files, before and after", "%.0f, %.0f", before.files, after.files)
	row("memory, before and after", "%.1f MB, %.1f MB", before.memory, after.memory)
	losses := s.load.losses()
	if losses == "" {
		losses = "none"
	}
	row("lost or decided wrongly while the gateway was well", "%s", losses)
	row("all answers", "%s", s.load.seen())
	publish(s.t, "soak", b.String())
}
