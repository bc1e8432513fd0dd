package main

import (
	"slices"
	"time"
)

// median of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// of is the median of a figure over samples.
func of[T any](samples []T, figure func(T) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = figure(s)
	}
	return median(values)
}

// ratio is the median of the ratios run by run: what disturbed the machine in one run disturbed both alike.
func ratio[T any](over, under []T, figure func(T) float64) float64 {
	values := make([]float64, min(len(over), len(under)))
	for i := range values {
		values[i] = figure(over[i]) / figure(under[i])
	}
	return median(values)
}

// The figures of a sample.
func cpu(s sample) float64          { return s.cpu }
func rate(s sample) float64         { return s.rate }
func p50(s sample) float64          { return milliseconds(s.p50) }
func p99(s sample) float64          { return milliseconds(s.p99) }
func idleMemory(s sample) float64   { return megabytes(s.idle.rss) }
func loadedMemory(s sample) float64 { return megabytes(s.loaded.rss) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// megabytes are of 1000 × 1000 bytes, the kernel's kB of 1024.
func megabytes(kB int64) float64 { return float64(kB) * 1024 / 1e6 }
