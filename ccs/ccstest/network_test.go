package ccstest_test

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/clock"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// Server and clients fit into a bubble: hours of heartbeats pass at once, and no goroutine is left.
func TestAServerInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ccstest.Start(t, ccstest.InMemory)
		up := newInbox[string]()
		app := s.RunAppServer(ccsclient.AppServerOptions{Options: ccsclient.Options{OnUpstream: func(u *ccsclient.Upstream) error {
			up.add(u.MessageID)
			return nil
		}}})
		d := s.Enrol("com.example.app")
		in := newInbox[string]()
		device := s.RunDevice(d, mcsclient.DeviceOptions{Options: mcsclient.Options{OnMessage: func(m *mcsclient.Message) {
			text, _ := m.Get("text")
			in.add(text)
		}}})
		_, err := app.SendWait(t.Context(), &ccsclient.Message{To: d.Token, Data: map[string]string{"text": "hello"}})
		require.NoError(t, err)
		require.NoError(t, device.Send(t.Context(), &mcsclient.Upstream{To: s.Sender, Category: d.App, ID: "u-1"}, nil))
		synctest.Wait()
		assert.Equal(t, []string{"hello"}, in.all())
		assert.Equal(t, []string{"u-1"}, up.all())

		time.Sleep(2 * time.Hour)
		_, err = app.SendWait(t.Context(), &ccsclient.Message{To: d.Token, Data: map[string]string{"text": "later"}})
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, []string{"hello", "later"}, in.all())
	})
}

// With a frozen clock a message does not expire, however long the wall clock runs. It expires when
// the clock jumps over its TTL.
func TestAFrozenClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frozen := clock.NewManual(time.Date(2015, 6, 1, 9, 0, 0, 0, time.UTC))
		s := ccstest.Start(t, ccstest.InMemory, ccstest.Clock(frozen))
		app := s.AppServer(ccsclient.Options{})
		d := s.Enrol("com.example.app")
		for id, ttl := range map[string]time.Duration{"short": time.Minute, "long": time.Hour} {
			_, err := app.SendWait(t.Context(), &ccsclient.Message{To: d.Token, TTL: ttl, Data: map[string]string{"id": id}})
			require.NoError(t, err)
		}
		time.Sleep(30 * time.Minute)
		c, in := receive(s, d, mcsclient.Options{Ack: mcsclient.AckNever})
		synctest.Wait()
		assert.ElementsMatch(t, []string{"short", "long"}, in.all())
		require.NoError(t, c.Close())
		synctest.Wait()

		frozen.Advance(30 * time.Minute)
		_, in = receive(s, d, mcsclient.Options{})
		synctest.Wait()
		assert.Equal(t, []string{"long"}, in.all())
	})
}

func TestARestartInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := ccstest.Start(t, ccstest.InMemory)
		addr := s.XMPPAddr()
		s.Stop()
		_, err := s.Dial(t.Context(), "tcp", addr)
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		s.Restart()
		assert.Equal(t, addr, s.XMPPAddr())
		s.AppServer(ccsclient.Options{})
	})
}

func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n ccstest.Network
		l, err := n.Listen("tcp", "127.0.0.1:5235")
		require.NoError(t, err)
		assert.Equal(t, "127.0.0.1:5235", l.Addr().String())
		_, err = n.Listen("tcp", "localhost:5235")
		assert.ErrorIs(t, err, syscall.EADDRINUSE)
		any, err := n.Listen("tcp", ":0")
		require.NoError(t, err)
		assert.NotEqual(t, l.Addr().String(), any.Addr().String())

		near, err := n.DialContext(t.Context(), "tcp", "gcm.googleapis.com:5235")
		require.NoError(t, err)
		far, err := l.Accept()
		require.NoError(t, err)
		assert.Equal(t, near.LocalAddr(), far.RemoteAddr())
		assert.Equal(t, far.LocalAddr(), near.RemoteAddr())
		near.Close()
		far.Close()

		// The backlog is bounded. A client that waits for a place has a context.
		full := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for {
				if _, err := n.DialContext(ctx, "tcp", ":5235"); err != nil {
					return err
				}
			}
		}
		assert.ErrorIs(t, full(), context.DeadlineExceeded)
		require.NoError(t, l.Close())
		_, err = l.Accept()
		assert.ErrorIs(t, err, net.ErrClosed)
		_, err = n.DialContext(t.Context(), "tcp", ":5235")
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

func TestRunReportsWhatFails(t *testing.T) {
	ran := false
	require.NoError(t, ccstest.Run(func(s *ccstest.Server) { s.AppServer(ccsclient.Options{}); ran = true }, ccstest.InMemory))
	assert.True(t, ran)
	err := ccstest.Run(func(s *ccstest.Server) {
		s.Key = "wrong"
		s.AppServer(ccsclient.Options{})
	}, ccstest.InMemory)
	var refused *ccsclient.AuthError
	assert.ErrorAs(t, err, &refused)
	assert.Error(t, ccstest.Run(func(*ccstest.Server) {}, ccstest.Store("nonsense:")))
}

// A whole server, an app server and a device in one program.
func ExampleRun() {
	err := ccstest.Run(func(s *ccstest.Server) {
		device := s.Enrol("com.example.app")
		got := make(chan string)
		s.Connect(device, mcsclient.Options{OnMessage: func(m *mcsclient.Message) {
			text, _ := m.Get("text")
			got <- text
		}})
		app := s.AppServer(ccsclient.Options{})
		if _, err := app.SendWait(context.Background(), &ccsclient.Message{
			To:   device.Token,
			Data: map[string]string{"text": "hello"},
		}); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(<-got)
	}, ccstest.InMemory)
	if err != nil {
		fmt.Println(err)
	}
	// Output: hello
}

// An unacknowledged message comes again after a minute of the clock of messages, not of the wall
// clock (CCS 4.3).
func TestResendsGoByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		frozen := clock.NewManual(time.Date(2015, 6, 1, 9, 0, 0, 0, time.UTC))
		s := ccstest.Start(t, ccstest.InMemory, ccstest.Clock(frozen))
		in := newInbox[string]()
		s.AppServer(ccsclient.Options{OnUpstream: func(u *ccsclient.Upstream) error {
			in.add(u.MessageID)
			return errLater
		}})
		d := s.Enrol("com.example.app")
		dev := s.Connect(d, mcsclient.Options{})
		require.NoError(t, dev.Send(t.Context(), &mcsclient.Upstream{To: s.Sender, Category: d.App, ID: "u"}, nil))
		time.Sleep(30 * time.Minute)
		assert.Len(t, in.all(), 1)

		wall := time.Now()
		frozen.Advance(59 * time.Second)
		synctest.Wait()
		assert.Len(t, in.all(), 1)
		frozen.Advance(time.Second)
		synctest.Wait()
		assert.Len(t, in.all(), 2, "a minute")
		frozen.Advance(2 * time.Minute)
		synctest.Wait()
		assert.Len(t, in.all(), 3, "and two more")
		assert.Zero(t, time.Since(wall))
	})
}
