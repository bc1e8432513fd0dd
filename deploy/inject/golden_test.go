package inject

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// manifest is an input file. Its first lines may hold flags (# inject: --mesh istio) and what refuses it (# refused: …);
// those of a JSON file stand in a file beside it.
type manifest struct {
	name    string
	text    []byte
	options Options
	refused string
}

func manifests(t *testing.T) (all []manifest) {
	t.Helper()
	files, err := filepath.Glob("testdata/manifests/*")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d manifests, %v", len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".flags") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := manifest{name: filepath.Base(file), text: text}
		head := string(text)
		if flags, err := os.ReadFile(file + ".flags"); err == nil {
			head = string(flags)
		}
		m.options, m.refused = directives(t, head)
		all = append(all, m)
	}
	return all
}

func directives(t *testing.T, head string) (o Options, refused string) {
	t.Helper()
	o = Options{Environment: "staging", Image: "registry.example.com/envgate:1.0.0", Version: "1.0.0"}
	var flags []string
	for line := range strings.Lines(strings.TrimPrefix(head, "\ufeff")) {
		line = strings.TrimSpace(line)
		if words, ok := strings.CutPrefix(line, "# inject: "); ok {
			flags = strings.Fields(words)
		} else if words, ok := strings.CutPrefix(line, "# refused: "); ok {
			refused = words
		}
	}
	set := flag.NewFlagSet("inject", flag.ContinueOnError)
	for name, field := range map[string]*string{
		"environment": &o.Environment, "mode": &o.Mode, "container": &o.Container, "redirect": &o.Redirect, "policy": &o.Policy, "probe": &o.Probe,
		"env-from": &o.EnvFrom, "secret": &o.Secret, "cpu-limit": &o.CPULimit, "memory-limit": &o.MemoryLimit, "mesh": &o.Mesh, "image": &o.Image,
	} {
		set.StringVar(field, name, *field, "")
	}
	set.IntVar(&o.UpstreamPort, "upstream-port", 0, "")
	native := set.Bool("native", true, "")
	set.BoolVar(&o.PodMonitor, "pod-monitor", false, "")
	set.BoolVar(&o.NetworkPolicy, "network-policy", false, "")
	set.BoolVar(&o.Force, "force", false, "")
	set.Func("mount", "", func(s string) error { o.Mounts = append(o.Mounts, s); return nil })
	if err := set.Parse(flags); err != nil {
		t.Fatal(err)
	}
	o.Plain = !*native
	return o, refused
}

// TestManifests injects every file, compares with its golden file, injects again, and takes the sidecar out: the first
// bytes come back.
func TestManifests(t *testing.T) {
	for _, m := range manifests(t) {
		t.Run(m.name, func(t *testing.T) {
			r, err := Manifests(m.text, m.options)
			if m.refused != "" {
				if err == nil || !strings.Contains(err.Error(), m.refused) || strings.Contains(err.Error(), "\n") {
					t.Fatalf("got %v, want one line with %q", err, m.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			golden(t, m.name, r.Text)
			for _, injected := range r.Injected {
				r.Notes = append(r.Notes, injected.Name+": "+injected.Mode)
			}
			golden(t, m.name+".notes", []byte(strings.Join(r.Notes, "\n")+"\n"))
			again, err := Manifests(r.Text, m.options)
			if err != nil || string(again.Text) != string(r.Text) {
				t.Errorf("inject of inject differs (%v):\n%s", err, again.Text)
			}
			back, err := Restore(r.Text)
			if err != nil || string(back) != string(m.text) {
				t.Errorf("uninject doesn't give the first bytes back (%v):\n%s", err, back)
			}
			untouched, err := Restore(m.text)
			if err != nil || string(untouched) != string(m.text) {
				t.Errorf("uninject changes what has no sidecar (%v)", err)
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata/golden", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs; -update writes it anew, git diff shows how:\n%s", file, got)
	}
}
