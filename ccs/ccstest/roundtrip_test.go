package ccstest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// The life of a message in both directions: accepted, stored, offered, acknowledged, forgotten.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		const total = 3000
		s := ccstest.Start(t, store)
		d := s.Enrol("com.example.app")
		_, in := receive(s, d, mcsclient.Options{})
		c := s.AppServer(ccsclient.Options{})
		send(t, c, d.Token, total)
		assert.Equal(t, numbers(total), in.wait(t, total), "all of them, in order, once each")
		require.NoError(t, c.Close())
	})
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		const total = 1000
		s := ccstest.Start(t, store)
		d := s.Enrol("com.example.app")
		dev := s.Connect(d, mcsclient.Options{})
		acked := make(chan error, total)
		for i := range total {
			id := fmt.Sprint(i)
			require.NoError(t, dev.Send(context.Background(), &mcsclient.Upstream{
				To: s.Sender + "@gcm.googleapis.com", Category: d.App, ID: id, PersistentID: "p" + id, Data: []mcsclient.Pair{{Key: "n", Value: id}},
			}, func(err error) { acked <- err }))
		}
		for range total {
			require.NoError(t, <-acked)
		}
		// Without an app server all messages waited. Those that one does not acknowledge go to the
		// next.
		first := newInbox[string]()
		c := s.AppServer(ccsclient.Options{OnUpstream: func(m *ccsclient.Upstream) error {
			first.add(m.MessageID)
			if len(first.all()) > total/2 {
				return assert.AnError
			}
			return nil
		}})
		assert.Equal(t, numbers(total), first.wait(t, total))
		require.NoError(t, c.Close())

		second := newInbox[string]()
		c = s.AppServer(ccsclient.Options{OnUpstream: func(m *ccsclient.Upstream) error {
			assert.Equal(t, d.Token, m.From)
			assert.Equal(t, d.App, m.Category)
			second.add(m.MessageID)
			return nil
		}})
		assert.Equal(t, numbers(total)[total/2:], second.wait(t, total/2))
		require.NoError(t, c.Close())
	})
}

// Messages that wait for a device survive the end of the server, and that of the device's
// connections.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := ccstest.Start(t, ccstest.Disk)
	d := s.Enrol("com.example.app")
	send(t, s.AppServer(ccsclient.Options{}), d.Token, 50)
	sender, key := s.Sender, s.Key
	s.Restart()
	assert.Equal(t, []string{sender, key}, []string{s.Sender, s.Key}, "a later start reuses the project")
	_, in := receive(s, d, mcsclient.Options{})
	assert.Equal(t, numbers(50), in.wait(t, 50))
}

func TestDeviceReconnectsWithoutLossOrRepeats(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		const total = 600
		s := ccstest.Start(t, store)
		d := s.Enrol("com.example.app")
		c := s.AppServer(ccsclient.Options{})
		var got []string
		var received []string
		for round := range 3 {
			dev, in := receive(s, d, mcsclient.Options{Ack: mcsclient.AckNever, Received: received})
			for i := range total / 3 {
				_, err := c.SendWait(context.Background(), message(d.Token, fmt.Sprint(round*total/3+i)))
				require.NoError(t, err)
			}
			got = append(got, in.wait(t, total/3)...)
			// The last message counts as received after its handler has returned.
			require.NoError(t, dev.Close())
			received = dev.Received()
		}
		assert.Equal(t, numbers(total), got, "a client that never acknowledges gets each once")
	})
}

func TestAwayLimitOverTheWire(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		d := s.Enrol("com.example.app")
		c := s.AppServer(ccsclient.Options{})
		send(t, c, d.Token, 101)
		_, in := receive(s, d, mcsclient.Options{})
		assert.Equal(t, []string{mcsclient.TypeDeletedMessages}, in.wait(t, 1))
		// For a connected device the limit is another. IDs are new, or the messages would be
		// repeats.
		for i := range 200 {
			_, err := c.SendWait(t.Context(), message(d.Token, fmt.Sprint("later-", i)))
			require.NoError(t, err)
		}
		assert.Equal(t, "later-199", in.wait(t, 201)[200])
	})
}

func TestStartIsFast(t *testing.T) {
	s := ccstest.Start(t)
	s.Stop()
	began := time.Now()
	ccstest.Start(t)
	t.Logf("a whole server took %s", time.Since(began))
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s := ccstest.Start(b)
		b.StopTimer()
		s.Stop()
		b.StartTimer()
	}
}
