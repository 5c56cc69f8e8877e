package diskstore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/memstore"
)

// TestLikeMemory makes the same random calls to a disk store and a memory store. They must return
// the same, although the disk store has little memory and is closed and opened at times.
func TestLikeMemory(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := &twins{T: t, r: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir(), memory: memstore.New(), now: start}
			m.inMemory = map[entryPosition]store.ID{}
			m.open()
			for range 1000 {
				m.step()
			}
			m.sweep()
		})
	}
}

// twins is two stores that get the same calls. IDs differ between them, and bodies name entries.
type twins struct {
	*testing.T
	r      *rand.Rand
	dir    string
	disk   *diskstore.Store
	memory *memstore.Store
	now    time.Time
	puts   int

	ids      []twinID // of all entries ever kept
	inMemory map[entryPosition]store.ID
}

type entryPosition struct {
	key  store.Key
	disk store.ID
}

type twinID struct {
	key          store.Key
	disk, memory store.ID
}

func (m *twins) open() {
	var err error
	// The cache for summaries is small, so that they are rebuilt all the time.
	m.disk, err = diskstore.Open(m.dir, diskstore.Options{
		NoSync: true, SummaryBytes: 500, CacheBytes: 1 << 20, MemTableBytes: 64 << 10,
	})
	require.NoError(m, err)
	m.Cleanup(func() { _ = m.disk.Close() }) // closed already by some steps
}

func (m *twins) key() store.Key { return device(m.r.IntN(3)) }

func (m *twins) step() {
	switch n := m.r.IntN(100); {
	case n < 40:
		m.put()
	case n < 70:
		m.claim()
	case n < 80:
		m.ack()
	case n < 92:
		k, l := m.key(), store.Lease(1+m.r.IntN(3))
		require.NoError(m, m.disk.Release(m.Context(), k, l))
		require.NoError(m, m.memory.Release(m.Context(), k, l))
	case n < 94:
		m.sweep()
	case n < 95:
		k, app := m.key(), m.app()
		disk, err := m.disk.Purge(m.Context(), k, app)
		require.NoError(m, err)
		memory, err := m.memory.Purge(m.Context(), k, app)
		require.NoError(m, err)
		m.sameIDs(k, memory, disk)
	case n < 99:
		m.now = m.now.Add(time.Duration(m.r.IntN(3000)) * time.Millisecond)
	default:
		m.reopen()
	}
}

func (m *twins) app() string { return fmt.Sprint("app", m.r.IntN(2)) }

func (m *twins) put() {
	batch := make([]store.Entry, 1+m.r.IntN(20))
	for i := range batch {
		m.puts++
		e := entry(m.key(), fmt.Sprintf("%d %0*d", m.puts, m.r.IntN(2000), 0))
		e.App = m.app()
		e.Rank = store.RankHigh + store.Rank(m.r.IntN(2))
		e.Accepted = m.now
		e.Expires = m.now.Add(time.Duration(m.r.IntN(60_000)) * time.Millisecond)
		if m.r.IntN(4) == 0 {
			e.Collapse = fmt.Sprint(m.r.IntN(7))
		}
		if m.r.IntN(4) == 0 {
			e.Dedup, e.DedupFor = fmt.Sprint(m.r.IntN(300)), time.Duration(m.r.IntN(20_000))*time.Millisecond
		}
		switch m.r.IntN(3) {
		case 0:
			e.Limit = store.Limit{Messages: 10, CollapseKeys: 4, Overflow: store.Discard}
		case 1:
			e.Limit = store.Limit{Messages: 100, CollapseKeys: 4}
		}
		batch[i] = e
	}
	disk, err := m.disk.Put(m.Context(), batch, m.now)
	require.NoError(m, err)
	memory, err := m.memory.Put(m.Context(), batch, m.now)
	require.NoError(m, err)
	for i := range batch {
		require.Equal(m, memory[i].Result, disk[i].Result, "%d", i)
		switch disk[i].Result {
		case store.Stored, store.Collapsed, store.Discarded:
			m.know(twinID{batch[i].Key, disk[i].ID, memory[i].ID})
		}
		m.sameIDs(batch[i].Key, memory[i].Displaced, disk[i].Displaced)
	}
}

func (m *twins) know(id twinID) {
	m.ids = append(m.ids, id)
	m.inMemory[entryPosition{id.key, id.disk}] = id.memory
}

// sameIDs compares IDs of the disk store with those that the memory store gave to the same
// entries.
func (m *twins) sameIDs(k store.Key, memory, disk []store.ID) {
	m.Helper()
	var same []store.ID
	for _, id := range disk {
		same = append(same, m.inMemory[entryPosition{k, id}])
	}
	require.ElementsMatch(m, memory, same)
}

// ackBoth acknowledges an entry in both stores.
func (m *twins) ackBoth(k store.Key, disk, memory store.ID) {
	m.Helper()
	notOnDisk, err := m.disk.Ack(m.Context(), k, disk)
	require.NoError(m, err)
	notInMemory, err := m.memory.Ack(m.Context(), k, memory)
	require.NoError(m, err)
	require.Len(m, notOnDisk, len(notInMemory))
}

func (m *twins) claim() {
	k, l, n := m.key(), store.Lease(1+m.r.IntN(3)), m.r.IntN(40)
	disk, err := m.disk.Claim(m.Context(), k, l, n, m.now)
	require.NoError(m, err)
	memory, err := m.memory.Claim(m.Context(), k, l, n, m.now)
	require.NoError(m, err)
	m.same(memory, disk)
	if m.r.IntN(2) == 0 { // as a device that answers at once
		for i := range disk {
			m.ackBoth(k, disk[i].ID, memory[i].ID)
		}
	}
}

func (m *twins) ack() {
	for range m.r.IntN(10) {
		if len(m.ids) == 0 {
			return
		}
		id := m.ids[m.r.IntN(len(m.ids))]
		m.ackBoth(id.key, id.disk, id.memory)
	}
}

// sweep runs a whole sweep of both. Each store has its own order.
func (m *twins) sweep() {
	all := func(s store.Queue) (expired []store.Entry) {
		for more := true; more; {
			var some []store.Entry
			var err error
			some, more, err = s.Expire(m.Context(), m.now, 50)
			require.NoError(m, err)
			expired = append(expired, some...)
		}
		slices.SortFunc(expired, func(a, b store.Entry) int {
			return slices.Compare([]byte(fmt.Sprint(a.Key, a.App, a.Deleted, string(a.Body))),
				[]byte(fmt.Sprint(b.Key, b.App, b.Deleted, string(b.Body))))
		})
		return expired
	}
	m.same(all(m.memory), all(m.disk))
}

func (m *twins) reopen() {
	require.NoError(m, m.disk.Close())
	m.open()
	for k := range 3 {
		for l := range 3 {
			require.NoError(m, m.memory.Release(m.Context(), device(k), store.Lease(1+l)))
		}
	}
}

func (m *twins) same(want, got []store.Entry) {
	m.Helper()
	require.Len(m, got, len(want))
	for i := range want {
		w, g := want[i], got[i]
		w.ID, g.ID = 0, 0
		require.True(m, w.Accepted.Equal(g.Accepted), "%d", i)
		require.True(m, w.Expires.Equal(g.Expires), "%d", i)
		w.Accepted, w.Expires, g.Accepted, g.Expires = start, start, start, start
		if len(w.Body) == 0 {
			w.Body, g.Body = nil, nil
		}
		require.Equal(m, w, g, "%d", i)
	}
}
