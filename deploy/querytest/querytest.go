// Package querytest tells tests which metrics and labels a PromQL query names, and whether anything has them. It reads
// queries by their words, not by their grammar: that they parse is for a real Prometheus to say.
package querytest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	quoted   = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	braces   = regexp.MustCompile(`\{[^}]*\}`)
	window   = regexp.MustCompile(`\[[^\]]*\]`)
	list     = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	word     = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
	number   = regexp.MustCompile(`\b[0-9][0-9a-zA-Z.]*`)
	matched  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)`)
	keywords = []string{"and", "or", "unless", "bool", "offset", "group_left", "group_right", "by", "without", "on", "ignoring"}
)

// Metrics returns the names of the metrics in a query, sorted and each once.
func Metrics(query string) []string {
	text := quoted.ReplaceAllString(query, "")
	for _, part := range []*regexp.Regexp{braces, window, list, number} {
		text = part.ReplaceAllString(text, " ")
	}
	var names []string
	for _, name := range word.FindAllString(text, -1) {
		if !strings.HasSuffix(name, "(") && !slices.Contains(keywords, strings.TrimSpace(name)) {
			names = append(names, strings.TrimSpace(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Labels returns the names of the labels that a query matches or groups by, sorted and each once.
func Labels(query string) (names []string) {
	text := quoted.ReplaceAllString(query, "")
	for _, part := range braces.FindAllString(text, -1) {
		for _, m := range matched.FindAllStringSubmatch(part, -1) {
			names = append(names, m[1])
		}
	}
	for _, m := range list.FindAllStringSubmatch(text, -1) {
		for name := range strings.SplitSeq(m[2], ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Problems says which metrics of a query don't exist, and which labels none of its metrics has. further are labels that
// are used elsewhere: in a legend, or in the words of an alert. recorded are the labels of recording rules by name.
func Problems(query string, further []string, recorded map[string][]string) (problems []string) {
	known, allowed := Known(), slices.Clone(TargetLabels)
	names := Metrics(query)
	if len(names) == 0 {
		problems = append(problems, fmt.Sprintf("%q asks for no metric", query))
	}
	for _, name := range names {
		labels, exists := known[name]
		if !exists {
			labels, exists = recorded[name]
		}
		if !exists {
			problems = append(problems, "there is no metric "+name)
		}
		allowed = append(allowed, labels...)
	}
	for _, label := range append(Labels(query), further...) {
		if !slices.Contains(allowed, label) {
			problems = append(problems, fmt.Sprintf("%q uses the label %s, which none of its metrics has", query, label))
		}
	}
	return problems
}
