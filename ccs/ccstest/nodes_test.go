package ccstest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// heartbeat is so short that a test can wait until a dead node is declared dead.
const heartbeat = time.Second

func beating(c *server.Config) {
	c.NodeHeartbeat, c.DrainTimeout = heartbeat, time.Second
	c.SenderBacklog = 1_000_000 // one device sends for many, whose shares are a hundredth each
}

// twoNodes runs a test with two nodes on one Redis, and with two on one cluster.
func twoNodes(t *testing.T, f func(t *testing.T, a, b *ccstest.Server)) {
	t.Helper()
	for name, url := range map[string]func(t *testing.T) string{
		"single":  func(t *testing.T) string { return redistest.Single(t).URL("") },
		"cluster": func(t *testing.T) string { return redistest.Cluster(t, 0).URL("") },
	} {
		t.Run(name, func(t *testing.T) {
			a := ccstest.Start(t, ccstest.Store(url(t)), beating)
			f(t, a, a.Another(beating))
		})
	}
}

// upstream sends a device's messages with the given IDs and waits for the acks.
func upstream(t *testing.T, s *ccstest.Server, d *ccstest.Device, c *mcsclient.Client, ids ...string) {
	t.Helper()
	acked := make(chan error, len(ids))
	for _, id := range ids {
		m := &mcsclient.Upstream{To: s.Sender, Category: d.App, ID: id, PersistentID: id}
		require.NoError(t, c.Send(context.Background(), m, func(err error) { acked <- err }))
	}
	for range ids {
		require.NoError(t, <-acked)
	}
}

// With an app server on one node and the device on the other, all messages arrive, both ways, at
// once and in order.
func TestNodesShareTheirSendersAndDevices(t *testing.T) {
	t.Parallel()
	twoNodes(t, func(t *testing.T, a, b *ccstest.Server) {
		const total = 2000
		up, receipts := newInbox[string](), newInbox[string]()
		app := a.AppServer(ccsclient.Options{
			OnUpstream: func(m *ccsclient.Upstream) error { up.add(m.MessageID); return nil },
			OnReceipt:  func(m *ccsclient.Receipt) { receipts.add(m.MessageID) },
		})
		d := b.Enrol("com.example.app")
		dev, down := receive(b, d, mcsclient.Options{})
		send(t, app, d.Token, total)
		assert.Equal(t, numbers(total), down.wait(t, total))
		upstream(t, b, d, dev, numbers(total)...)
		assert.Equal(t, numbers(total), up.wait(t, total))

		m := message(d.Token, "with receipt")
		m.ReceiptRequested = true
		_, err := app.SendWait(t.Context(), m)
		require.NoError(t, err)
		assert.Equal(t, []string{"dr2:with receipt"}, receipts.wait(t, 1))

		// It is never stored, and still reaches another node (CCS 5.2).
		m = message(d.Token, "now or never")
		m.TTL = stanza.NowOrNever
		_, err = app.SendWait(t.Context(), m)
		require.NoError(t, err)
		assert.Equal(t, "now or never", down.wait(t, total+2)[total+1])
		require.NoError(t, dev.Send(t.Context(), &mcsclient.Upstream{To: b.Sender, Category: d.App, ID: "up now", TTL: mcsclient.NowOrNever}, nil))
		assert.Equal(t, "up now", up.wait(t, total+1)[total])
	})
}

// The newest login wins on any node (DEV 6). The old connection is closed, and its unacknowledged
// messages come on the new one.
func TestDeviceLogsInOnAnotherNode(t *testing.T) {
	t.Parallel()
	twoNodes(t, func(t *testing.T, a, b *ccstest.Server) {
		d := a.Enrol("com.example.app")
		app := a.AppServer(ccsclient.Options{})
		old, first := receive(a, d, mcsclient.Options{Ack: mcsclient.AckNever})
		send(t, app, d.Token, 1)
		for round := range 6 {
			node := []*ccstest.Server{b, a}[round%2]
			first.wait(t, 1)
			// A message counts as received after its handler has returned: by then a later frame is
			// handled.
			upstream(t, a, d, old, fmt.Sprint("round ", round))
			next, in := receive(node, d, mcsclient.Options{Ack: mcsclient.AckNever, Received: old.Received()})
			select {
			case <-old.Done():
			case <-time.After(patience):
				t.Fatal("the old connection lives on")
			}
			_, err := app.SendWait(t.Context(), message(d.Token, fmt.Sprint("round ", round)))
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint("round ", round), in.wait(t, 1)[0], "what the device had comes no second time")
			old, first = next, in
		}
	})
}

// A device that is connected to another node counts as connected: more than a hundred messages may
// wait for it (CCS 5.5).
func TestDeviceOfAnotherNodeCountsAsConnected(t *testing.T) {
	t.Parallel()
	twoNodes(t, func(t *testing.T, a, b *ccstest.Server) {
		app := a.AppServer(ccsclient.Options{})
		d := b.Enrol("com.example.app")
		_, in := receive(b, d, mcsclient.Options{Ack: mcsclient.AckNever})
		send(t, app, d.Token, 300)
		assert.Equal(t, numbers(300), in.wait(t, 300))
	})
}

// Draining one node moves its upstream messages to the others (CCS 3.7).
func TestDrainedNodeLeavesItsUpstreamToOthers(t *testing.T) {
	t.Parallel()
	twoNodes(t, func(t *testing.T, a, b *ccstest.Server) {
		draining := make(chan struct{}, 1)
		left, got := newInbox[string](), newInbox[string]()
		a.AppServer(ccsclient.Options{
			OnControl:  func(*ccsclient.Control) { draining <- struct{}{} },
			OnUpstream: func(m *ccsclient.Upstream) error { left.add(m.MessageID); return assert.AnError },
		})
		d := a.Enrol("com.example.app")
		dev := a.Connect(d, mcsclient.Options{})
		upstream(t, a, d, dev, "u-1")
		left.wait(t, 1)
		b.AppServer(ccsclient.Options{OnUpstream: func(m *ccsclient.Upstream) error { got.add(m.MessageID); return nil }})
		n := a.DrainConnections("", "")
		assert.Equal(t, 1, n)
		<-draining
		upstream(t, a, d, dev, "u-2")
		assert.Equal(t, []string{"u-2"}, got.wait(t, 1), "a draining connection gets nothing new")
		require.NoError(t, a.Drain(t.Context()))
		assert.Equal(t, []string{"u-2", "u-1"}, got.wait(t, 2))
		assert.Equal(t, []string{"u-1"}, left.all())
	})
}

// A key that is revoked on one node loses the connections that it opened on the others.
func TestRevokedKeyOnAnotherNode(t *testing.T) {
	t.Parallel()
	twoNodes(t, func(t *testing.T, a, b *ccstest.Server) {
		client, err := admin.Dial(a.Dir())
		require.NoError(t, err)
		defer client.Close()
		made, err := client.AddKey(t.Context(), a.Sender, "second")
		require.NoError(t, err)
		b.Key = made.APIKey
		app := b.AppServer(ccsclient.Options{})
		require.NoError(t, client.RevokeKey(t.Context(), a.Sender, made.KeyID))
		select {
		case <-app.Done():
		case <-time.After(patience):
			t.Fatal("the connection of a revoked key lives on")
		}
	})
}
