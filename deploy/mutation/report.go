package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// readSurvivors reads blocks of mutants, one a line, below a line with the reason why they decide the same.
func readSurvivors(text string) (map[string]string, error) {
	known, reason := map[string]string{}, ""
	for line := range strings.Lines(text) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "# "):
			reason = line[2:]
		case line != "" && reason == "":
			return nil, fmt.Errorf("survivors.txt: %q: no reason above it", line)
		case line != "":
			known[line] = reason
		}
	}
	return known, nil
}

var errSurvivors = errors.New("mutants survived that survivors.txt gives no reason for, or it names some that don't survive")

// report prints what survived, and what should have.
func report(w io.Writer, mutants, alive []*mutant, known map[string]string) error {
	perFile := map[string][2]int{}
	for _, m := range mutants {
		n := perFile[m.file]
		n[0]++
		perFile[m.file] = n
	}
	var out bytes.Buffer
	unexplained := 0
	seen := map[string]bool{}
	for _, m := range alive {
		n := perFile[m.file]
		n[1]++
		perFile[m.file] = n
		seen[m.String()] = true
		if known[m.String()] == "" {
			unexplained++
			fmt.Fprintf(&out, "SURVIVED %s%s\n", m, map[bool]string{true: "", false: " (never reached)"}[m.reached])
		}
	}
	for _, m := range mutants {
		if !slices.Contains(alive, m) && (m.by == "" || strings.HasPrefix(m.by, timedOut)) {
			fmt.Fprintf(&out, "NOTICED by no test, but by its end %q: %s\n", m.by, m)
		}
	}
	files := slices.Sorted(maps.Keys(perFile))
	stale := 0
	for _, text := range slices.Sorted(maps.Keys(known)) {
		if file, _, _ := strings.Cut(text, ":"); !seen[text] && slices.Contains(files, file) {
			stale++
			fmt.Fprintf(&out, "NOTICED, though survivors.txt names it: %s\n", text)
		}
	}
	fmt.Fprintln(&out, "| file | mutants | noticed | survive, with a reason |\n|---|---|---|---|")
	for _, name := range files {
		n := perFile[name]
		fmt.Fprintf(&out, "| %s | %d | %d | %d |\n", name, n[0], n[0]-n[1], n[1])
	}
	fmt.Fprintf(&out, "| all | %d | %d | %d |\n", len(mutants), len(mutants)-len(alive), len(alive))
	if _, err := w.Write(out.Bytes()); err != nil {
		return err
	}
	if unexplained+stale > 0 {
		return errSurvivors
	}
	return nil
}
