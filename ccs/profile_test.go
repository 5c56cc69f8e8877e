package ccs_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
)

// Each era differs from the default where the documents of its time do (CCS 2.4, 4.1 to 4.3, 5.10,
// 9 no. 7).
func TestProfiles(t *testing.T) {
	const day, fourWeeks = 24 * time.Hour, 28 * 24 * time.Hour
	for _, row := range []struct {
		name               string
		window             int
		strictKeys         bool
		backlog            int
		longest, unnamed   time.Duration
		toDevice, upstream int // messages per minute, 0 for no limit
	}{
		{"default", 1000, false, 100_000, fourWeeks, day, 0, 0},
		{"gcm-2013", 1000, false, 100_000, fourWeeks, fourWeeks, 0, 0},
		{"gcm-2015", 100, true, 100, day, day, 0, 0},
		{"fcm-2019", 100, true, 100, day, day, 240, 1000},
	} {
		t.Run(row.name, func(t *testing.T) {
			named, ok := ccs.NamedProfile(row.name)
			require.True(t, ok)
			w := newWorld(t, ccs.Options{Profile: named})
			p := w.Profile()
			assert.Equal(t, []int{row.window, row.window, row.backlog}, []int{p.Window, p.UpstreamWindow, p.SenderBacklog})
			assert.Equal(t, row.strictKeys, p.Payload.StrictDataKeys)
			assert.Equal(t, 4096, p.Payload.Limit(false))
			assert.Equal(t, []time.Duration{row.longest, row.unnamed}, []time.Duration{p.UpstreamTTL, p.UnnamedUpstreamTTL})
			assert.Equal(t, []int{row.toDevice, row.upstream}, []int{p.DeviceRate.Burst, p.UpstreamRate.Burst})

			// This tests the life of an upstream message without a TTL.
			require.NoError(t, w.SendUpstream(t.Context(), device, []ccs.Upstream{{To: string(sender), Category: app, ID: "u", PersistentID: "u"}}))
			w.clock.advance(row.unnamed - time.Second)
			box := w.attach(sender.Key(), newSession())
			ids, entries := take(t, box)
			require.Equal(t, []string{"u"}, ids)
			assert.Equal(t, w.clock.Now().Add(time.Second), entries[0].Expires)

			for i := range row.toDevice {
				require.Nil(t, w.send(data(strconv.Itoa(i))).Refusal)
			}
			last := w.send(data("one more")).Refusal
			if row.toDevice == 0 {
				assert.Nil(t, last)
			} else if assert.NotNil(t, last) {
				assert.Equal(t, ccs.RateExceeded, last.Reason)
			}
		})
	}
	_, ok := ccs.NamedProfile("gcm-1999")
	assert.False(t, ok)
	for _, name := range ccs.ProfileNames() {
		_, ok := ccs.NamedProfile(name)
		assert.True(t, ok, name)
	}
}
