package load_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/load"
)

func TestArrivals(t *testing.T) {
	tests := []struct {
		name    string
		arrive  []int64
		want    []string
		sent    int64
		missing []int64
	}{
		{name: "in order", arrive: []int64{0, 1, 2}, want: []string{"in order", "in order", "in order"}, sent: 3},
		{name: "twice", arrive: []int64{0, 0, 1}, want: []string{"in order", "duplicate", "in order"}, sent: 2},
		{name: "a gap that is filled", arrive: []int64{0, 2, 1}, want: []string{"in order", "in order", "late"}, sent: 3},
		{name: "what was late comes twice", arrive: []int64{1, 0, 0}, want: []string{"in order", "late", "duplicate"}, sent: 2},
		{name: "the middle of a gap", arrive: []int64{4, 2}, want: []string{"in order", "late"}, sent: 5, missing: []int64{0, 1, 3}},
		{name: "the tail is missing", arrive: []int64{0}, want: []string{"in order"}, sent: 3, missing: []int64{1, 2}},
		{name: "all is missing", sent: 2, missing: []int64{0, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a load.Arrivals
			for i, seq := range tt.arrive {
				assert.Equal(t, tt.want[i], a.Add(seq), "arrival %d", i)
			}
			missing, forgotten := a.Missing(tt.sent)
			assert.Equal(t, tt.missing, missing)
			assert.Zero(t, forgotten)
		})
	}
}

// deliveredNumbers knows the same as a map of everything, for any arrivals in any order.
func TestArrivalsAgreeWithAMap(t *testing.T) {
	const sent = 500
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		var a load.Arrivals
		seen, newest := map[int64]bool{}, int64(-1)
		for range 700 {
			// Mostly it is near the front, as in a stream, so that there are fills, repeats and
			// gaps.
			seq := min(max(newest+int64(random.IntN(12))-7, 0), sent-1)
			want := "in order"
			switch {
			case seen[seq]:
				want = "duplicate"
			case seq < newest:
				want = "late"
			}
			seen[seq], newest = true, max(newest, seq)
			require.Equal(t, want, a.Add(seq), "seed %d, message %d", seed, seq)
		}
		var want []int64
		for seq := range int64(sent) {
			if !seen[seq] {
				want = append(want, seq)
			}
		}
		missing, _ := a.Missing(sent)
		require.Equal(t, want, missing, "seed %d", seed)
	}
}

// Memory is bounded: after too many gaps the oldest are forgotten, and counted.
func TestArrivalsWithTooManyGaps(t *testing.T) {
	var a load.Arrivals
	for seq := int64(1); seq < 2*(load.MaxSpans+10); seq += 2 {
		a.Add(seq)
	}
	missing, forgotten := a.Missing(2 * (load.MaxSpans + 10))
	assert.Len(t, missing, load.MaxSpans)
	assert.EqualValues(t, 10, forgotten)
	assert.EqualValues(t, 20, missing[0], "the oldest went")
}
