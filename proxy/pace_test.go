package proxy

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestTheCollectorsPace(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	percent := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	t.Setenv("GOGC", "100")
	PaceCollector()
	if percent() != 100 {
		t.Fatal("GOGC doesn't win")
	}
	t.Setenv("GOGC", "")
	PaceCollector()
	held := make([]byte, leastHeap)
	eventually(t, "the collector's own rule, with much alive", func() bool { runtime.GC(); return percent() == 100 })
	runtime.KeepAlive(held)
	eventually(t, "a rest, with little alive", func() bool { runtime.GC(); return percent() > 100 })
}
