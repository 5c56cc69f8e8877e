package mcsserver_test

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsserver"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// silentFor checks that nothing comes for a time, and that the connection stays open.
func (p *peer) silentFor(d time.Duration) {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(d))
	tag, _, err := p.in.Next()
	require.ErrorIs(p.t, err, os.ErrDeadlineExceeded, "%s", tag)
}

// pinged waits for a heartbeat and returns how long that took.
func (p *peer) pinged() time.Duration {
	p.t.Helper()
	start := time.Now()
	var ping mcs.Heartbeat
	p.expect(mcs.TagHeartbeatPing, &ping)
	assert.Equal(p.t, p.sent, ping.LastStreamID, "every frame says what was received (DEV 7.1)")
	return time.Since(start)
}

// A device that answers heartbeats must answer one of two in a row (DEV 8).
func TestTwoMissedHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, mcsserver.Options{})
		p := w.login()
		assert.Equal(t, 30*time.Minute, p.pinged())
		p.write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, p.got))
		assert.Equal(t, 30*time.Minute, p.pinged())
		assert.Equal(t, time.Minute, p.pinged(), "one was missed")
		p.write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, p.got))
		assert.Equal(t, 30*time.Minute, p.pinged(), "and the next was not")
		assert.Equal(t, time.Minute, p.pinged())
		start := time.Now()
		p.closed()
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

// Some clients never answer a heartbeat, and must not be dropped for that (DEV 8).
func TestADeviceThatNeverAnswersHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, mcsserver.Options{})
		p := w.login()
		for range 5 {
			assert.Equal(t, 30*time.Minute, p.pinged())
		}
		w.send("1")
		ids, _ := p.ids(1)
		assert.Equal(t, []string{"1"}, ids)
	})
}

func TestADeviceWithHeartbeatsOfItsOwnIsNotPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, mcsserver.Options{})
		p := w.login()
		for range 5 {
			p.silentFor(28 * time.Minute)
			p.ping()
		}
	})
}

// The interval that the server asks for applies to the server too (DEV 8).
func TestHeartbeatConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, mcsserver.Options{Heartbeat: 4 * time.Minute})
		p := w.dial()
		resp := p.login(w.loginRequest())
		require.NotNil(t, resp.HeartbeatConfig)
		assert.EqualValues(t, 240_000, resp.HeartbeatConfig.IntervalMS)
		p.ping()
		assert.Equal(t, 5*time.Minute, p.pinged())
		assert.Equal(t, time.Minute, p.pinged())
		p.closed()
	})
}

// The answer to the server's ping has the number that acknowledges messages (DEV 7.2).
func TestAPingFetchesAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, mcsserver.Options{})
		p := w.login()
		w.send("1", "2")
		p.ids(2)
		p.pinged()
		require.Equal(t, 2, w.waiting())
		p.write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, p.got))
		synctest.Wait()
		assert.Zero(t, w.waiting())
	})
}

// A device that never acknowledges does not fill its window forever: expired messages leave it
// (DEV 7.2, 13).
func TestADeviceThatNeverAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, mcsserver.Options{})
		w.store.ackAsync = func([]store.ID, func(error)) bool {
			t.Error("AckAsync ends it as acknowledged")
			return false
		}
		p := w.login()
		w.sendMessage(ccs.Downstream{To: w.token, ID: "short", TTL: time.Minute, ReceiptRequested: true, Data: payload.Data{}.Append("id", "short")})
		w.send("long")
		p.ids(2)
		require.Equal(t, 2, w.waiting())
		p.pinged()
		synctest.Wait()
		assert.Equal(t, 1, w.waiting())
		assert.Empty(t, w.receipts(), "it was not acknowledged")
		w.ended(ccs.EndExpired)
		p.nc.Close()
		p = w.login()
		ids, _ := p.ids(1)
		assert.Equal(t, []string{"long"}, ids)
	})
}

