package redisstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

// A device may register on one node while it is connected to another.
func testNewcomers(t *testing.T, a, b *node) {
	ctx, now := t.Context(), time.Now()
	require.NoError(t, a.AddNewDevice(ctx, phone.ID, now.Add(-time.Hour)))
	require.NoError(t, a.AddNewDevice(ctx, phone.ID+1, now.Add(-time.Hour)))
	for i, token := range []string{"connected", "silent"} {
		_, err := a.Register(ctx, store.Registration{Token: token, Device: phone.ID + uint64(i), App: "a", Senders: []string{"1"}}, now)
		require.NoError(t, err)
	}
	require.NoError(t, b.Attach(ctx, phone, 1))
	forgotten, err := a.ForgetNewDevices(ctx, now, 10)
	require.NoError(t, err)
	require.Len(t, forgotten, 1)
	assert.Equal(t, "silent", forgotten[0].Token)
	for _, n := range []*node{a, b} {
		regs, err := n.Registrations(ctx, nil, []string{"connected", "silent"})
		require.NoError(t, err)
		assert.NotNil(t, regs[0])
		assert.Nil(t, regs[1])
	}
	require.NoError(t, b.Detach(ctx, phone, 1, time.Minute))
	forgotten, err = a.ForgetNewDevices(ctx, now, 10)
	require.NoError(t, err)
	assert.Empty(t, forgotten, "it has had a session")
}
