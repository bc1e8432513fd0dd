package inject

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzManifests: whatever the input, nothing panics; what isn't injected passes byte for byte; what is can be taken out
// again, and then is as it was.
func FuzzManifests(f *testing.F) {
	files, err := filepath.Glob("testdata/manifests/*")
	if err != nil || len(files) < 50 {
		f.Fatalf("%d seeds, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "envgate/injected") || strings.Contains(text, "envgate/original") {
			return // pretends to be injected: nothing can be promised
		}
		r, err := Manifests([]byte(text), options)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
			return
		}
		if len(r.Injected) == 0 && string(r.Text) != text {
			t.Errorf("not injected, but changed:\n%q\n%q", text, r.Text)
		}
		back, err := Restore(r.Text)
		if err != nil {
			t.Fatalf("uninject: %v\n%q", err, r.Text)
		}
		before, _ := split([]byte(text))
		after, err := split(back)
		if err != nil || len(before.pieces) != len(after.pieces) {
			t.Fatalf("%v: %q", err, back)
		}
		for i := range before.pieces {
			if !same(before.pieces[i].value(), after.pieces[i].value()) {
				t.Errorf("uninject differs:\n%q\n%q", text, back)
			}
		}
	})
}