// A frame that a device does not end would hold its buffer forever (DEV 4).
func TestAFrameThatDoesNotEnd(t *testing.T) {
	frame := mcs.AppendDataMessage(nil, up("u-1", "p-1"))
	for name, whole := range map[string]int{"at the start": 0, "behind a whole frame": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newBubble(t, mcsserver.Options{})
				p := w.login()
				var b []byte
				for range whole {
					b = append(b, frame...)
				}
				_, err := p.nc.Write(append(b, frame[:len(frame)-2]...))
				require.NoError(t, err)
				start := time.Now()
				if whole > 0 {
					var ack mcs.IqStanza
					p.expect(mcs.TagIqStanza, &ack)
				}
				time.Sleep(20 * time.Second)
				// More of the frame does not restart its time.
				_, err = p.nc.Write(frame[len(frame)-2 : len(frame)-1])
				require.NoError(t, err)
				p.closed()
				assert.Equal(t, time.Minute, time.Since(start))
			})
		})
	}
}

func TestASlowFrameIsReadAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, mcsserver.Options{})
		p := w.login()
		p.silentFor(20 * time.Minute)
		frame := mcs.AppendDataMessage(nil, up("u-1", "p-1"))
		pause := 59 * time.Second / time.Duration(len(frame))
		for i := range frame {
			_, err := p.nc.Write(frame[i : i+1])
			require.NoError(t, err)
			time.Sleep(pause)
		}
		p.sent++
		var ack mcs.IqStanza
		p.expect(mcs.TagIqStanza, &ack)
		assert.Equal(t, []string{"u-1"}, w.upstream())
	})
}

// A TLS record holds a buffer like a frame, even after a whole one.
func TestARecordThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, mcsserver.Options{})
		p := w.login()
		p.ping()
		_, err := p.tcp.Write([]byte{23, 3, 3, 0x40, 0, 1, 2, 3})
		require.NoError(t, err)
		start := time.Now()
		time.Sleep(50 * time.Second)
		_, err = p.tcp.Write([]byte{4}) // more of it does not restart its time
		require.NoError(t, err)
		p.closed()
		assert.Equal(t, time.Minute, time.Since(start))
	})
}

// Before the login, a connection has little time (DEV 4).
func TestWhoDoesNotLogIn(t *testing.T) {
	for _, row := range []struct {
		name  string
		say   func(p *peer)
		after time.Duration
	}{
		{"silence", func(*peer) {}, 10 * time.Second},
		{"half a TLS handshake", func(p *peer) { p.tcp.Write([]byte{22, 3, 1, 2, 0}) }, 10 * time.Second},
		{"TLS and silence", func(p *peer) { p.nc.Handshake() }, 30 * time.Second},
		{"a version and silence", func(p *peer) { p.nc.Write([]byte{mcs.Version}) }, 30 * time.Second},
		{"half a login", func(p *peer) { p.nc.Write([]byte{mcs.Version, byte(mcs.TagLoginRequest), 100}) }, 30 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newBubble(t, mcsserver.Options{})
				start := time.Now()
				p := w.dial()
				row.say(p)
				p.tcp.SetReadDeadline(time.Now().Add(time.Minute))
				var err error
				for b := make([]byte, 1024); err == nil; {
					_, err = p.tcp.Read(b)
				}
				require.False(t, errors.Is(err, os.ErrDeadlineExceeded))
				assert.Equal(t, row.after, time.Since(start))
			})
		})
	}
}

// Connections that never finish their handshake delay no other.
func TestHandshakesTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	hello := clientHello(t, w)
	for range 200 {
		p := w.dial()
		_, err := p.tcp.Write(hello[:len(hello)-1])
		require.NoError(t, err)
		p = w.dial()
		_, err = p.tcp.Write(hello) // and never reads the answer
		require.NoError(t, err)
	}
	w.login().ping()
}

// clientHello is the first record of a handshake.
func clientHello(t *testing.T, w *world) []byte {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn, 1)}
	here, err := l.dial()
	require.NoError(t, err)
	go tls.Client(here, w.tls).Handshake()
	there := <-l.conns
	defer there.Close()
	b := make([]byte, 16<<10)
	n, err := there.Read(b)
	require.NoError(t, err)
	return b[:n]
}
