package flowcontrol_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/flowcontrol"
)

var keyedNow = time.UnixMilli(1_767_225_600_000)

func TestKeyedLimitsEachKey(t *testing.T) {
	t.Parallel()
	k := flowcontrol.NewKeyed[string](10)
	r := flowcontrol.Rate{Every: time.Second, Burst: 2}
	assert.False(t, k.Empty("a", r, keyedNow), "a key that was never used")
	assert.True(t, k.Take("a", r, 2, keyedNow))
	assert.False(t, k.Take("a", r, 1, keyedNow))
	assert.True(t, k.Empty("a", r, keyedNow))
	assert.True(t, k.Take("b", r, 1, keyedNow), "another key")
	k.Give("a", r, 1)
	k.Give("never used", r, 1)
	assert.True(t, k.Take("a", r, 1, keyedNow))
	assert.False(t, k.Take("a", r, 1, keyedNow.Add(999*time.Millisecond)))
	assert.True(t, k.Take("a", r, 1, keyedNow.Add(time.Second)))
	assert.True(t, k.Take("c", flowcontrol.Rate{}, 1000, keyedNow), "without a rate there is no limit")
	assert.False(t, k.Empty("a", flowcontrol.Rate{}, keyedNow))
	assert.Equal(t, 2, k.Len(), "only keys that were taken from are remembered")
	assert.Panics(t, func() { flowcontrol.NewKeyed[string](0) })
}

// The least recently used key is evicted, as in a slice that follows the same rule.
func TestKeyedForgetsTheLeastRecent(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2, 3, 8} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(uint64(limit), 1))
			k := flowcontrol.NewKeyed[int](limit)
			r := flowcontrol.Rate{Every: time.Hour, Burst: 1}
			var known []int // the most recent one last
			for step := range 5000 {
				key := random.IntN(12)
				at := slices.Index(known, key)
				require.Equal(t, at < 0, k.Take(key, r, 1, keyedNow), "step %d, key %d of %v", step, key, known)
				if at >= 0 {
					known = slices.Delete(known, at, at+1)
				} else if len(known) == limit {
					known = known[1:]
				}
				known = append(known, key)
				require.Equal(t, len(known), k.Len())
			}
		})
	}
}

func TestKeyedConcurrently(t *testing.T) {
	t.Parallel()
	k := flowcontrol.NewKeyed[int](16)
	r := flowcontrol.Rate{Every: time.Hour, Burst: 1000}
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				if k.Take(1, r, 1, keyedNow) {
					mu.Lock()
					taken++
					mu.Unlock()
				}
				k.Take(i%8+2, r, 1, keyedNow)
				k.Empty(1, r, keyedNow)
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 1000, taken)
}

// A limiter is asked for each message. In the first case all keys are remembered, in the second it
// is full of others.
func BenchmarkKeyed(b *testing.B) {
	const limit = 100_000
	r := flowcontrol.Rate{Every: time.Microsecond, Burst: 1000}
	for _, tt := range []struct {
		name string
		keys uint64
	}{{"one key", 1}, {"all known", limit}, {"ten times as many", 10 * limit}} {
		b.Run(tt.name, func(b *testing.B) {
			k := flowcontrol.NewKeyed[uint64](limit)
			for key := range min(tt.keys, limit) {
				k.Take(key, r, 1, keyedNow)
			}
			key := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				key = (key + 7919) % tt.keys
				k.Take(key, r, 1, keyedNow)
			}
		})
	}
}
