//go:build browser

package statuspage

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The version of axe-core that judges, and what its script must be.
const (
	axeVersion = "4.14.1"
	axeSHA256  = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
)

// axeScript fetches axe-core by npm into the cache, once.
func axeScript(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("ENVGATE_TEST_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(user, "envgate-statuspage")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(cache, "axe-core-"+axeVersion+".tgz")
	if _, err := os.Stat(archive); err != nil {
		npm := exec.Command("npm", "pack", "--silent", "axe-core@"+axeVersion)
		npm.Dir = cache
		if out, err := npm.CombinedOutput(); err != nil {
			t.Fatalf("npm pack: %v\n%s", err, out)
		}
	}
	script, err := fromArchive(archive, "package/axe.min.js")
	if err != nil {
		t.Fatalf("%s: %v", archive, err)
	}
	if sum := sha256.Sum256(script); hex.EncodeToString(sum[:]) != axeSHA256 {
		t.Fatalf("%s: axe.min.js is not the one of axe-core %s", archive, axeVersion)
	}
	return string(script)
}

func fromArchive(archive, name string) ([]byte, error) {
	f, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, os.ErrNotExist
		}
		if err != nil {
			return nil, err
		}
		if header.Name == name {
			return io.ReadAll(files)
		}
	}
}

// judged are axe's findings in one string each, and how many of its rules the page met.
type judged struct {
	Violations []string
	Passes     int
}

// accessible lets axe judge the page by all of its rules, best practices among them.
func (b *tab) accessible(script string) judged {
	b.t.Helper()
	evaluate[bool](b, script+"; true")
	j := evaluate[judged](b, `axe.run().then((r) => ({Passes: r.passes.length, Violations: r.violations.map((v) => v.id + ': ' + v.help + ': ' + v.nodes.map((n) => n.target + ' ' + (n.any[0]?.message ?? '')).slice(0, 4).join('; '))}))`)
	if len(j.Violations) != 0 {
		b.t.Errorf("axe finds:\n%s", strings.Join(j.Violations, "\n"))
	}
	return j
}
