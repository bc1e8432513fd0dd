package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The generated part of the page stands between these lines; what is around it is written by hand.
const (
	begin = "<!-- measured by deploy/bench -->\n"
	end   = "<!-- end of what was measured -->"
)

// write replaces the generated part of docs/benchmarks.md, and the picture.
func (r report) write(root string) error {
	page := filepath.Join(root, "docs", "benchmarks.md")
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	replaced, err := between(string(text), r.markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	if err := os.WriteFile(page, []byte(replaced), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs", "images", "benchmarks.svg"), []byte(r.picture()), 0o644)
}

// between puts generated text between the two lines.
func between(page, generated string) (string, error) {
	before, rest, ok := strings.Cut(page, begin)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return "", fmt.Errorf("no lines %q and %q", strings.TrimSpace(begin), end)
	}
	return before + begin + "\n" + generated + "\n" + end + after, nil
}
