package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

// newcomers returns the store as a store.NewDevices, or skips the case.
func (f fixture) newcomers() store.NewDevices {
	f.Helper()
	n, ok := f.Store.(store.NewDevices)
	if !ok {
		f.Skip("the store does not know newcomers")
	}
	return n
}

func (f fixture) forgetNewcomers(before time.Time, max int) (tokens []string) {
	f.Helper()
	forgotten, err := f.newcomers().ForgetNewDevices(context.Background(), before, max)
	require.NoError(f, err)
	for _, r := range forgotten {
		tokens = append(tokens, r.Token)
	}
	slices.Sort(tokens)
	return tokens
}

var newcomerCases = []testCase{
	{"a device that never had a session is forgotten with all its registrations", func(f fixture) {
		n, ctx := f.newcomers(), context.Background()
		require.NoError(f, n.AddNewDevice(ctx, device.ID, start))
		require.NoError(f, n.AddNewDevice(ctx, device.ID, start.Add(time.Hour)))
		f.register(classic("old", "1"))
		f.register(classic("new", "1", "2"))
		f.register(instanceID("iid", "1", "GCM"))
		assert.Empty(f, f.forgetNewcomers(start, 10), "it was noted at that time, not before")
		assert.Equal(f, []string{"iid", "new", "old"}, f.forgetNewcomers(start.Add(time.Minute), 10))
		assert.Equal(f, []*store.Registration{nil, nil, nil}, f.lookUp("old", "new", "iid"))
		assert.Empty(f, f.tokens())
		assert.Empty(f, f.forgetNewcomers(start.Add(time.Hour), 10))

		r := f.register(classic("again", "1", "2"))
		assert.Equal(f, "again", r.Token, "the device begins afresh")
		assert.Equal(f, []string{"again"}, f.tokens())
	}},
	{"a device that has had a session is not forgotten", func(f fixture) {
		n, ctx := f.newcomers(), context.Background()
		require.NoError(f, n.RemoveNewDevice(ctx, device.ID))
		require.NoError(f, n.AddNewDevice(ctx, device.ID, start))
		f.register(classic("t", "1"))
		require.NoError(f, n.RemoveNewDevice(ctx, device.ID))
		assert.Empty(f, f.forgetNewcomers(start.Add(time.Hour), 10))
		assert.NotNil(f, f.lookUp("t")[0])
	}},
	{"newcomers are forgotten oldest first, and so many at a time", func(f fixture) {
		n, ctx := f.newcomers(), context.Background()
		for i, token := range []string{"c", "b", "a"} {
			r := classic(token, "1")
			r.Device = uint64(100 + i)
			require.NoError(f, n.AddNewDevice(ctx, r.Device, start.Add(-time.Duration(i)*time.Minute)))
			f.register(r)
		}
		assert.Equal(f, []string{"a", "b"}, f.forgetNewcomers(start.Add(time.Minute), 2))
		assert.Equal(f, []string{"c"}, f.forgetNewcomers(start.Add(time.Minute), 2))
	}},
}
