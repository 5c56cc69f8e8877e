package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A histogram records microseconds, to three digits, up to five minutes. Longer times count as
// five minutes.
const (
	longest = int64(5 * time.Minute / time.Microsecond)
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, digits) }

// maxShards bounds the number of locks in a meter. More goroutines share them.
const maxShards = 8

// meter collects latencies of one kind from many goroutines.
type meter struct{ shards []shard }

type shard struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram // since the last take
	_  [40]byte                // keeps neighbours out of the same cache line
}

func newMeter(recorders int) *meter {
	m := &meter{shards: make([]shard, max(1, min(recorders, maxShards)))}
	for i := range m.shards {
		m.shards[i].h = newHistogram()
	}
	return m
}

// record records a latency for the recorder with that number.
func (m *meter) record(recorder int, took time.Duration) {
	s := &m.shards[recorder%len(m.shards)]
	v := min(max(took.Microseconds(), 0), longest)
	s.mu.Lock()
	_ = s.h.RecordValue(v) // never out of range
	s.mu.Unlock()
}

// drainInto moves the latencies recorded since the last call into h.
func (m *meter) drainInto(h *hdrhistogram.Histogram) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		if s.h.TotalCount() > 0 {
			h.Merge(s.h)
			s.h.Reset()
		}
		s.mu.Unlock()
	}
}

// Latency is a distribution in milliseconds. Without values its percentiles have no meaning. With
// fewer than 100 values the 99th is the greatest value, and so on.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

func latency(h *hdrhistogram.Histogram) Latency {
	ms := func(v int64) float64 { return float64(v) / 1000 }
	at := func(q float64) float64 { return ms(h.ValueAtQuantile(q)) }
	return Latency{Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: ms(h.Max())}
}

// Point is a point of a percentile curve.
type Point struct {
	Percentile float64 `json:"percentile"`
	MS         float64 `json:"ms"`
}

// curve returns a percentile curve. It has more points the nearer it gets to 100 percent, as far
// as there are values for them.
func curve(h *hdrhistogram.Histogram) []Point {
	points := []Point{}
	if h.TotalCount() == 0 {
		return points
	}
	for _, p := range []float64{
		1, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97.5, 99, 99.25, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999, 99.9999,
	} {
		if float64(h.TotalCount())*(100-p) < 100*(1-1e-9) { // less than one value is slower
			break
		}
		points = append(points, Point{p, float64(h.ValueAtQuantile(p)) / 1000})
	}
	return points
}
