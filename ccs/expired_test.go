package ccs_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
)

// Upstream messages that no app server takes in time come back to their devices, and no others do
// (DEV 10).
func TestDevicesAreToldOfExpiredMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ccs.Options{})
		gone := w.register("gone").App
		up := func(id, category string, ttl time.Duration) ccs.Upstream {
			return ccs.Upstream{To: string(sender), Category: category, ID: id, PersistentID: "p-" + id, TTL: ttl, HasTTL: true}
		}
		require.NoError(t, w.SendUpstream(t.Context(), device, []ccs.Upstream{
			up("u-1", app, time.Minute), up("long", app, 2*time.Hour), up("u-2", app, time.Minute), up("of an app that is gone", gone, time.Minute),
		}))
		require.Nil(t, w.send(data("m-1")).Refusal)
		reg := w.register(gone)
		require.NoError(t, w.Unregister(t.Context(), *reg))
		box := w.attach(device.Key(), newSession())
		_, entries := take(t, box)
		require.Len(t, entries, 1, "the downstream message, which now is the session's")

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		w.clock.advance(time.Hour)
		time.Sleep(3 * time.Second) // at least two sweeps
		synctest.Wait()
		ids, entries := take(t, box)
		assert.Equal(t, []string{"u-1", "u-2"}, ids)
		for _, e := range entries {
			var m ccs.Message
			require.NoError(t, m.Decode(e.Body))
			assert.Equal(t, []any{ccs.SendError, ccs.Expired, app, string(sender)}, []any{m.Kind, m.Reason, m.App, m.From})
		}
		cancel()
		assert.ErrorIs(t, <-done, context.Canceled)
	})
}
