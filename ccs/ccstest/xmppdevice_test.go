package ccstest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

var errLater = errors.New("not now")

// receiveXMPP connects a device over XMPP and collects the IDs in its messages. It acknowledges IDs
// below acked.
func receiveXMPP(s *ccstest.Server, d *ccstest.Device, acked int) (*ccsclient.Client, *inbox[string]) {
	in := newInbox[string]()
	return s.ConnectXMPP(d, ccsclient.DeviceOptions{OnMessage: func(m *ccsclient.Delivery) error {
		id, _ := m.Data.Get("id")
		in.add(id)
		var n int
		if _, err := fmt.Sscan(id, &n); err == nil && n >= acked {
			return errLater
		}
		return nil
	}}), in
}

// A device has one queue for both protocols. Messages that it got over XMPP and did not acknowledge
// come over MCS, in order; acknowledged ones do not. The newest login wins, both ways.
func TestDeviceMovesBetweenXMPPAndMCS(t *testing.T) {
	t.Parallel()
	const total, acked = 300, 120
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		app := s.AppServer(ccsclient.Options{})
		d := s.Enrol("com.example.app")
		onXMPP, in := receiveXMPP(s, d, acked)
		send(t, app, d.Token, total)
		assert.Equal(t, numbers(total), in.wait(t, total))
		require.NoError(t, onXMPP.Close()) // the acks of the handled messages are written
		onXMPP, in = receiveXMPP(s, d, 0)
		assert.Equal(t, numbers(total)[acked:], in.wait(t, total-acked), "all that was not acknowledged comes again")

		onMCS, in := receive(s, d, mcsclient.Options{})
		<-onXMPP.Done()
		var end *ccsclient.StreamError
		require.ErrorAs(t, onXMPP.Err(), &end)
		assert.Equal(t, "conflict", end.Condition)
		assert.Equal(t, numbers(total)[acked:], in.wait(t, total-acked))
		// The acknowledgement of all of them goes before it.
		stored := make(chan error, 1)
		require.NoError(t, onMCS.Send(t.Context(), &mcsclient.Upstream{To: s.Sender, Category: d.App, ID: "u"}, func(err error) { stored <- err }))
		require.NoError(t, <-stored)

		_, in = receiveXMPP(s, d, total)
		<-onMCS.Done()
		_, err := app.SendWait(t.Context(), message(d.Token, "last"))
		require.NoError(t, err)
		assert.Equal(t, []string{"last"}, in.wait(t, 1))
	})
}

// If nodes share a store, a device that logs in on one of them over MCS ends its XMPP session on
// another.
func TestDeviceMovesToAnotherNode(t *testing.T) {
	t.Parallel()
	const total, acked = 50, 20
	a := ccstest.Start(t, ccstest.Store(redistest.Single(t).URL("")))
	b := a.Another()
	d := a.Enrol("com.example.app")
	onXMPP, in := receiveXMPP(a, d, acked)
	send(t, b.AppServer(ccsclient.Options{}), d.Token, total)
	assert.Equal(t, numbers(total), in.wait(t, total))
	_, in = receive(b, d, mcsclient.Options{})
	<-onXMPP.Done()
	assert.ErrorContains(t, onXMPP.Err(), "conflict")
	got := in.wait(t, total-acked)
	assert.Equal(t, numbers(total)[total-len(got):], got, "what was not acknowledged, and perhaps what was just then")
}

// A restart of the server loses no message and keeps the order.
func TestDeviceOnXMPPAfterARestart(t *testing.T) {
	t.Parallel()
	const total, acked = 300, 100
	s := ccstest.Start(t, ccstest.Disk)
	d := s.Enrol("com.example.app")
	c, in := receiveXMPP(s, d, acked)
	send(t, s.AppServer(ccsclient.Options{}), d.Token, total)
	in.wait(t, total)
	require.NoError(t, c.Close())
	s.Restart()
	_, in = receiveXMPP(s, d, total)
	assert.Equal(t, numbers(total)[acked:], in.wait(t, total-acked))
}

