package flowcontrol_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/flowcontrol"
)

func TestAcquireWaitsForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := flowcontrol.NewWindow(2)
		require.NoError(t, w.Acquire(t.Context(), nil))
		require.NoError(t, w.Acquire(t.Context(), nil))
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, assert.AnError)
		defer cancel()
		require.ErrorIs(t, w.Acquire(ctx, nil), assert.AnError)
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		require.ErrorIs(t, w.Acquire(t.Context(), stop), flowcontrol.ErrStopped)
		assert.Equal(t, 2, w.Pending())
		time.AfterFunc(time.Second, func() { w.Give(1) })
		require.NoError(t, w.Acquire(t.Context(), nil))
	})
}

// One Give of many slots wakes all waiters that can have one.
func TestEveryWaiterGetsASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 10
		w := flowcontrol.NewWindow(size)
		require.Equal(t, size, w.Take(size))
		var all sync.WaitGroup
		for range 3 * size {
			all.Go(func() { assert.NoError(t, w.Acquire(context.Background(), nil)) })
		}
		for range 3 {
			synctest.Wait()
			w.Give(size)
		}
		all.Wait()
		assert.Equal(t, size, w.Pending())
	})
}
