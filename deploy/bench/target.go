package main

import (
	"fmt"
	"slices"
)

// target is a figure that envgate must reach.
type target struct {
	what     string
	most     float64
	unit     string // "×" or a unit
	measured float64
}

// targets compares what was measured with what is promised; rows of what was not measured are left out.
func (r report) targets() [][]string {
	rows := [][]string{{"what", "at most", "measured", ""}}
	for _, t := range r.goals() {
		verdict := "reached"
		if t.measured > t.most {
			verdict = "**missed**"
		}
		rows = append(rows, []string{t.what, digits(t.most) + " " + t.unit, digits(t.measured) + " " + t.unit, verdict})
	}
	if len(rows) == 1 {
		return nil
	}
	return rows
}

func (r report) goals() (list []target) {
	// over is one scenario's CPU of envgate over that of another peer, or of another scenario.
	over := func(what string, most float64, scenario, under, peer string) {
		own, other := r.results[scenario]["envgate"], r.results[under][peer]
		if len(own) > 0 && len(other) > 0 {
			list = append(list, target{what, most, "×", ratio(own, other, cpu)})
		}
	}
	for _, bare := range []string{"bare", "bare, pooled"} {
		over("CPU, token seen before, 32 connections, of "+bare, 0.90, "seen-32", "seen-32", bare)
		over("CPU, every token new, 32 connections, of "+bare, 1.20, "new-32", "new-32", bare)
	}
	over("CPU, token seen before, of Envoy", 0.60, "seen-32", "seen-32", "Envoy")
	over("CPU, token seen before, of Envoy with its cache of tokens", 0.60, "seen-32", "seen-32", "Envoy, caching")
	over("CPU, token seen before, of HAProxy", 1.5, "seen-32", "seen-32", "HAProxy")
	for _, n := range []string{"32", "512"} {
		over("CPU, forged token refused, of an accepted one, "+n+" connections", 0.5, "forged-"+n, "seen-"+n, "envgate")
		over("CPU, no token refused, of an accepted one, "+n+" connections", 0.5, "none-"+n, "seen-"+n, "envgate")
	}
	if len(r.shipped.idle) > 0 {
		list = append(list, target{"resident memory, idle", 14, "MB", median(r.shipped.idle)})
	}
	for _, n := range []string{"32", "512"} {
		own := slices.DeleteFunc(slices.Clone(r.results["new-"+n]["envgate"]), func(s sample) bool { return s.requests < distinct })
		if len(own) > 0 { // a machine that was too busy sent fewer
			list = append(list, target{fmt.Sprintf("resident memory after more than %d distinct tokens at full load, %s connections", distinct, n), 40, "MB", of(own, loadedMemory)})
		}
	}
	for _, k := range kinds {
		if own := r.streams.samples[k.name]["envgate"]; len(own) > 0 {
			list = append(list, target{fmt.Sprintf("memory of each of %d idle %s, of bare", r.streams.counts[k.name], k.title), 1.2, "×", ratio(own, r.streams.samples[k.name]["bare"], func(s streamSample) float64 { return s.pss })})
		}
	}
	if len(r.shipped.ready) > 0 {
		list = append(list, target{"binary, stripped", 24, "MB", float64(r.shipped.binary) / 1e6}, target{"start to ready", 50, "ms", median(r.shipped.ready)})
	}
	return list
}
