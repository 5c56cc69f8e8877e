package storetest

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
)

var concurrencyCases = []testCase{
	{"many callers put, claim, acknowledge and release, and every entry is acknowledged", func(f fixture) {
		f.crowd(crowd{queues: 5, putters: 4, takers: 6, batches: 40, batch: 16})
	}},
	{"many callers share one queue", func(f fixture) {
		f.crowd(crowd{queues: 1, putters: 4, takers: 4, batches: 40, batch: 16})
	}},
	{"every queue has one lease, and order is kept", func(f fixture) {
		f.crowd(crowd{queues: 8, putters: 1, takers: 1, batches: 100, batch: 24, ordered: true})
	}},
	{"two callers with the same string, one entry", func(f fixture) {
		for i := range 20 {
			var stored atomic.Int32
			var g errgroup.Group
			for range 4 {
				g.Go(func() error {
					e := message("a", dedup(fmt.Sprint(i), day))
					o, err := f.Put(context.Background(), []store.Entry{e}, start)
					if err == nil && o[0].Result == store.Stored {
						stored.Add(1)
					}
					return err
				})
			}
			assert.NoError(f, g.Wait())
			assert.EqualValues(f, 1, stored.Load())
		}
	}},
	{"a limit holds for all callers together", func(f fixture) {
		var stored atomic.Int32
		var g errgroup.Group
		for range 4 {
			g.Go(func() error {
				for range 20 {
					e := message("a", limited(store.Limit{Messages: 50}))
					o, err := f.Put(context.Background(), []store.Entry{e, e}, start)
					if err != nil {
						return err
					}
					for _, r := range resultsOf(o) {
						if r == store.Stored {
							stored.Add(1)
						}
					}
				}
				return nil
			})
		}
		assert.NoError(f, g.Wait())
		assert.EqualValues(f, 50, stored.Load())
		assert.Len(f, f.waiting(device), 50)
	}},
}

// crowd is many concurrent callers. Putters put numbered entries. Takers, as many for each queue as
// takers says, claim and acknowledge them. Now and then a taker leaves without acknowledging its
// entries.
type crowd struct {
	queues, putters, takers, batches, batch int
	// ordered means that takers never leave, and see each putter's entries in order.
	ordered bool
}

func (f fixture) crowd(c crowd) {
	total := int64(c.putters * c.batches * c.batch)
	var acked atomic.Int64
	var held sync.Map // body -> lease: no entry may have two leases
	var nextLease atomic.Uint64
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)

	for p := range c.putters {
		g.Go(func() error {
			for b := range c.batches {
				batch := make([]store.Entry, c.batch)
				for i := range batch {
					n := b*c.batch + i
					batch[i] = message(fmt.Sprintf("%d/%06d", p, n), in(queueNo(n%c.queues)))
				}
				if _, err := f.Put(ctx, batch, start); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for q := range c.queues {
		for t := range c.takers {
			g.Go(func() error {
				k, lease := queueNo(q), store.Lease(nextLease.Add(1))
				last := ""
				for round := t; acked.Load() < total; round++ {
					entries, err := f.Claim(ctx, k, lease, 1+round%20, start)
					if err != nil {
						return err
					}
					for _, e := range entries {
						if other, taken := held.LoadOrStore(string(e.Body), lease); taken {
							return fmt.Errorf("%s: claimed by %d and %d", e.Body, lease, other)
						}
						if c.ordered && string(e.Body) <= last {
							return fmt.Errorf("%s came after %s", e.Body, last)
						}
						last = string(e.Body)
					}
					leave := !c.ordered && round%5 == 0
					keep := len(entries)
					if leave {
						keep /= 2
					}
					for _, e := range entries[keep:] {
						held.Delete(string(e.Body))
					}
					if _, err := f.Ack(ctx, k, idsOf(entries[:keep])...); err != nil {
						return err
					}
					acked.Add(int64(keep))
					if leave {
						if err := f.Release(ctx, k, lease); err != nil {
							return err
						}
						lease = store.Lease(nextLease.Add(1))
					}
					if len(entries) == 0 {
						runtime.Gosched()
					}
				}
				return f.Release(ctx, k, lease)
			})
		}
	}
	assert.NoError(f, g.Wait())
	assert.Equal(f, total, acked.Load())
	for q := range c.queues {
		assert.Empty(f, f.waiting(queueNo(q)))
	}
}

func queueNo(n int) store.Key { return store.Key{Kind: store.KindDevice, ID: uint64(1000 + n)} }
