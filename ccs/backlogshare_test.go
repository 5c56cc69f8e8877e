package ccs_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

// One device cannot fill a sender's backlog for the others (CCS 4.3).
func TestADeviceHasAShareOfTheBacklog(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ backlog, share int }{{50, 50}, {1000, 100}, {20_000, 200}, {40_000, 400}} {
		t.Run(fmt.Sprint(row.backlog), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ccs.Options{Profile: ccs.Profile{SenderBacklog: row.backlog}})
			next := 0
			up := func(from ccs.DeviceID, n int) {
				batch := make([]ccs.Upstream, n)
				for i := range batch {
					id := fmt.Sprint("u-", next)
					next++
					batch[i] = ccs.Upstream{To: string(sender), Category: app, ID: id, PersistentID: id}
				}
				require.NoError(t, w.SendUpstream(t.Context(), from, batch))
			}
			appServer := w.attach(sender.Key(), newSession())
			phone := w.attach(device.Key(), newSession())
			refused := func() int { // since the last call
				_, entries := take(t, phone)
				for _, e := range entries {
					require.NoError(t, phone.Ack(t.Context(), e.ID))
				}
				return len(entries)
			}
			ack := func(entries []store.Entry) {
				for _, e := range entries {
					require.NoError(t, appServer.Ack(t.Context(), e.ID))
				}
			}

			up(device, row.share-1)
			assert.Zero(t, refused())
			up(device, 3)
			assert.Equal(t, 2, refused(), "the device is told of each")
			_, waiting := take(t, appServer)
			assert.Len(t, waiting, row.share)

			next -= 3 // a stored message is a repeat, and not refused
			up(device, 1)
			assert.Zero(t, refused())

			if row.share < row.backlog {
				const another = device + 1
				_, err := w.Register(t.Context(), store.Registration{Device: uint64(another), App: app, Senders: []string{string(sender)}})
				require.NoError(t, err)
				next += 1000
				up(another, row.share)
				_, others := take(t, appServer)
				assert.Len(t, others, row.share, "the others have room")
			}

			next += 1000
			n := row.share / 2 // whole groups of messages that are counted together
			ack(waiting[:n])
			up(device, n+1)
			assert.Equal(t, 1, refused())
			ack(waiting[n:])
			_, waiting = take(t, appServer)
			assert.Len(t, waiting, n)
			ack(waiting)
			up(device, row.share+1)
			assert.Equal(t, 1, refused())
		})
	}
}
