package ccs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// BenchmarkDedup measures the memory of repeats: each Send brings a batch of new messages. The
// memory is as full as it gets.
func BenchmarkDedup(b *testing.B) {
	const batch = 100
	now := time.UnixMilli(1_767_225_600_000)
	d, err := ccs.NewDedup(b.Context(), memstore.New(), now)
	require.NoError(b, err)
	for range 2 * store.MaxRepeats / batch {
		d.Send(batch, now)
	}
	b.ReportAllocs()
	for b.Loop() {
		d.Send(batch, now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/msg")
}
