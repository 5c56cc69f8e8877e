package server

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapHeadroom is how much may be allocated between two garbage collections at least, in bytes.
const heapHeadroom = 64 << 20

// TuneGC has a process with a small heap collect garbage more seldom: Go collects when the heap has doubled,
// which for a server of few connections and many messages is ten times a second. Beyond heapHeadroom of living objects
// nothing changes, so that it costs heapHeadroom of memory at most. Where GOGC is set, its setting stays. It is for
// main, since it concerns the whole process.
func TuneGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	e := &gcTuner{percent: 100, live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	e.schedule()
}

// gcTuner follows the size of the heap.
type gcTuner struct {
	percent int
	live    []metrics.Sample
}

// schedule has adjust called after the next collection.
func (e *gcTuner) schedule() {
	type marker struct{ _ [4]uintptr } // too large to share its memory with something that lives
	runtime.AddCleanup(new(marker), func(e *gcTuner) { e.adjust(); e.schedule() }, e)
}

func (e *gcTuner) adjust() {
	metrics.Read(e.live)
	percent := max(100, int(heapHeadroom*100/max(e.live[0].Value.Uint64(), 1<<20)))
	if percent*10 > e.percent*9 && percent*9 < e.percent*10 {
		return // near enough: to set it stops the world for a moment
	}
	e.percent = percent
	debug.SetGCPercent(percent)
}
