package proxy

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// leastHeap is what the heap may grow to, in bytes, before the collector runs. By its own rule, twice of what is alive, it would
// run at 4 MB, once in some hundred requests of a sidecar that holds next to nothing: that took some 4 % of a request's CPU time.
const leastHeap = 10 << 20

// PaceCollector lets the garbage collector rest until leastHeap, now and after every collection, unless GOGC says otherwise. Where
// half of that is alive, its own rule holds again. A memory limit holds all the same.
func PaceCollector() {
	if os.Getenv("GOGC") == "" {
		pace(&collection{percent: 100})
	}
}

// collection becomes unreachable at once, so that the collector's next run ends it. A pointer keeps it out of the blocks of tiny
// objects, whose ends nobody is told.
type collection struct {
	percent int
	_       *collection
}

func pace(c *collection) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	live := samples[0].Value.Uint64()
	all := live + samples[1].Value.Uint64() + samples[2].Value.Uint64() // what the percentage is of
	percent := 100
	if live < leastHeap/2 {
		percent = max(100, int((leastHeap-live)*100/max(all, 2<<20)))
	}
	if percent*10 < c.percent*8 || percent*8 > c.percent*10 { // setting it stops the world for some microseconds
		debug.SetGCPercent(percent)
		c.percent = percent
	}
	runtime.SetFinalizer(&collection{percent: c.percent}, pace)
}
