package main

import (
	"context"
	"testing"
	"time"
)

// TestAProcessIsMeasured has a busy loop use CPU time, and looks whether it is counted.
func TestAProcessIsMeasured(t *testing.T) {
	p, err := pinned(context.Background(), 0, t.TempDir(), nil, "sh", "-c", "while :; do :; done")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	before, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		after, err := p.cpu()
		if err != nil {
			t.Fatal(err)
		}
		if after-before > 20*time.Millisecond {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s of CPU time in 20 s of a busy loop", after-before)
		}
	}
	m, err := p.memory()
	if err != nil || m.rss < 100 || m.pss < 10 || m.pss > m.rss || m.peak < m.rss {
		t.Errorf("%+v, %v", m, err)
	}
}
