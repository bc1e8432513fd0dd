package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// runtime is what the mutated files call.
//
//go:embed runtime.go.txt
var runtime []byte

// build writes the mutated files, and compiles the tests with them in the place of the real ones.
func build(ctx context.Context, files []string, work string) ([]*mutant, error) {
	sources, err := load(folder)
	if err != nil {
		return nil, err
	}
	replace := map[string]string{}
	overlay := func(name string, content []byte) error {
		path, err := filepath.Abs(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		replace[path] = filepath.Join(work, name)
		return os.WriteFile(replace[path], content, 0o600)
	}
	var mutants []*mutant
	for _, name := range files {
		s := sources[name]
		if s == nil {
			return nil, fmt.Errorf("-only: %q: no file of %s", name, folder)
		}
		if err := overlay(name, s.mutate(&mutants)); err != nil {
			return nil, err
		}
	}
	if err := overlay("mutants.go", runtime); err != nil {
		return nil, err
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(work, "overlay.json"), list, 0o600); err != nil {
		return nil, err
	}
	for _, folder := range []string{folder, "proxy"} {
		command := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", filepath.Join(work, "overlay.json"), "-o", binary(work, folder), "./"+folder)
		if out, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, out)
		}
	}
	return mutants, nil
}

func binary(work, folder string) string { return filepath.Join(work, folder+".test") }
