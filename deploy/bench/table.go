package main

import (
	"fmt"
	"strings"
)

// report is all that was measured.
type report struct {
	machine   []fact
	scenarios []scenario
	results   results
	streams   streamResults
	shipped   shipped
}

// markdown has the ratios first.
func (r report) markdown() string {
	var b strings.Builder
	if targets := r.targets(); len(targets) > 0 {
		b.WriteString("### Against the targets\n\n")
		table(&b, targets)
	}
	if len(r.scenarios) > 0 {
		b.WriteString("### CPU for each request, as a multiple of bare\n\n")
		r.byPeer(&b, func(own, bare []sample) string { return fmt.Sprintf("%.2f", ratio(own, bare, cpu)) })
		b.WriteString("### CPU for each request, in µs\n\n")
		r.byPeer(&b, func(own, _ []sample) string { return figure(own, cpu) })
		b.WriteString("### Requests per second\n\n")
		r.byPeer(&b, func(own, _ []sample) string { return figure(own, rate) })
		b.WriteString("### Time to the answer, p50 / p99, in ms\n\n")
		r.byPeer(&b, func(own, _ []sample) string { return fmt.Sprintf("%s / %s", figure(own, p50), figure(own, p99)) })
		b.WriteString("### Resident memory, idle / after the run, in MB\n\n")
		r.byPeer(&b, func(own, _ []sample) string {
			return fmt.Sprintf("%.1f / %.1f", of(own, idleMemory), of(own, loadedMemory))
		})
	}
	if len(r.streams.samples) > 0 {
		b.WriteString("### Streams\n\n")
		table(&b, r.streamRows())
	}
	b.WriteString("### Where and with what\n\n")
	rows := [][]string{{"", ""}}
	for _, f := range r.machine {
		rows = append(rows, []string{f.what, f.value})
	}
	table(&b, rows)
	return strings.TrimSuffix(b.String(), "\n")
}

// byPeer writes one row per scenario and one column per peer.
func (r report) byPeer(b *strings.Builder, cell func(own, bare []sample) string) {
	head := []string{"traffic"}
	for _, p := range peers {
		head = append(head, p.name)
	}
	rows := [][]string{head}
	for _, s := range r.scenarios {
		row := []string{s.title}
		for _, p := range peers {
			text := ""
			if own := r.results[s.name][p.name]; len(own) > 0 {
				text = cell(own, r.results[s.name]["bare"])
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	table(b, rows)
}

func (r report) streamRows() [][]string {
	rows := [][]string{{"streams", "", "bare", "envgate", "ratio"}}
	for _, k := range kinds {
		bare, envgate := r.streams.samples[k.name]["bare"], r.streams.samples[k.name]["envgate"]
		if len(bare) == 0 {
			continue
		}
		title := fmt.Sprintf("%d %s", r.streams.counts[k.name], k.title)
		for _, line := range streamFigures {
			rows = append(rows, []string{title, line.title, figure(bare, line.figure), figure(envgate, line.figure), fmt.Sprintf("%.2f", ratio(envgate, bare, line.figure))})
			title = ""
		}
	}
	return rows
}

// streamFigures are the rows of each kind of stream.
var streamFigures = []struct {
	title  string
	figure func(streamSample) float64
}{
	{"resident memory for each, kB", func(s streamSample) float64 { return s.rss }},
	{"proportional memory (PSS) for each, kB", func(s streamSample) float64 { return s.pss }},
	{"CPU to open one, µs", func(s streamSample) float64 { return s.opening }},
	{"CPU to pass on one message, µs", func(s streamSample) float64 { return s.event }},
	{fmt.Sprintf("CPU while idle, a message every %s each, %% of a core", period), func(s streamSample) float64 { return s.load }},
}

// figure is a median with three digits that count.
func figure[T any](samples []T, f func(T) float64) string { return digits(of(samples, f)) }

func digits(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// table writes rows, the first of them as the head.
func table(b *strings.Builder, rows [][]string) {
	for i, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	b.WriteString("\n")
}
