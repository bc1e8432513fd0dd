// Package deploy holds what brings envgate to where it works, embedded in the binary, so that dashboards, rules and
// manifests are always those of the version that runs.
package deploy

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

//go:embed compose.yaml Dockerfile grafana/*.json grafana/provisioning prometheus/*.yml prometheus/rules.yaml all:chart/envgate kustomize/component kustomize/example postrenderer/plugin.yaml
var files embed.FS

// What the files say where a release says its own.
const (
	sourceVersion    = "0.1.0"
	sourceRepository = "registry.example.com/envgate"
)

// Release is the version and the image repository of a binary; empty ones leave the files as they are.
type Release struct {
	Version, Repository string
}

// Assets lists the names of all files, in order.
func Assets() (names []string) {
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		panic(err) // of the binary itself
	}
	return names
}

// Asset returns one file as it is for a release.
func Asset(name string, r Release) ([]byte, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("asset %q: no such file: envgate assets lists them", name)
	}
	var pairs []string
	if r.Version != "" {
		pairs = append(pairs, sourceVersion, r.Version)
	}
	if r.Repository != "" {
		pairs = append(pairs, sourceRepository, r.Repository)
	}
	return []byte(strings.NewReplacer(pairs...).Replace(string(text))), nil
}

// WriteAssets writes all files below a folder, and returns their number. A file that is there already with another
// content is an error, and then nothing is written.
func WriteAssets(folder string, r Release) (int, error) {
	texts := map[string][]byte{}
	for _, name := range Assets() {
		text, err := Asset(name, r)
		if err != nil {
			return 0, err
		}
		path := filepath.Join(folder, filepath.FromSlash(name))
		there, err := os.ReadFile(path)
		switch {
		case err == nil && string(there) != string(text):
			return 0, fmt.Errorf("%s: is there already, and differs: move it away first", path)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return 0, err
		}
		texts[path] = text
	}
	for path, text := range texts {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return 0, err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return 0, err
		}
	}
	return len(texts), nil
}
