package mcsserver_test

import (
	"context"
	"fmt"
	"io"
	"sync"
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

// These are a good login and bad ones (DEV 6).
func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{Heartbeat: 20 * time.Second}, ccs.Options{})
	p := w.dial()
	resp := p.login(w.loginRequest())
	assert.Equal(t, "chrome-156.0.8078.79", resp.ID)
	assert.Nil(t, resp.Error)
	assert.EqualValues(t, 1, resp.LastStreamID)
	assert.InDelta(t, time.Now().UnixMilli(), resp.ServerTimestamp, 60_000)
	require.NotNil(t, resp.HeartbeatConfig)
	assert.EqualValues(t, 20_000, resp.HeartbeatConfig.IntervalMS)
	p.ping()

	for _, row := range []struct {
		name   string
		change func(*mcs.LoginRequest)
	}{
		{"wrong security token", func(r *mcs.LoginRequest) { r.AuthToken = "1" }},
		{"security token that is no number", func(r *mcs.LoginRequest) { r.AuthToken = "x" }},
		{"unknown device", func(r *mcs.LoginRequest) { r.User = "12345" }},
		{"device that is no number", func(r *mcs.LoginRequest) { r.User = "me" }},
		{"another auth_service", func(r *mcs.LoginRequest) { r.AuthService = 1 }},
	} {
		t.Run(row.name, func(t *testing.T) {
			req := w.loginRequest()
			row.change(req)
			p := w.dial()
			p.t = t
			resp := p.login(req)
			require.NotNil(t, resp.Error)
			assert.EqualValues(t, 401, resp.Error.Code)
			assert.Equal(t, "Authentication Failed: wrong_secret", resp.Error.Message)
			p.closed()
		})
	}
	for name, bytes := range map[string][]byte{
		"a heartbeat before the login": mcs.AppendHeartbeat([]byte{mcs.Version}, mcs.TagHeartbeatPing, 0),
		"an old version":               mcs.AppendFrame([]byte{7}, mcs.TagLoginRequest, w.loginRequest()),
		"not MCS at all":               []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			p := w.dial()
			p.t = t
			p.write(bytes)
			p.closed()
		})
	}
}

// A message becomes a stanza that is routed to its app (DEV 9.1, 9.2), and always has a pair
// (DEV 14 no. 18).
func TestDownstream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	w.send("waited")
	p := w.login()
	m := p.data()
	assert.Equal(t, string(testSender), m.From)
	assert.Equal(t, testApp, m.Category)
	assert.Equal(t, []mcs.KV{{Key: "id", Value: "waited"}}, m.AppData)
	assert.EqualValues(t, 3600, m.TTL)
	assert.InDelta(t, time.Now().UnixMilli(), m.Sent, 60_000)
	assert.Regexp(t, `^0:\d{16}%[0-9a-f]{16}$`, m.PersistentID)
	assert.EqualValues(t, 1, m.LastStreamID, "the login request was received")

	w.sendMessage(ccs.Downstream{To: w.token, ID: "m-2", TTL: time.Hour, CollapseKey: "k"})
	m = p.data()
	assert.Equal(t, "k", m.Token)
	assert.Equal(t, []mcs.KV{{Key: "message_type", Value: "gcm"}}, m.AppData, "never without a pair")

	token := w.register(store.Registration{App: "org.chromium.linux", Subtype: "wp:x"})
	w.sendMessage(ccs.Downstream{To: token, ID: "m-3", TTL: time.Hour, Data: payload.Data{}.Append("subtype", "forged").Append("k", "v")})
	m = p.data()
	assert.Equal(t, "org.chromium.linux", m.Category)
	assert.Equal(t, []mcs.KV{{Key: "subtype", Value: "wp:x"}, {Key: "k", Value: "v"}}, m.AppData)

	w.sendMessage(ccs.Downstream{To: w.token, ID: "m-4", TTL: 0, Data: payload.Data{}.Append("id", "now")})
	m = p.data()
	assert.Empty(t, m.PersistentID, "what was never stored is best effort")
	assert.True(t, m.HasTTL)

	w.sendMessage(ccs.Downstream{To: w.token, ID: "m-5", TTL: time.Hour, ReceiptRequested: true})
	assert.True(t, p.data().ImmediateAck, "a receipt is wanted soon")
	p.ack()
	assert.Zero(t, w.waiting())
}

