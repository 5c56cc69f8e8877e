package diskstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// bodyBytes is the size of a message's body in the benchmarks (ccs/docs/design/03-committer.md).
const bodyBytes = 300

// measure reports messages a second and the CPU time of the whole process for each.
func measure(b *testing.B, messages int, run func()) {
	b.Helper()
	before := cpuTime(b)
	b.ResetTimer()
	run()
	b.StopTimer()
	b.ReportMetric(float64(messages)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1000/float64(messages), "cpu-µs/msg")
	b.ReportMetric(0, "ns/op") // it has no meaning here
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// settle waits until the engine has no more background work.
func settle(b *testing.B) {
	for {
		before := cpuTime(b)
		time.Sleep(200 * time.Millisecond)
		if cpuTime(b)-before < 10*time.Millisecond {
			return
		}
	}
}

// backlog puts n messages for n/10 devices that nobody claims.
func backlog(b *testing.B, s *diskstore.Store, n int) {
	batch := make([]store.Entry, 1000)
	for done := 0; done < n; done += len(batch) {
		for i := range batch {
			batch[i] = benchEntry(device(1_000_000 + (done+i)*7919%max(1, n/10)))
		}
		_, err := s.Put(b.Context(), batch, start)
		require.NoError(b, err)
	}
	settle(b)
}

var benchBody = func() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, bodyBytes)
	for i := range body {
		body[i] = byte('a' + r.IntN(26))
	}
	return body
}()

func benchEntry(k store.Key) store.Entry {
	e := entry(k, "")
	e.Body = benchBody
	e.Limit = store.Limit{Messages: 1_000_000, CollapseKeys: 4, Overflow: store.Refuse}
	return e
}

// BenchmarkPut measures the group commit. Nobody claims, so it also measures the cost of messages
// for devices that are away.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		for _, size := range []int{1, 32, 256} {
			b.Run(fmt.Sprintf("callers=%d/batch=%d", callers, size), func(b *testing.B) {
				s := open(b, b.TempDir())
				var left atomic.Int64
				left.Store(int64(b.N))
				measure(b, b.N*size, func() {
					var g errgroup.Group
					for c := range callers {
						g.Go(func() error {
							batch := make([]store.Entry, size)
							for i := range batch {
								batch[i] = benchEntry(device(c*size + i))
							}
							for left.Add(-1) >= 0 {
								if _, err := s.Put(context.Background(), batch, start); err != nil {
									return err
								}
							}
							return nil
						})
					}
					require.NoError(b, g.Wait())
				})
			})
		}
	}
}

// BenchmarkPutDedup measures messages that carry a dedup key which is new, as upstream messages do.
// The store remembers a hundred thousand others.
func BenchmarkPutDedup(b *testing.B) {
	const size, remembered = 256, 100_000
	s := open(b, b.TempDir())
	n := 0
	batch := make([]store.Entry, size)
	put := func() {
		for i := range batch {
			n++
			batch[i] = benchEntry(device(i))
			batch[i].Dedup, batch[i].DedupFor = fmt.Sprintf("m-%d", n), 48*time.Hour
		}
		_, err := s.Put(b.Context(), batch, start)
		require.NoError(b, err)
	}
	for n < remembered {
		put()
	}
	settle(b)
	measure(b, b.N*size, func() {
		for range b.N {
			put()
		}
	})
}

// BenchmarkCycle measures a message's whole life: it is put, claimed by the lease of its device
// and acknowledged.
func BenchmarkCycle(b *testing.B) {
	const callers = 8
	for _, c := range []struct{ backlog, devices, batch int }{
		{0, 1000, 32}, {0, 1000, 256}, {0, 8, 256}, {300_000, 1000, 32}, {300_000, 1000, 256},
	} {
		b.Run(fmt.Sprintf("backlog=%d/devices=%d/batch=%d", c.backlog, c.devices, c.batch), func(b *testing.B) {
			s := open(b, b.TempDir())
			backlog(b, s, c.backlog)
			var left atomic.Int64
			left.Store(int64(b.N))
			measure(b, b.N*c.batch, func() {
				var g errgroup.Group
				for caller := range callers {
					g.Go(func() error {
						own := max(1, c.devices/callers)
						batch := make([]store.Entry, c.batch)
						for round := 0; left.Add(-1) >= 0; round++ {
							for i := range batch {
								batch[i] = benchEntry(device(caller*own + (round*c.batch+i)%own))
							}
							if err := cycle(s, batch, own, store.Lease(caller+1)); err != nil {
								return err
							}
						}
						return nil
					})
				}
				require.NoError(b, g.Wait())
			})
		})
	}
}

