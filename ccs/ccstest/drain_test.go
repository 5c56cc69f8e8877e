package ccstest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// After a command through the control socket the client is told to drain. Its answers still come,
// and its stream ends in order. Unacknowledged messages go to the next connection (CCS 3.7).
func TestDrainByCommand(t *testing.T) {
	t.Parallel()
	s := ccstest.Start(t)
	d := s.Enrol("com.example.app")
	dev := s.Connect(d, mcsclient.Options{})
	told := make(chan string, 1)
	left := newInbox[string]()
	c := s.AppServer(ccsclient.Options{
		OnControl:  func(m *ccsclient.Control) { told <- m.Type },
		OnUpstream: func(m *ccsclient.Upstream) error { left.add(m.MessageID); return assert.AnError },
	})
	up := func(id string) {
		done := make(chan error, 1)
		require.NoError(t, dev.Send(context.Background(), &mcsclient.Upstream{To: s.Sender, Category: d.App, ID: id, PersistentID: id}, func(err error) { done <- err }))
		require.NoError(t, <-done)
	}
	up("u-1")
	left.wait(t, 1)
	client, err := admin.Dial(s.Dir())
	require.NoError(t, err)
	defer client.Close()
	n, err := client.Drain(t.Context(), s.Sender, "")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, "CONNECTION_DRAINING", <-told)
	up("u-2")
	require.NoError(t, c.Close())

	got := newInbox[string]()
	next := s.AppServer(ccsclient.Options{OnUpstream: func(m *ccsclient.Upstream) error { got.add(m.MessageID); return nil }})
	// The client sees the end of its stream before the server has released the session's claims.
	assert.ElementsMatch(t, []string{"u-1", "u-2"}, got.wait(t, 2))
	assert.Equal(t, []string{"u-1"}, left.all(), "a draining connection gets nothing new")
	require.NoError(t, next.Close())
}

// A revoked key loses the connections that it opened, and opens no more.
func TestRevokedKey(t *testing.T) {
	t.Parallel()
	s := ccstest.Start(t)
	client, err := admin.Dial(s.Dir())
	require.NoError(t, err)
	defer client.Close()
	made, err := client.AddKey(t.Context(), s.Sender, "second")
	require.NoError(t, err)
	kept := s.AppServer(ccsclient.Options{})
	s.Key = made.APIKey
	c := s.AppServer(ccsclient.Options{})
	require.NoError(t, client.RevokeKey(t.Context(), s.Sender, made.KeyID))
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("the connection of a revoked key lives on")
	}
	select {
	case <-kept.Done():
		t.Fatal("a connection of another key has ended")
	default:
	}
	_, err = ccsclient.Dial(t.Context(), s.XMPPAddr(), s.Sender, made.APIKey, ccsclient.Options{TLS: s.TLS()})
	var auth *ccsclient.AuthError
	require.ErrorAs(t, err, &auth)
}

// A receipt goes from the device through the store to the app server.
func TestReceipt(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		d := s.Enrol("com.example.app")
		got := make(chan *ccsclient.Receipt, 1)
		c := s.AppServer(ccsclient.Options{OnReceipt: func(m *ccsclient.Receipt) { o := *m; got <- &o }})
		m := message(d.Token, "m-1")
		m.ReceiptRequested = true
		_, err := c.SendWait(t.Context(), m)
		require.NoError(t, err)
		_, in := receive(s, d, mcsclient.Options{})
		in.wait(t, 1)
		receipt := <-got
		assert.Equal(t, "dr2:m-1", receipt.MessageID)
		status, _ := receipt.Data.Get("message_status")
		assert.Equal(t, "MESSAGE_SENT_TO_DEVICE", status)
		token, _ := receipt.Data.Get("device_registration_id")
		assert.Equal(t, d.Token, token)
	})
}
