package ccs_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/clock"
)

// tickingSession counts how often the router makes it look for work.
type tickingSession struct {
	*session
	ticks chan struct{}
}

func (s *tickingSession) Tick() { s.ticks <- struct{}{} }

// The router follows a jump of the clock at once, and not with the next sweep.
func TestAJumpOfTheClockIsFollowedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ccs.Options{})
		manual := clock.NewManual(w.clock.Now())
		router, err := ccs.New(t.Context(), w.store, ccs.Options{Clock: manual})
		require.NoError(t, err)
		require.NoError(t, router.SendUpstream(t.Context(), device, []ccs.Upstream{
			{To: string(sender), Category: app, ID: "u-1", PersistentID: "p-1", TTL: time.Minute, HasTTL: true},
		}))
		s := &tickingSession{newSession(), make(chan struct{}, 10)}
		box, err := router.AttachDevice(t.Context(), device, s)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- router.Run(ctx) }()
		synctest.Wait()
		started := time.Now()
		manual.Advance(time.Hour)
		synctest.Wait()
		assert.Zero(t, time.Since(started), "of the wall")
		assert.Len(t, s.ticks, 1)
		ids, _ := take(t, box)
		assert.Equal(t, []string{"u-1"}, ids, "the send_error for it")
		cancel()
		assert.ErrorIs(t, <-done, context.Canceled)
		manual.Advance(time.Hour)
		synctest.Wait()
		assert.Len(t, s.ticks, 1, "nobody listens any more")
	})
}
