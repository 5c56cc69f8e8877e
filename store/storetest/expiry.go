package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

var expiryCases = []testCase{
	{"an entry is offered until just before it expires, and never after", func(f fixture) {
		f.keep(message("a", expires(start.Add(time.Second))))
		assert.Empty(f, f.claimAt(start.Add(time.Second), device, 1, 10))
		assert.Empty(f, f.claimAt(start.Add(time.Hour), device, 1, 10))
		f.release(device, 1)
		assert.Equal(f, []string{"a"}, bodies(f.claimAt(start.Add(999*time.Millisecond), device, 2, 10)))
	}},
	{"an expired entry does not hold up the ones behind it", func(f fixture) {
		f.keep(message("a", expires(start.Add(time.Second))), message("b"), message("c", expires(start.Add(time.Second))), message("d"))
		assert.Equal(f, []string{"b"}, bodies(f.claimAt(start.Add(time.Minute), device, 1, 1)))
		assert.Equal(f, []string{"d"}, bodies(f.claimAt(start.Add(time.Minute), device, 1, 1)))
	}},
	{"an entry that expired while another lease held it is not offered again", func(f fixture) {
		f.keep(message("a", expires(start.Add(time.Second))), message("b"))
		f.claim(device, 1, 1)
		f.claim(device, 2, 1)
		f.release(device, 1)
		assert.Empty(f, f.claimAt(start.Add(time.Minute), device, 2, 10))
	}},
	{"a sweep returns every expired entry once and leaves the others", func(f fixture) {
		want := map[string]bool{}
		for i := range 50 {
			k := store.Key{Kind: store.KindDevice, ID: uint64(i % 7)}
			at := start.Add(day)
			if i%3 == 0 {
				at = start.Add(time.Second)
				want[fmt.Sprint(i)] = true
			}
			e := message(fmt.Sprint(i), in(k), expires(at))
			f.keep(e)
		}
		assert.Empty(f, f.sweep(start, 10))
		for _, e := range f.sweep(start.Add(time.Second), 10) {
			assert.True(f, want[string(e.Body)], "%s", e.Body)
			delete(want, string(e.Body))
		}
		assert.Empty(f, want)
		assert.Empty(f, f.sweep(start.Add(time.Second), 10))
		left := 0
		for i := range 7 {
			left += len(f.waiting(store.Key{Kind: store.KindDevice, ID: uint64(i)}))
		}
		assert.Equal(f, 33, left)
	}},
	{"an expired entry comes back from the sweep as it was put", func(f fixture) {
		e := message("a", high, collapse("k"), expires(start.Add(time.Second)))
		id := f.keep(e)[0]
		got := f.sweep(start.Add(time.Minute), 10)
		require.Len(f, got, 1)
		assert.Equal(f, id, got[0].ID)
		f.same(e, got[0])
	}},
	{"a step looks at no more entries than asked for, and the next goes on", func(f fixture) {
		f.fill(10, expires(start.Add(time.Second)))
		seen := 0
		for range 5 {
			got, more, err := f.Expire(context.Background(), start.Add(time.Minute), 2)
			require.NoError(f, err)
			require.LessOrEqual(f, len(got), 2)
			seen += len(got)
			if !more {
				break
			}
		}
		assert.Equal(f, 10, seen)
	}},
	{"a sweep of steps of one ends", func(f fixture) {
		f.fill(5)
		f.fill(5, expires(start.Add(time.Second)))
		assert.Len(f, f.sweep(start.Add(time.Minute), 1), 5)
	}},
	{"entries may go away in the middle of a sweep", func(f fixture) {
		ids := f.fill(10, expires(start.Add(time.Second)))
		got, more, err := f.Expire(context.Background(), start.Add(time.Minute), 3)
		require.NoError(f, err)
		require.True(f, more)
		f.ack(device, ids[3], ids[4], ids[9])
		got = append(got, f.sweep(start.Add(time.Minute), 3)...)
		assert.Len(f, got, 7)
	}},
	{"an expired entry that is claimed is left to its lease", func(f fixture) {
		ids := f.keep(message("a", expires(start.Add(time.Second))), message("b", expires(start.Add(time.Second))))
		f.claim(device, 1, 10)
		assert.Empty(f, f.sweep(start.Add(time.Minute), 10))
		f.ack(device, ids[0])
		f.release(device, 1)
		assert.Equal(f, ids[1:], idsOf(f.sweep(start.Add(time.Minute), 10)))
	}},
	{"a swept entry is gone for the lease that would have claimed it", func(f fixture) {
		f.claim(device, 1, 1)
		f.keep(message("a", expires(start.Add(time.Second))), message("b"))
		assert.Len(f, f.sweep(start.Add(time.Minute), 10), 1)
		assert.Equal(f, []string{"b"}, bodies(f.claim(device, 1, 10)), "even for a clock that went back")
	}},
	{"an expired entry does not count against a limit", func(f fixture) {
		two := limited(store.Limit{Messages: 2})
		f.keep(message("a", two, expires(start.Add(time.Second))), message("b", two))
		assert.Equal(f, store.Refused, f.put(message("c", two))[0].Result)
		assert.Equal(f, store.Stored, f.putAt(start.Add(time.Minute), message("d", two))[0].Result)
		assert.Equal(f, store.Refused, f.putAt(start.Add(time.Minute), message("e", two))[0].Result)
		assert.Len(f, f.sweep(start.Add(time.Minute), 10), 1)
		assert.Equal(f, store.Refused, f.putAt(start.Add(time.Minute), message("f", two))[0].Result,
			"sweeping it must not make room again")
	}},
	{"an expired entry is not replaced, but swept", func(f fixture) {
		f.keep(message("k1", collapse("k"), expires(start.Add(time.Second))))
		later := start.Add(time.Minute)
		o := f.putAt(later, message("k2", collapse("k")))[0]
		assert.Equal(f, store.Stored, o.Result)
		assert.Nil(f, o.Displaced)
		assert.Equal(f, []string{"k1"}, bodies(f.sweep(later, 10)))
		assert.Equal(f, store.Collapsed, f.putAt(later, message("k3", collapse("k")))[0].Result)
		assert.Equal(f, []string{"k3"}, bodies(f.claimAt(later, device, 1, 10)))
	}},
	{"a marker expires with the last of those it stands for", func(f fixture) {
		f.fill(99, away, expires(start.Add(time.Hour)))
		f.keep(message("long", away, expires(start.Add(2*time.Hour))))
		assert.Equal(f, store.Discarded, f.put(message("over", away, expires(start.Add(time.Hour))))[0].Result)
		assert.Empty(f, f.sweep(start.Add(2*time.Hour-1), 100))
		got := f.sweep(start.Add(2*time.Hour), 100)
		require.Len(f, got, 1)
		assert.Equal(f, 101, got[0].Deleted)
	}},
}