// cycle puts a batch for some devices, and claims and acknowledges the messages of each.
func cycle(s *diskstore.Store, batch []store.Entry, devices int, l store.Lease) error {
	if _, err := s.Put(context.Background(), batch, start); err != nil {
		return err
	}
	var ids []store.ID
	for i := range min(len(batch), devices) {
		entries, err := s.Claim(context.Background(), batch[i].Key, l, 1000, start)
		if err != nil {
			return err
		}
		ids = ids[:0]
		for j := range entries {
			ids = append(ids, entries[j].ID)
		}
		if _, err := s.Ack(context.Background(), batch[i].Key, ids...); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkBacklog measures the cost of a million messages for 100,000 devices that are away: in
// memory, and when the store is opened again. Each device then takes its messages.
func BenchmarkBacklog(b *testing.B) {
	const messages = 1_000_000
	dir := b.TempDir()
	before := resident(b)
	s := open(b, dir)
	backlog(b, s, messages)
	debug.FreeOSMemory()
	afterPut := resident(b) - before
	require.NoError(b, s.Close())
	debug.FreeOSMemory()

	began := time.Now()
	s = open(b, dir)
	took, afterOpen := time.Since(began), resident(b)-before
	measure(b, messages, func() {
		for d := range messages / 10 {
			k := device(1_000_000 + d)
			entries, err := s.Claim(b.Context(), k, 1, 100, start)
			require.NoError(b, err)
			require.Len(b, entries, 10)
			ids := make([]store.ID, len(entries))
			for i := range entries {
				ids[i] = entries[i].ID
			}
			_, err = s.Ack(b.Context(), k, ids...)
			require.NoError(b, err)
			require.NoError(b, s.Release(b.Context(), k, 1))
		}
	})
	b.ReportMetric(float64(took.Milliseconds()), "ms-to-open")
	b.ReportMetric(afterPut, "MiB-after-put")
	b.ReportMetric(afterOpen, "MiB-after-open")
}

// BenchmarkPutAway measures messages for devices that are away, with their limit (CCS 5.5), when
// the summaries of the devices' queues do not fit into memory.
func BenchmarkPutAway(b *testing.B) {
	const devices, size = 100_000, 256
	s := open(b, b.TempDir())
	backlog(b, s, 10*devices)
	r := rand.New(rand.NewPCG(1, 2))
	measure(b, b.N*size, func() {
		batch := make([]store.Entry, size)
		for range b.N {
			for i := range batch {
				batch[i] = benchEntry(device(1_000_000 + r.IntN(devices)))
				batch[i].Limit = store.Limit{Messages: 100, CollapseKeys: 4, Overflow: store.Discard}
			}
			_, err := s.Put(b.Context(), batch, start)
			require.NoError(b, err)
		}
	})
}

// resident returns the memory of the process in MiB.
func resident(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("reads /proc")
	}
	var size, pages float64
	_, err = fmt.Sscan(string(text), &size, &pages)
	require.NoError(b, err)
	return pages * float64(os.Getpagesize()) / (1 << 20)
}

// BenchmarkRegistrations measures a lookup of tokens that are in memory.
func BenchmarkRegistrations(b *testing.B) {
	s := open(b, b.TempDir())
	tokens := make([]string, 1000)
	for i := range tokens {
		tokens[i] = fmt.Sprintf("token-%0100d", i)
		_, err := s.Register(b.Context(), store.Registration{
			Token: tokens[i], Device: uint64(i), App: "com.example.app", Senders: []string{"1234"},
		}, start)
		require.NoError(b, err)
	}
	dst := make([]*store.Registration, 0, len(tokens))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = s.Registrations(b.Context(), dst[:0], tokens)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(tokens)), "ns/token")
}