// Upstream messages of a device on XMPP reach the app server in order, once each. That includes
// messages that it sends again because its connection died before the answer. A failed message
// comes back as a send_error.
func TestDeviceOnXMPPSendsUpstream(t *testing.T) {
	t.Parallel()
	const total = 200
	s := ccstest.Start(t)
	d := s.Enrol("com.example.app")
	up := newInbox[string]()
	s.AppServer(ccsclient.Options{OnUpstream: func(m *ccsclient.Upstream) error {
		assert.Equal(t, d.Token, m.From)
		up.add(m.MessageID)
		return nil
	}})
	failed := newInbox[string]()
	dial := func() *ccsclient.Client {
		return s.ConnectXMPP(d, ccsclient.DeviceOptions{OnSendError: func(e *ccsclient.SendError) { failed.add(e.OriginalID) }})
	}
	for _, n := range []int{total / 2, total} { // the second time the first half are repeats
		c := dial()
		replies := make(chan ccsclient.Reply, n)
		for i := range n {
			m := &stanza.Upstream{MessageID: fmt.Sprint(i), Category: d.App, TTL: time.Hour}
			require.NoError(t, c.SendUpstream(context.Background(), s.Sender+"@gcm.googleapis.com", m, func(r ccsclient.Reply) { replies <- r }))
		}
		for range n {
			require.NoError(t, (<-replies).Err)
		}
		require.NoError(t, c.Close())
	}
	assert.Equal(t, numbers(total), up.wait(t, total))
	replies := make(chan ccsclient.Reply, 1)
	require.NoError(t, dial().SendUpstream(t.Context(), "777", &stanza.Upstream{MessageID: "lost", Category: d.App}, func(r ccsclient.Reply) { replies <- r }))
	require.NoError(t, (<-replies).Err)
	assert.Equal(t, []string{"lost"}, failed.wait(t, 1))
	assert.Len(t, up.all(), total)
}

// A device needs only an unmodified XMPP library. It gets every message once, in order, sends its
// own, and receipts are sent when it acknowledges (CCS 3.5).
func TestUnmodifiedGoXMPPAsADevice(t *testing.T) {
	t.Parallel()
	const down, up = 2000, 200
	s := ccstest.Start(t, ccstest.Disk)
	d := s.Enrol("com.example.app")
	run := exec.Command(buildProgram(t, "xmppodevice"), "--addr", s.XMPPAddr(), "--ca", s.CAFile(), "--device", fmt.Sprint(d.AndroidID),
		"--password", fmt.Sprint(d.SecurityToken), "--to", s.Sender, "--category", d.App, "--count", fmt.Sprint(up))
	run.Stderr = os.Stderr
	stdout, err := run.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, run.Start())

	upstream, receipts := newInbox[string](), newInbox[string]()
	app := s.AppServer(ccsclient.Options{
		OnUpstream: func(m *ccsclient.Upstream) error {
			n, _ := m.Data.Get("n")
			upstream.add(n)
			return nil
		},
		OnReceipt: func(m *ccsclient.Receipt) { receipts.add(m.MessageID) },
	})
	assert.Equal(t, numbers(up), upstream.wait(t, up))
	send(t, app, d.Token, down)
	last := message(d.Token, "done")
	last.ReceiptRequested = true
	_, err = app.SendWait(t.Context(), last)
	require.NoError(t, err)

	var got, seen []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var m stanza.Outbound
		require.NoError(t, stanza.DecodeOutbound([]byte(lines.Text()), &m))
		id, _ := m.Data.Get("id")
		got, seen = append(got, id), append(seen, m.MessageID)
		assert.Equal(t, []string{s.Sender, d.App}, []string{m.From, m.Category})
	}
	require.NoError(t, run.Wait())
	assert.Equal(t, append(numbers(down), "done"), got)
	slices.Sort(seen)
	assert.Len(t, slices.Compact(seen), down+1, "each has a message_id of its own")
	assert.Equal(t, []string{"dr2:done"}, receipts.wait(t, 1))

	// No message is left for the next session, on MCS.
	_, in := receive(s, d, mcsclient.Options{})
	_, err = app.SendWait(t.Context(), message(d.Token, "next"))
	require.NoError(t, err)
	assert.Equal(t, []string{"next"}, in.wait(t, 1))
}
