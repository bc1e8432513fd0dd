//go:build observe

package observe

import (
	"strings"
	"testing"
	"time"
)

// A sidecar that is gone is counted, still named with its settings, and pages. This test is the last: it ends one.
func TestASidecarThatIsGoneIsSeen(t *testing.T) {
	seen.sidecars["development"].end()
	down := func() float64 {
		samples := answer(t, "fleet.json", "Sidecars down or not ready", 0, everything)
		if len(samples) != 1 {
			t.Fatal(samples)
		}
		return samples[0].value
	}
	for deadline := time.Now().Add(10 * time.Second); down() != 1; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v are down", down())
		}
	}
	rows, ready := answer(t, "fleet.json", "Sidecars", 0, everything), answer(t, "fleet.json", "Sidecars", 1, everything)
	if len(rows) != 3 || len(ready) != 2 {
		t.Errorf("%d rows, %d ready: want 3 and 2", len(rows), len(ready))
	}
	if down, err := seen.ask(`up{container="envgate"} == 0`); err != nil || len(down) != 1 || !strings.Contains(down[0].labels["pod"], "development") {
		t.Errorf("%v %v", down, err)
	}
}