// Unacknowledged messages come again at the next login, and never before (DEV 7.2).
func TestRedelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	w.send("1", "2", "3", "4", "5", "6")
	ids, persistent := p.ids(6)
	assert.Equal(t, []string{"1", "2", "3", "4", "5", "6"}, ids)
	p.write(mcs.AppendStreamAck(nil, 3)) // frames: login response, 1, 2
	p.write(mcs.AppendSelectiveAck(nil, 0, []string{persistent[3], "unknown", "0:1%2"}))
	p.ping()
	p.nc.Close()
	p = w.login(persistent[4], "unknown")
	ids, again := p.ids(2)
	assert.Equal(t, []string{"3", "6"}, ids)
	assert.Equal(t, []string{persistent[2], persistent[5]}, again, "under the same persistent id")
	p.ack()
	w.send("7")
	ids, _ = p.ids(1)
	assert.Equal(t, []string{"7"}, ids)
}

func TestAckInAnyFrame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	for name, frame := range map[string]func() []byte{
		"heartbeat ping": func() []byte { return mcs.AppendHeartbeat(nil, mcs.TagHeartbeatPing, p.got) },
		"heartbeat ack":  func() []byte { return mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, p.got) },
		"data message": func() []byte {
			return mcs.AppendDataMessage(nil, &mcs.DataMessage{Category: "com.google.android.gsf.gtalkservice", LastStreamID: p.got})
		},
	} {
		w.send(name)
		p.data()
		p.write(frame())
		if name != "heartbeat ack" {
			_, _, err := p.in.Next() // HeartbeatAck or StreamAck
			require.NoError(t, err)
			p.got++
		}
		p.ping()
		assert.Zero(t, w.waiting(), name)
	}
}

// A marker tells of discarded messages (DEV 9.3).
func TestDeletedMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	for i := range 101 {
		w.send(fmt.Sprint(i))
	}
	p := w.login()
	m := p.data()
	assert.Equal(t, testApp, m.Category)
	assert.Equal(t, []mcs.KV{{Key: "message_type", Value: "deleted_messages"}, {Key: "total_deleted", Value: "101"}}, m.AppData)
	p.ack()
	assert.Zero(t, w.waiting())
}

func up(id, persistent string) *mcs.DataMessage {
	return &mcs.DataMessage{
		ID: id, PersistentID: persistent, From: "gcm@chrome.com", To: string(testSender) + "@gcm.googleapis.com",
		Category: testApp, AppData: []mcs.KV{{Key: "k", Value: "v"}},
	}
}

// upstream acknowledges and returns the sender's waiting messages.
func (w *world) upstream() (ids []string) {
	w.t.Helper()
	entries, err := w.store.Claim(context.Background(), testSender.Key(), 1, 1000, time.Now())
	require.NoError(w.t, err)
	for _, e := range entries {
		var m ccs.Message
		require.NoError(w.t, m.Decode(e.Body))
		require.Equal(w.t, w.token, m.From)
		ids = append(ids, m.ID)
	}
	return ids
}

