package mcsserver_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsserver"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// A session that was opened closes once, with the reason, before the device's next session opens.
func TestSessionsAreToldOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(w *world, p *peer)
		why  []string
	}{
		{"the device says Close", func(_ *world, p *peer) { p.write(mcs.AppendFrame(nil, mcs.TagClose, nil)); p.closed() }, []string{"opened", "closed peer"}},
		{"the connection breaks", func(w *world, p *peer) { p.write([]byte{8}); require.NoError(w.t, p.nc.Close()); w.until(2) }, []string{"opened", "closed lost"}},
		{"the device breaks a rule", func(_ *world, p *peer) {
			p.write(mcs.AppendFrame(nil, mcs.TagLoginRequest, &mcs.LoginRequest{}))
			p.closed()
		}, []string{"opened", "closed protocol"}},
		{"the device logs in again", func(w *world, p *peer) { w.login(); p.closed() }, []string{"opened", "closed taken-over", "opened", "closed shutdown"}},
		{"the device does not read", func(w *world, p *peer) { w.fill(); w.until(2) }, []string{"opened", "closed slow"}},
		{"the server stops", func(w *world, _ *peer) { require.NoError(w.t, w.server.Close()) }, []string{"opened", "closed shutdown"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mcsserver.Options{WriteTimeout: 200 * time.Millisecond}, ccs.Options{})
			nc, err := w.connect()
			require.NoError(t, err)
			nc.Close() // a connection without a session
			tt.end(w, w.login())
			require.NoError(t, w.server.Close())
			var told []string
			leases := map[store.Lease]string{}
			for _, e := range w.observed.sessions {
				told = append(told, strings.TrimSpace(e.Code+" "+e.Text))
				assert.Equal(t, w.device.Key(), e.Key)
				assert.NotEmpty(t, e.Conn)
				leases[e.Lease] = e.Conn
			}
			assert.Equal(t, tt.why, told)
			assert.Len(t, leases, len(told)/2)
		})
	}
}

// fill makes more messages wait than the sockets hold.
func (w *world) fill() {
	batch := make([]ccs.Downstream, 5000)
	for i := range batch {
		batch[i] = ccs.Downstream{To: w.token, ID: fmt.Sprint(i), TTL: time.Hour, Data: payload.Data{}.Append("id", strings.Repeat("x", 4000))}
	}
	w.router.Send(w.t.Context(), ccs.Source{Sender: testSender}, batch, nil)
}

// until waits for n events of sessions.
func (w *world) until(n int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		w.observed.mu.Lock()
		defer w.observed.mu.Unlock()
		return len(w.observed.sessions) >= n
	}, patience, time.Millisecond)
}
