// Package docs keeps the documentation true: tables are generated from the code, names are checked both ways, and the
// command line is run as described.
package docs

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"envgate/authz"
	"envgate/metrics"
)

var update = flag.Bool("update", false, "rewrite the generated tables")

// tables are the generated parts, by the name in their marker.
var tables = map[string]func(t *testing.T) string{
	"gateway settings": func(*testing.T) string { return settingsTable(true) },
	"envgate settings": func(*testing.T) string { return settingsTable(false) },
	"reasons":          reasonsTable,
	"metrics":          metricsTable,
	"webhook metrics":  func(*testing.T) string { return seriesTable(metrics.NewWebhook(metrics.Build{}).Series()) },
	"checks":           checksTable,
	"answers":          answersTable,
	"licences":         licencesTable,
}

// cell makes text fit for a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + cell(s) + "`"
}

func settingsTable(gateway bool) string {
	var b strings.Builder
	b.WriteString("| variable | flag | default | meaning |\n|---|---|---|---|\n")
	for _, s := range authz.Settings {
		if s.Gateway != gateway {
			continue
		}
		flag := "none, a secret"
		switch {
		case s.Flag != "":
			flag = code("--" + s.Flag)
		case !s.Secret:
			flag = "none"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(s.Name), flag, code(s.Default), cell(s.Help))
	}
	return b.String()
}

func reasonsTable(*testing.T) string {
	var b strings.Builder
	b.WriteString("| reason | answer | when | `detail` |\n|---|---|---|---|\n")
	for _, r := range authz.Reasons {
		detail := r.Detail
		if detail == "" {
			detail = "Token environment mismatch: token is for 'staging', server is 'production'"
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s |\n", code(string(r.Reason)), r.Status, cell(r.When), cell(detail))
	}
	return b.String()
}

func metricsTable(t *testing.T) string {
	c, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=0123456789abcdef0123456789abcdef"}})
	if err != nil {
		t.Fatal(err)
	}
	return seriesTable(metrics.New(c, metrics.Build{}).Series())
}

func seriesTable(series []metrics.Series) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, s := range series {
		labels := make([]string, len(s.Labels))
		for i, l := range s.Labels {
			labels[i] = code(l)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(s.Name), s.Type, strings.Join(labels, ", "), cell(s.Help))
	}
	return b.String()
}

// checksTable lists every warning with its words, from configurations that raise it.
func checksTable(t *testing.T) string {
	found := map[string]authz.Warning{}
	secret := "JWT_SECRET_KEY=0123456789abcdef0123456789abcdef"
	for _, environ := range [][]string{
		{"JWT_SECRET_KEY=changeme", "ENVIRONMENT=production", "JWT_ISSUER_VERIFICATION=false", "JWT_AUDIENCE_VERIFICATION=false", "REQUIRE_TOKEN_EXPIRATION=false", "ENVGATE_ENVIRONMENT_RULE=off", "ENVGATE_MODE=report", "ENVGATE_TYPO=1"},
		{secret},
		{secret, "ENVIRONMENT=development", "ENVGATE_ENVIRONMENT=production"},
	} {
		c, err := authz.Parse(authz.Source{Environ: environ})
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range c.Warnings() {
			found[w.Check] = w
		}
	}
	var b strings.Builder
	b.WriteString("| check | what it means | what to do |\n|---|---|---|\n")
	for _, check := range authz.Checks {
		w, ok := found[check]
		if !ok {
			w = authz.RuntimeWarning(check, "0.0.0.0:4444")
		}
		if w.Message == "" {
			t.Errorf("%s has no words", check)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(check), cell(w.Message), cell(w.Set))
	}
	return b.String()
}

var marked = regexp.MustCompile(`(?s)<!-- generated: ([a-z ]+) -->\n(.*?)<!-- end -->`)

func TestGeneratedTablesAreUpToDate(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range pages(t) {
		old := read(t, file)
		text := marked.ReplaceAllStringFunc(old, func(part string) string {
			name := marked.FindStringSubmatch(part)[1]
			table, ok := tables[name]
			if !ok {
				t.Errorf("%s: nothing generates %q", file, name)
				return part
			}
			seen[name] = true
			return "<!-- generated: " + name + " -->\n" + table(t) + "<!-- end -->"
		})
		if text == old {
			continue
		}
		if !*update {
			t.Errorf("%s is out of date: run go test ./docs -update", file)
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name := range tables {
		if !seen[name] {
			t.Errorf("no page shows the table %q", name)
		}
	}
}
