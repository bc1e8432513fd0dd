package docs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// licences are told by phrases that every copy of their text holds, in lower case and without punctuation.
var licences = []struct {
	id      string // of SPDX
	has     string
	without string // a phrase that makes it another licence
}{
	{"Apache-2.0", "apache license version 2 0 january 2004", ""},
	{"BSD-2-Clause", "redistribution and use in source and binary forms with or without modification are permitted", "neither the name"},
	{"BSD-3-Clause", "neither the name", ""},
	{"ISC", "permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted", ""},
	{"MIT", "permission is hereby granted free of charge to any person obtaining a copy of this software", ""},
	{"MPL-2.0", "mozilla public license version 2 0 1 definitions", ""},
}

// refused are phrases of other licences, which may stand beside a known one in the same file.
var refused = []string{"gnu general public license", "gnu lesser general public license", "gnu affero general public license", "all advertising materials mentioning", "business source license", "server side public license", "commons clause"}

// secondary is where MPL-2.0 itself names some of those.
const secondary = "the gnu general public license version 2 0 the gnu lesser general public license version 2 1 the gnu affero general public license version 3 0"

// classify names the licences that a text holds, sorted; none where it holds another one besides, or only words of its own.
func classify(text string) (ids []string) {
	text = strings.Join(strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " ")
	text = strings.ReplaceAll(text, secondary, "")
	for _, l := range licences {
		if strings.Contains(text, l.has) && (l.without == "" || !strings.Contains(text, l.without)) {
			ids = append(ids, l.id)
		}
	}
	for _, phrase := range refused {
		if strings.Contains(text, phrase) {
			return nil
		}
	}
	return ids
}

func TestLicencesAreToldByTheirText(t *testing.T) {
	const (
		mit    = "Permission is hereby granted, free of charge, to any person obtaining a copy\nof this software and associated documentation files"
		bsd    = "> Redistribution and use in source and binary forms, with or without\n> modification, are permitted provided that"
		third  = "\n * Neither the name of Google Inc. nor the names of its contributors"
		fourth = "3. All advertising materials mentioning features or use of this software must display"
		gpl    = "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007"
	)
	for _, test := range []struct{ name, text, want string }{
		{"Apache", "        Apache License\n  Version 2.0, January 2004\n", "Apache-2.0"},
		{"MIT", mit, "MIT"},
		{"BSD of two clauses, quoted", bsd, "BSD-2-Clause"},
		{"BSD of three clauses", bsd + third, "BSD-3-Clause"},
		{"BSD of four clauses is unknown", bsd + fourth + third, ""},
		{"ISC", "Permission to use, copy, modify, and/or distribute this software for any\npurpose with or without fee is hereby granted", "ISC"},
		{"MPL names the GPL as secondary", "Mozilla Public License, version 2.0\n\n1. Definitions\n … either the GNU General Public License, Version 2.0, the GNU Lesser General Public License, Version 2.1, the GNU Affero General Public License, Version 3.0", "MPL-2.0"},
		{"two in one file are both named", mit + "\n\n" + bsd + third, "BSD-3-Clause MIT"},
		{"GPL is unknown", gpl, ""},
		{"MIT with GPL parts is unknown", mit + gpl, ""},
		{"a licence that only points to Apache is unknown", "Licensed under the Apache License, Version 2.0 (the License)", ""},
		{"an added clause is unknown", `"Commons Clause" License Condition v1.0` + mit, ""},
		{"nothing is unknown", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(classify(test.text), " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// module is one that the binary is linked from.
type module struct {
	Path, Version, Dir string
	Main               bool
	packages           []string // the folders of those of its packages that are in the binary
}

// shippedModules are those of the image's binary, sorted by path: what only tests or other systems need is not among them.
func shippedModules(t *testing.T) (list []*module) {
	t.Helper()
	cmd := exec.Command("go", "list", "-pgo=off", "-deps", "-json=Dir,Module", ".")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]*module{}
	for packages := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Dir    string
			Module *module
		}
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || p.Module.Main { // Go's own packages, and ours
			continue
		}
		m := known[p.Module.Path]
		if m == nil {
			m = p.Module
			known[m.Path], list = m, append(list, m)
		}
		m.packages = append(m.packages, p.Dir)
	}
	slices.SortFunc(list, func(a, b *module) int { return strings.Compare(a.Path, b.Path) })
	return list
}

var (
	licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)`)
	noticeFile  = regexp.MustCompile(`(?i)^(notice|patents|copyright)`)
)

// legal are the files with licences and notices that hold for the shipped part of a module: in the folders of its packages
// and in those above them, relative to the module's.
func (m *module) legal(t *testing.T) (licences, notices []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, dir := range m.packages {
		for ; !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				name, err := filepath.Rel(m.Dir, filepath.Join(dir, e.Name()))
				switch {
				case err != nil:
					t.Fatal(err)
				case e.IsDir() || filepath.Ext(name) == ".go":
				case licenceFile.MatchString(e.Name()):
					licences = append(licences, filepath.ToSlash(name))
				case noticeFile.MatchString(e.Name()):
					notices = append(notices, filepath.ToSlash(name))
				}
			}
			if dir == m.Dir {
				break
			}
		}
	}
	slices.Sort(licences)
	slices.Sort(notices)
	return licences, notices
}

// licencesTable lists every shipped module with what its own files say.
func licencesTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| module | version | licence | its text | notices |\n|---|---|---|---|---|\n")
	for _, m := range shippedModules(t) {
		files, notices := m.legal(t)
		if len(files) == 0 {
			t.Errorf("%s %s has no licence", m.Path, m.Version)
		}
		var ids []string
		for _, file := range files {
			found := classify(read(t, filepath.Join(m.Dir, file)))
			if len(found) == 0 {
				t.Errorf("%s %s: %s is no licence that is known here", m.Path, m.Version, file)
			}
			ids = append(ids, found...)
		}
		slices.Sort(ids)
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", m.Path, m.Version, strings.Join(slices.Compact(ids), ", "), strings.Join(files, ", "), strings.Join(notices, ", "))
	}
	return b.String()
}
