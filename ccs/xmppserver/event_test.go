package xmppserver_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/store"
)

// sessions is an observer that keeps the events of sessions.
type sessions struct {
	mu     sync.Mutex
	events []ccs.Event
}

// Observe implements ccs.Observer.
func (o *sessions) Observe(events []ccs.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range events {
		if e.Kind == ccs.EventSession {
			o.events = append(o.events, e)
		}
	}
}

func (o *sessions) all() []ccs.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]ccs.Event(nil), o.events...)
}

// A session that was opened closes once, with the reason, and has no other events.
func TestSessionsAreToldOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(t *testing.T, w *world, p *peer)
		why  string
	}{
		{"the peer ends its stream", func(_ *testing.T, _ *world, p *peer) { p.send("</stream:stream>") }, ccs.ClosedByPeer},
		{"the connection breaks", func(t *testing.T, _ *world, p *peer) { p.send("<mess"); require.NoError(t, p.nc.Close()) }, ccs.ClosedLost},
		{"the peer breaks a rule", func(_ *testing.T, _ *world, p *peer) { p.send("<?xml?>") }, ccs.ClosedProtocol},
		{"the connection drains", func(_ *testing.T, w *world, _ *peer) { w.server.DrainSome("", "") }, ccs.ClosedDrained},
		{"the server stops", func(t *testing.T, w *world, _ *peer) { require.NoError(t, w.server.Close()) }, ccs.ClosedShutdown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := &sessions{}
			w := newWorld(t, xmppserver.Options{DrainMin: time.Millisecond}, ccs.Options{Observer: o})
			w.dial().nc.Close() // a connection without a session
			p := w.login()
			p.quiet()
			require.Len(t, o.all(), 1)
			opened := o.all()[0]
			assert.Equal(t, ccs.CodeOpened, opened.Code)
			assert.Equal(t, ccs.SenderID(testSender).Key(), opened.Key)
			assert.Contains(t, opened.Conn, testSender+"@gcm.googleapis.com/")
			assert.NotZero(t, opened.Lease)
			tt.end(t, w, p)
			require.Eventually(t, func() bool { return len(o.all()) > 1 }, patience, time.Millisecond)
			require.NoError(t, w.server.Close())
			all := o.all()
			require.Len(t, all, 2)
			closed := all[1]
			assert.Equal(t, []any{ccs.CodeClosed, tt.why}, []any{closed.Code, closed.Text})
			assert.Equal(t, []any{opened.Key, opened.Lease, opened.Conn}, []any{closed.Key, closed.Lease, closed.Conn})
		})
	}
}

// The newer session of a device opens after the older one has closed.
func TestSessionsOfADeviceAreToldInOrder(t *testing.T) {
	t.Parallel()
	o := &sessions{}
	w := newWorld(t, xmppserver.Options{}, ccs.Options{Observer: o})
	id, secret, _ := w.identity()
	w.loginDevice(deviceHeader, id.String(), secret)
	w.loginDevice(deviceHeader, id.String(), secret)
	require.NoError(t, w.server.Close())
	var told []string
	leases := map[store.Lease]bool{}
	for _, e := range o.all() {
		told = append(told, e.Code+" "+e.Text)
		leases[e.Lease] = true
		assert.Equal(t, id.Key(), e.Key)
	}
	assert.Equal(t, []string{"opened ", "closed taken-over", "opened ", "closed shutdown"}, told)
	assert.Len(t, leases, 2)
}
