package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

// markOf returns a mark that is unique for n.
func markOf(n int) (m store.Mark) {
	binary.BigEndian.PutUint64(m[:], uint64(n+1))
	return m
}

func marked(n int) func(*store.Entry) {
	return func(e *store.Entry) { e.Mark = markOf(n) }
}

// remembered returns the marks that the store remembers at now, after it was opened again.
func (f *reopening) remembered(now time.Time) []store.Mark {
	f.Helper()
	f.reopen()
	keeper, ok := f.Store.(store.Repeats)
	if !ok {
		f.Skip("the store does not remember repeats")
	}
	marks, err := keeper.Remembered(context.Background(), now)
	if errors.Is(err, errors.ErrUnsupported) {
		f.Skip(err)
	}
	require.NoError(f, err)
	return marks
}

// repeatCases test what a store.Repeats remembers after a restart.
var repeatCases = []durableCase{
	{"the marks of entries are there again, in the order of time, until they are too old", func(f *reopening) {
		assert.Empty(f, f.remembered(start))
		f.putAt(start, message("a", marked(1)), message("b", marked(2)), message("without"))
		later := start.Add(store.RepeatsFor / 2)
		f.putAt(later, message("c", marked(3), in(another)))
		assert.Equal(f, []store.Mark{markOf(1), markOf(2), markOf(3)}, f.remembered(later))
		late := start.Add(store.RepeatsFor + time.Minute)
		assert.Equal(f, []store.Mark{markOf(3)}, f.remembered(late))
		f.putAt(late, message("d", marked(4)))
		assert.Equal(f, []store.Mark{markOf(3), markOf(4)}, f.remembered(late))
	}},
	{"an acknowledged entry's mark stays", func(f *reopening) {
		o := f.putAt(start, message("a", marked(1)))
		f.claim(device, 1, 1)
		f.ack(device, o[0].ID)
		assert.Equal(f, []store.Mark{markOf(1)}, f.remembered(start))
	}},
	{"an entry that is refused leaves no mark", func(f *reopening) {
		one := limited(store.Limit{Messages: 1})
		o := f.putAt(start, message("a", one, marked(1)), message("b", one, marked(2)), message("c", one, marked(3), in(another)))
		require.Equal(f, []store.Result{store.Stored, store.Refused, store.Stored}, resultsOf(o))
		f.putAt(start, message("d", one, marked(4)))
		assert.ElementsMatch(f, []store.Mark{markOf(1), markOf(3)}, f.remembered(start))
	}},
	{"an entry that is discarded or takes another's place leaves its mark", func(f *reopening) {
		away := limited(store.Limit{Messages: 1, Overflow: store.Discard})
		f.putAt(start, message("a", away, marked(1)), message("b", away, marked(2)))
		f.putAt(start, message("c", collapse("k"), marked(3)), message("d", collapse("k"), marked(4)))
		assert.Len(f, f.remembered(start), 4)
	}},
}
