package ccs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

// An entry that cannot be decoded is forgotten, so that it does not come again and again.
func TestAnEntryThatCannotBeReadIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	box := w.attach(device.Key(), newSession())
	now := w.clock.Now()
	_, err := w.store.Put(t.Context(), []store.Entry{{Key: device.Key(), Rank: store.RankNormal, App: app, Accepted: now, Expires: now.Add(time.Hour), Body: []byte("?")}}, now)
	require.NoError(t, err)
	require.Nil(t, w.send(data("m-1")).Refusal)
	entries, err := box.Claim(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	var d ccs.Delivery
	assert.False(t, box.Open(t.Context(), &entries[0], &d))
	require.True(t, box.Open(t.Context(), &entries[1], &d))
	assert.Equal(t, "m-1", d.Message.ID)
	box.Detach(t.Context())
	ids, _ := take(t, w.attach(device.Key(), newSession()))
	assert.Equal(t, []string{"m-1"}, ids)
}

// A receipt is stored before its message is forgotten (CCS 3.5), and nothing is done twice.
func TestReceiptsGoBeforeTheirMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	box := w.attach(device.Key(), newSession())
	m := data("m-1")
	m.ReceiptRequested = true
	require.Nil(t, w.send(m).Refusal)
	require.Nil(t, w.send(data("m-2")).Refusal)
	entries, err := box.Claim(t.Context(), 10)
	require.NoError(t, err)
	var done ccs.Finished
	for i := range entries {
		var d ccs.Delivery
		require.True(t, box.Open(t.Context(), &entries[i], &d))
		done.Acknowledged(&d)
	}
	require.Equal(t, 2, done.Entries())
	require.NoError(t, box.Forget(t.Context(), &done))
	assert.Zero(t, done.Entries())
	require.NoError(t, box.Forget(t.Context(), &done), "nothing is left to do")
	ids, _ := take(t, w.attach(sender.ReceiptsKey(), newSession()))
	assert.Equal(t, []string{"m-1"}, ids)
	box.Detach(t.Context())
	ids, _ = take(t, w.attach(device.Key(), newSession()))
	assert.Empty(t, ids)
}

func TestResend(t *testing.T) {
	t.Parallel()
	begun := time.UnixMilli(1_767_225_600_000)
	const gap = time.Minute
	at := func(d time.Duration) time.Time { return begun.Add(d) }
	offered := func(e store.Entry) *ccs.Delivery {
		d := &ccs.Delivery{Entry: e}
		d.Offered(begun, gap)
		return d
	}
	stored := store.Entry{ID: 1, Expires: at(time.Hour)}

	d := offered(stored)
	assert.Equal(t, ccs.ResendLater, d.Resend(at(gap-1), -1), "not due")
	assert.Equal(t, ccs.ResendNow, d.Resend(at(gap), -1))
	assert.Equal(t, ccs.ResendLater, d.Resend(at(2*gap), -1), "the wait doubles")
	assert.Equal(t, ccs.ResendNow, d.Resend(at(3*gap), -1))
	assert.Equal(t, at(7*gap), d.Due)
	assert.Equal(t, ccs.ResendGiveUp, d.Resend(at(time.Hour), -1), "it has expired by the clock of the router")

	d = offered(stored)
	assert.Equal(t, ccs.ResendNow, d.Resend(at(gap), 1))
	assert.Equal(t, ccs.ResendGiveUp, d.Resend(at(3*gap), 1), "once was enough")

	assert.Equal(t, ccs.ResendGiveUp, offered(store.Entry{}).Resend(at(gap), -1), "then or never")

	d = offered(store.Entry{ID: 1, Expires: at(24 * time.Hour)})
	for range 10 {
		require.Equal(t, ccs.ResendNow, d.Resend(d.Due, -1))
	}
	last := d.Due
	require.Equal(t, ccs.ResendNow, d.Resend(last, -1))
	assert.Equal(t, 15*time.Minute, d.Due.Sub(last), "the longest wait")
}
