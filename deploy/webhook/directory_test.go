package webhook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestADirectorysCertificateIsReadWhenItChanges(t *testing.T) {
	f := newFakeAPI(t)
	dir := t.TempDir()
	write := func(data map[string][]byte) {
		for _, name := range []string{keyLeaf, keyLeafKey} {
			if err := os.WriteFile(filepath.Join(dir, name), data[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, _ := another(t)
	second, _ := another(t)
	data, _ := first.data()
	write(data)
	o := options(f)
	o.CertificateDirectory = dir
	s, lines := start(t, o)
	address, _ := s.Addresses()
	if leaf, err := verify(address, pemOf(first.ca), nil); err != nil || !leaf.Equal(first.leaf) {
		t.Fatalf("%v, or another certificate", err)
	}
	broken, _ := second.data()
	broken[keyLeafKey] = data[keyLeafKey]
	write(broken)
	eventually(t, "the bad pair is said", func() bool { return strings.Contains(lines.String(), "the certificate can't be used") })
	if _, err := verify(address, pemOf(first.ca), nil); err != nil {
		t.Errorf("the old certificate is gone: %v", err)
	}
	data, _ = second.data()
	write(data)
	eventually(t, "the new one is served", func() bool { _, err := verify(address, pemOf(second.ca), nil); return err == nil })
	if err := os.Remove(filepath.Join(dir, keyLeaf)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the missing file is said", func() bool { return strings.Contains(lines.String(), "no such file") })
	if _, err := verify(address, pemOf(second.ca), nil); err != nil {
		t.Errorf("the old certificate is gone: %v", err)
	}
	for _, question := range []string{"GET " + secretPath, "PATCH " + configurationsPath + "/envgate", "GET " + configurationsPath} {
		if n := f.count(question); n != 0 {
			t.Errorf("%s: %d times", question, n)
		}
	}
}
