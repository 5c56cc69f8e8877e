package server

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapHeadroom is the minimum allocation between two garbage collections, in bytes.
const heapHeadroom = 64 << 20

// TuneGC makes garbage collections rarer in a process with a small heap. Go collects when the heap
// has doubled, which is too often for a server with few connections and many messages. Nothing
// changes above heapHeadroom of live objects, so the cost is at most heapHeadroom of memory. TuneGC
// leaves a GOGC of the environment in force. Only main may call it, since it affects the whole
// process.
func TuneGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	e := &gcTuner{percent: 100, live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	e.schedule()
}

// gcTuner adapts the GC percentage to the size of the heap.
type gcTuner struct {
	percent int
	live    []metrics.Sample
}

// schedule makes the runtime call adjust after the next collection.
func (e *gcTuner) schedule() {
	type marker struct{ _ [4]uintptr } // too large to share its memory with a live object
	runtime.AddCleanup(new(marker), func(e *gcTuner) { e.adjust(); e.schedule() }, e)
}

func (e *gcTuner) adjust() {
	metrics.Read(e.live)
	percent := max(100, int(heapHeadroom*100/max(e.live[0].Value.Uint64(), 1<<20)))
	if percent*10 > e.percent*9 && percent*9 < e.percent*10 {
		return // near enough; a change would stop the world for a moment
	}
	e.percent = percent
	debug.SetGCPercent(percent)
}