// Upstream messages are stored, then acknowledged, and repeats dropped (DEV 7.3, 10).
func TestUpstream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	p.write(mcs.AppendDataMessage(nil, up("u-1", "p-1")))
	var ack mcs.IqStanza
	p.expect(mcs.TagIqStanza, &ack)
	assert.EqualValues(t, mcs.ExtensionStreamAck, ack.ExtensionID)
	assert.EqualValues(t, 2, ack.LastStreamID)
	assert.Equal(t, []string{"u-1"}, w.upstream(), "stored before it was acknowledged")

	batch := mcs.AppendDataMessage(nil, up("u-1", "p-1")) // a repeat
	batch = mcs.AppendDataMessage(batch, up("u-2", "p-2"))
	batch = mcs.AppendDataMessage(batch, up("u-3", "p-3"))
	p.write(batch)
	p.sent += 2
	p.expect(mcs.TagIqStanza, &ack)
	assert.EqualValues(t, 5, ack.LastStreamID, "one acknowledgement for what came together")
	assert.Equal(t, []string{"u-2", "u-3"}, w.upstream())

	bad := up("u-4", "p-4")
	bad.To = "111111111111@gcm.googleapis.com"
	p.write(mcs.AppendDataMessage(nil, bad))
	m := p.data()
	assert.EqualValues(t, 6, m.LastStreamID)
	assert.Equal(t, "u-4", m.PersistentID)
	kind, _ := m.Get("message_type")
	assert.Equal(t, "send_error", kind)
	failed, _ := m.Get("google.message_id")
	assert.Equal(t, "u-4", failed)
	p.ack()
	assert.Zero(t, w.waiting(), "the send_error is acknowledged by its frame")
}

func TestAndroidNamesMessagesByPersistentID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.dial()
	req := w.loginRequest()
	req.ID = "android-34"
	require.Nil(t, p.login(req).Error)
	m := up("3f", "the app's id")
	m.From = w.token
	p.write(mcs.AppendDataMessage(nil, m))
	var ack mcs.IqStanza
	p.expect(mcs.TagIqStanza, &ack)
	assert.Equal(t, []string{"the app's id"}, w.upstream())
}

// The newest login wins (DEV 6, DEV 14 no. 13).
func TestTakeover(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	older := w.login()
	w.send("1")
	older.ids(1)
	newer := w.login()
	older.closed()
	ids, _ := newer.ids(1)
	assert.Equal(t, []string{"1"}, ids)
	w.send("2")
	ids, _ = newer.ids(1)
	assert.Equal(t, []string{"2"}, ids)
}

func TestManyMessagesStayInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	const total = 2000
	go func() {
		for i := range total {
			w.send(fmt.Sprint(i))
		}
	}()
	for i := range total {
		ids, _ := p.ids(1)
		require.Equal(t, []string{fmt.Sprint(i)}, ids)
		if i%100 == 99 {
			p.write(mcs.AppendStreamAck(nil, p.got))
		}
	}
	p.ping()
	assert.Zero(t, w.waiting())
}

// A device that never acknowledges gets everything up to the backlog's limit (DEV 13:
// push-receiver).
func TestAWindowThatIsFullWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{Profile: ccs.Profile{DeviceBacklog: 3}})
	w.send("1", "2", "3", "4")
	p := w.login()
	p.ids(3)
	p.ping()
	p.write(mcs.AppendStreamAck(nil, 2))
	ids, _ := p.ids(1)
	assert.Equal(t, []string{"4"}, ids)
}

// A device that does not read is closed, and its messages stay in its queue.
func TestADeviceThatDoesNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{WriteTimeout: 100 * time.Millisecond}, ccs.Options{})
	p := w.login()
	w.fill()
	require.Eventually(t, func() bool {
		_, err := p.nc.Write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, 0))
		return err != nil
	}, patience, 20*time.Millisecond)
	p = w.login()
	got := p.data()
	assert.NotEmpty(t, got.PersistentID)
}

func TestPingFlood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{WriteTimeout: 100 * time.Millisecond}, ccs.Options{})
	p := w.login()
	flood := make([]byte, 0, 64<<10)
	for len(flood) < 60<<10 {
		flood = mcs.AppendFrame(flood, mcs.TagHeartbeatPing, nil)
	}
	deadline := time.Now().Add(patience)
	for {
		require.True(t, time.Now().Before(deadline), "the flood was never ended")
		if _, err := p.nc.Write(flood); err != nil {
			return
		}
	}
}

func TestCloseSaysClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	require.NoError(t, w.server.Close())
	tag, _, err := p.in.Next()
	require.NoError(t, err)
	assert.Equal(t, mcs.TagClose, tag)
	p.closed()
}

// Closed devices come back at once, so many are not closed at the same moment (DEV 11).
func TestManyConnectionsAreClosedOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, mcsserver.Options{})
		start := time.Now()
		var wg sync.WaitGroup
		ended := make([]time.Duration, 250)
		for i := range ended {
			p := w.dial()
			wg.Go(func() {
				io.Copy(io.Discard, p.tcp)
				ended[i] = time.Since(start)
			})
		}
		synctest.Wait()
		require.NoError(t, w.server.Close())
		wg.Wait()
		at := map[time.Duration]int{}
		for _, d := range ended {
			at[d]++
		}
		assert.Equal(t, map[time.Duration]int{0: 100, 20 * time.Millisecond: 100, 40 * time.Millisecond: 50}, at)
	})
}

func TestTheDevicesCloseEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	p.write(mcs.AppendFrame(nil, mcs.TagClose, nil))
	p.closed()
}

// The device's own acknowledgement, in any form, makes the receipt for the sender (CCS 3.5,
// DEV 7.2).
func TestReceipts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	owed := func(id string, ttl time.Duration) {
		w.sendMessage(ccs.Downstream{To: w.token, ID: id, TTL: ttl, ReceiptRequested: true})
	}
	p := w.login()
	owed("by stream", time.Hour)
	owed("by id", time.Hour)
	owed("at login", time.Hour)
	w.send("no receipt")
	var listed []string
	for range 4 {
		listed = append(listed, p.data().PersistentID)
	}
	owed("never stored", 0)
	p.data()
	assert.Empty(t, w.receipts(), "not before the device has said so")
	p.write(mcs.AppendStreamAck(nil, 2))
	p.write(mcs.AppendSelectiveAck(nil, 0, listed[1:2]))
	p.ping()
	assert.Equal(t, []string{"by stream", "by id"}, w.receipts())
	// Acknowledges all but the heartbeat's answer, and also messages that are never stored.
	p.write(mcs.AppendStreamAck(nil, p.got-1))
	p.ping()
	assert.ElementsMatch(t, []string{"at login", "never stored"}, w.receipts())

	owed("known", time.Hour)
	known := p.data().PersistentID
	p.nc.Close()
	p = w.login(known)
	p.ping()
	require.Eventually(t, func() bool { return assert.ObjectsAreEqual([]string{"known"}, w.receipts()) }, patience, time.Millisecond)
	assert.Zero(t, w.waiting())
}

// The first frame that a device gets is the answer to its login, even if many messages come during
// the login.
func TestNothingBeforeTheLoginsAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				w.router.Send(context.Background(), ccs.Source{Sender: testSender}, []ccs.Downstream{
					{To: w.token, ID: fmt.Sprint(i), TTL: time.Hour, CollapseKey: "k"},
				}, nil)
			}
		}
	}()
	var known []string
	for range 100 {
		p := w.login(known...) // it takes time to drop the listed messages
		known = append(known, p.data().PersistentID)
		p.nc.Close()
	}
	close(stop)
	<-stopped
}

// The messages that the device lists at login are forgotten before the answer, and their receipts
// stored.
func TestTheListOfALoginIsDealtWithFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	const total = 600 // more than are claimed at a time
	for i := range total {
		w.send(fmt.Sprint(i))
	}
	ids, persistent := p.ids(total)
	p.nc.Close()
	p = w.login(append(persistent[:200:200], persistent[400:]...)...)
	got, again := p.ids(200)
	assert.Equal(t, ids[200:400], got, "what it did not list, and in order")
	assert.Equal(t, persistent[200:400], again)
	p.ack()
	assert.Zero(t, w.waiting())
}
