package mcsclient_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// running is a device whose Run is under way.
type running struct {
	*mcsclient.Device
	events *outcomes
	cancel context.CancelFunc
	ended  chan error
}

func (n *network) device(o mcsclient.DeviceOptions) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{events: new(outcomes), cancel: cancel, ended: make(chan error, 1)}
	o.Options = n.options(o.Options)
	o.OnConnect = func() { r.events.done("connected")(nil) }
	o.OnDisconnect = func(reason error, wait time.Duration) { r.events.done("again in " + wait.String())(reason) }
	r.Device = mcsclient.NewDevice("mtalk.test:5228", identity, o)
	go func() { r.ended <- r.Run(ctx) }()
	n.t.Cleanup(func() { cancel(); synctest.Wait() })
	return r
}

func TestDeviceComesBackAndCarriesOver(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		d := n.device(mcsclient.DeviceOptions{Options: mcsclient.Options{Received: split("old")}})
		p := n.accept()
		assert.Equal(t, split("old"), p.login().ReceivedPersistentIDs)
		p.write(messages("a", "b"))
		p.expectAck(3)
		p.write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, 2)) // the ack arrived

		var told outcomes
		for _, id := range split("u1 u2") {
			require.NoError(t, d.Send(t.Context(), &mcsclient.Upstream{ID: id}, told.done(id)))
		}
		require.NoError(t, d.Send(t.Context(), &mcsclient.Upstream{ID: "u3", TTL: mcsclient.NowOrNever}, told.done("u3")))
		first := p.expectData()
		second := p.expectData()
		p.expectData()
		p.write(mcs.AppendStreamAck(nil, 3)) // u1; the client's frames are login, ack, u1
		synctest.Wait()
		assert.EqualValues(t, split("u1"), told)
		time.Sleep(11 * time.Second) // of the bubble's time: the connection counts as stable
		p.write(messages("c"))
		p.expectAck(6)
		p.goodbye()

		p = n.accept()
		assert.EqualValues(t, []string{"connected", "again in 0s: mcsclient: closed by the server"}, *d.events)
		assert.EqualValues(t, []string{"u1", "u3: mcsclient: closed by the server"}, told)
		require.NoError(t, d.Send(t.Context(), &mcsclient.Upstream{ID: "u4"}, told.done("u4")), "not connected is no error")
		assert.ErrorIs(t, d.Send(t.Context(), &mcsclient.Upstream{TTL: mcsclient.NowOrNever}, nil), mcsclient.ErrNotConnected)
		assert.Equal(t, split("c"), p.login().ReceivedPersistentIDs, "a and b are known to be acknowledged")

		again := p.expectData()
		assert.Equal(t, "u2", again.ID)
		assert.Equal(t, second.PersistentID, again.PersistentID)
		assert.NotEqual(t, first.PersistentID, again.PersistentID)
		assert.EqualValues(t, 11, again.Queued)
		assert.Equal(t, "u4", p.expectData().ID)
		assert.Len(t, d.Unacked(), 2)
		p.write(mcs.AppendStreamAck(nil, 3))
		synctest.Wait()
		assert.EqualValues(t, []string{"u1", "u3: mcsclient: closed by the server", "u2", "u4"}, told)
		assert.Empty(t, d.Unacked())
		assert.Empty(t, d.Received())
	})
}

func TestDeviceBacksOff(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		d := n.device(mcsclient.DeviceOptions{Backoff: func(failures int) time.Duration {
			return time.Duration(failures) * time.Hour
		}})
		_ = n.accept().conn.Close()
		p := n.accept()
		p.login()
		p.goodbye() // too early to count as a success
		p = n.accept()
		p.login()
		time.Sleep(11 * time.Second)
		p.goodbye()
		_ = n.accept().conn.Close()
		p = n.accept()
		p.login()
		synctest.Wait()
		assert.EqualValues(t, []string{
			"again in 1h0m0s: mcsclient: log in: " + io.ErrClosedPipe.Error(), "connected", "again in 2h0m0s: mcsclient: closed by the server",
			"connected", "again in 0s: mcsclient: closed by the server", "again in 1h0m0s: mcsclient: log in: " + io.ErrClosedPipe.Error(), "connected",
		}, *d.events)
	})
}

func TestDefaultBackoffGrowsToFifteenSeconds(t *testing.T) {
	assert.Zero(t, mcsclient.DefaultBackoff(0))
	assert.Zero(t, mcsclient.DefaultBackoff(-1))
	for failures := 1; failures < 40; failures++ {
		most := min(time.Duration(failures), 15) * time.Second
		for range 50 {
			wait := mcsclient.DefaultBackoff(failures)
			assert.LessOrEqual(t, wait, most)
			assert.Greater(t, wait, most*66/100)
		}
	}
}

func TestDeviceEndsWithItsContext(t *testing.T) {
	t.Run("while it is connected, with a goodbye", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network) {
			d := n.device(mcsclient.DeviceOptions{})
			p := n.accept()
			p.login()
			p.write(messages("a"))
			p.expectAck(2)
			d.cancel()
			p.expect(mcs.TagClose)
			_, _, _ = p.in.Next()
			assert.ErrorIs(t, <-d.ended, context.Canceled)
			assert.Equal(t, split("a"), d.Received(), "for the next run")
			assert.EqualValues(t, split("connected"), *d.events)
		})
	})
	t.Run("while it waits", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network) {
			d := n.device(mcsclient.DeviceOptions{})
			_ = n.accept().conn.Close()
			synctest.Wait()
			d.cancel()
			assert.ErrorIs(t, <-d.ended, context.Canceled)
		})
	})
}

func TestDeviceEndsWhenItIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		d := n.device(mcsclient.DeviceOptions{})
		p := n.accept()
		p.readLogin()
		p.answer(&mcs.LoginResponse{Error: &mcs.ErrorInfo{Code: 401}})
		var refused *mcsclient.LoginError
		assert.ErrorAs(t, <-d.ended, &refused)
	})
}

func TestDeviceDropsWhatIsTooOld(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		var told outcomes
		left := &mcsclient.Upstream{ID: "left", PersistentID: "7", Sent: time.Now()}
		d := n.device(mcsclient.DeviceOptions{
			Unacked: []*mcsclient.Upstream{left},
			Backoff: func(int) time.Duration { return 2 * time.Hour },
		})
		require.NoError(t, d.Send(t.Context(), &mcsclient.Upstream{ID: "old", TTL: time.Minute}, told.done("old")))
		require.NoError(t, d.Send(t.Context(), &mcsclient.Upstream{ID: "new"}, told.done("new")))
		_ = n.accept().conn.Close()
		p := n.accept()
		p.login()
		got := p.expectData()
		assert.Equal(t, "left", got.ID)
		assert.Equal(t, "7", got.PersistentID)
		assert.Equal(t, "new", p.expectData().ID)
		synctest.Wait()
		assert.EqualValues(t, []string{"old: mcsclient: time-to-live exceeded"}, told)
	})
}
