package mcsclient_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// outcomes collects the arguments of done functions. Read it only when the bubble is quiet.
type outcomes []string

func (o *outcomes) done(id string) func(error) {
	return func(err error) {
		if err != nil {
			id += ": " + err.Error()
		}
		*o = append(*o, id)
	}
}

func TestSendWritesWhatChromiumWould(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, p := n.connected(mcsclient.Options{})
		m := &mcsclient.Upstream{
			ID: "m1", To: "1@gcm.googleapis.com", Category: "ext", CollapseKey: "ck", RegistrationID: "reg",
			Data: []mcsclient.Pair{{Key: "k", Value: "v"}, {Key: "e", Value: ""}},
			TTL:  time.Hour, Sent: time.Now().Add(-90 * time.Second),
		}
		require.NoError(t, c.Send(t.Context(), m, nil))
		got := p.expectData()
		assert.NotEmpty(t, m.PersistentID)
		assert.Equal(t, mcs.DataMessage{
			ID: "m1", From: "gcm@chrome.com", To: "1@gcm.googleapis.com", Category: "ext", Token: "ck", RegID: "reg",
			AppData:      []mcs.KV{{Key: "k", Value: "v"}, {Key: "e", Value: ""}},
			PersistentID: m.PersistentID, LastStreamID: 1, TTL: 3600, HasTTL: true,
			Sent: m.Sent.Unix() + 11644473600, Queued: 90, // seconds since 1601
		}, got)
	})
}

func TestSendFillsInDefaults(t *testing.T) {
	rows := []struct {
		name     string
		clientID string
		m        mcsclient.Upstream
		check    func(t *testing.T, m mcs.DataMessage)
	}{
		{
			name: "a day to live and a persistent id",
			check: func(t *testing.T, m mcs.DataMessage) {
				assert.EqualValues(t, 86400, m.TTL)
				assert.NotEmpty(t, m.PersistentID)
			},
		},
		{
			name: "not more than a day",
			m:    mcsclient.Upstream{TTL: 48 * time.Hour},
			check: func(t *testing.T, m mcs.DataMessage) {
				assert.EqualValues(t, 86400, m.TTL)
			},
		},
		{
			name: "now or never has a ttl of zero and no persistent id",
			m:    mcsclient.Upstream{TTL: mcsclient.NowOrNever},
			check: func(t *testing.T, m mcs.DataMessage) {
				assert.True(t, m.HasTTL)
				assert.Zero(t, m.TTL)
				assert.Empty(t, m.PersistentID)
			},
		},
		{
			name:     "an Android client's persistent id is its message id, and its clock is Unix",
			clientID: "android-36",
			m:        mcsclient.Upstream{ID: "m7", From: "APA91b", Sent: time.Unix(1400000000, 0)},
			check: func(t *testing.T, m mcs.DataMessage) {
				assert.Equal(t, "m7", m.PersistentID)
				assert.Equal(t, "APA91b", m.From)
				assert.EqualValues(t, 1400000000, m.Sent)
				assert.Zero(t, m.Queued, "the bubble's clock is behind")
			},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				c, p := n.connected(mcsclient.Options{ClientID: row.clientID})
				require.NoError(t, c.Send(t.Context(), &row.m, nil))
				row.check(t, p.expectData())
			})
		})
	}
}

func TestDoneFollowsTheServersCount(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, p := n.connected(mcsclient.Options{})
		var told outcomes
		var sent []*mcsclient.Upstream
		for _, id := range split("a b c d") {
			m := &mcsclient.Upstream{ID: id}
			sent = append(sent, m)
			require.NoError(t, c.Send(t.Context(), m, told.done(id)))
			assert.Equal(t, id, p.expectData().ID)
		}
		p.write(mcs.AppendStreamAck(nil, 1)) // the login only
		synctest.Wait()
		assert.Empty(t, told)
		p.write(messages("down")) // any frame counts; this one says 1 again
		p.expectAck(3)            // that is the client's frame 6
		p.write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, 3))
		synctest.Wait()
		assert.EqualValues(t, split("a b"), told)
		assert.Equal(t, sent[2:], c.Unacked())
		p.write(mcs.AppendSelectiveAck(nil, 0, []string{sent[3].PersistentID, "unknown"}))
		synctest.Wait()
		assert.EqualValues(t, split("a b d"), told)
		assert.Equal(t, sent[2:3], c.Unacked())
		p.write(mcs.AppendStreamAck(nil, 1000)) // more than the client sent
		synctest.Wait()
		assert.EqualValues(t, split("a b d c"), told)
		assert.Empty(t, c.Unacked())
	})
}

func TestWhatIsNotAcknowledgedIsTold(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, p := n.connected(mcsclient.Options{})
		var told outcomes
		a, b := &mcsclient.Upstream{ID: "a"}, &mcsclient.Upstream{ID: "b", TTL: mcsclient.NowOrNever}
		require.NoError(t, c.Send(t.Context(), a, told.done("a")))
		require.NoError(t, c.Send(t.Context(), b, told.done("b")))
		p.expectData()
		p.expectData()
		p.write(mcs.AppendFrame(nil, mcs.TagClose, nil))
		<-c.Done()
		assert.EqualValues(t, []string{"a: mcsclient: closed by the server", "b: mcsclient: closed by the server"}, told)
		assert.Equal(t, []*mcsclient.Upstream{a}, c.Unacked(), "what was now or never is not sent again")
	})
}

func TestTheWindowHoldsSendersBack(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, p := n.connected(mcsclient.Options{Window: 2})
		for _, id := range split("a b") {
			require.NoError(t, c.Send(t.Context(), &mcsclient.Upstream{ID: id}, nil))
			p.expectData()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		assert.ErrorIs(t, c.Send(ctx, &mcsclient.Upstream{ID: "c"}, nil), context.DeadlineExceeded)

		sent := make(chan error, 1)
		go func() { sent <- c.Send(context.Background(), &mcsclient.Upstream{ID: "d"}, nil) }()
		synctest.Wait()
		p.write(mcs.AppendStreamAck(nil, 2))
		require.NoError(t, <-sent)
		assert.Equal(t, "d", p.expectData().ID)

		go func() { sent <- c.Send(context.Background(), &mcsclient.Upstream{ID: "e"}, nil) }()
		synctest.Wait()
		p.write(mcs.AppendFrame(nil, mcs.TagClose, nil))
		assert.ErrorIs(t, <-sent, mcsclient.ErrClosedByServer)
	})
}

func TestPersistentIDsDiffer(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, p := n.connected(mcsclient.Options{})
		seen := map[string]bool{}
		for i := range 100 { // the bubble's clock stands still
			require.NoError(t, c.Send(t.Context(), &mcsclient.Upstream{ID: fmt.Sprint(i)}, nil))
			seen[p.expectData().PersistentID] = true
		}
		assert.Len(t, seen, 100)
	})
}

func TestMessagesAreWhatTheServerSaid(t *testing.T) {
	rows := []struct {
		name string
		wire mcs.DataMessage
		want mcsclient.Message
	}{
		{
			name: "a message from an app server",
			wire: mcs.DataMessage{
				ID: "i", From: "123", Category: "org.chromium.linux", Token: "ck", PersistentID: "0:1", TTL: 60,
				Sent: 1400000000123, ImmediateAck: true,
				AppData: []mcs.KV{{Key: "b", Value: "1"}, {Key: "subtype", Value: "wp:x"}, {Key: "a", Value: ""}},
			},
			want: mcsclient.Message{
				ID: "i", From: "123", Category: "org.chromium.linux", CollapseKey: "ck", PersistentID: "0:1",
				Subtype: "wp:x", TTL: time.Minute, Sent: time.UnixMilli(1400000000123), ImmediateAck: true,
				Data: []mcsclient.Pair{{Key: "b", Value: "1"}, {Key: "a", Value: ""}},
			},
		},
		{
			name: "a web push",
			wire: mcs.DataMessage{RawData: []byte{1, 2}, AppData: []mcs.KV{{Key: "message_type", Value: "gcm"}}},
			want: mcsclient.Message{RawData: []byte{1, 2}, Data: []mcsclient.Pair{}},
		},
		{
			name: "messages that were thrown away",
			wire: mcs.DataMessage{AppData: []mcs.KV{{Key: "message_type", Value: "deleted_messages"}, {Key: "total_deleted", Value: "101"}}},
			want: mcsclient.Message{Type: mcsclient.TypeDeletedMessages, Data: []mcsclient.Pair{{Key: "total_deleted", Value: "101"}}},
		},
		{
			name: "a send error",
			wire: mcs.DataMessage{PersistentID: "m1", AppData: []mcs.KV{{Key: "error", Value: "e"}, {Key: "message_type", Value: "send_error"}}},
			want: mcsclient.Message{Type: mcsclient.TypeSendError, PersistentID: "m1", Data: []mcsclient.Pair{{Key: "error", Value: "e"}}},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				got := make(chan *mcsclient.Message, 1)
				_, p := n.connected(mcsclient.Options{Ack: mcsclient.AckNever, OnMessage: func(m *mcsclient.Message) { got <- m }})
				p.write(mcs.AppendDataMessage(nil, &row.wire))
				p.write(mcs.AppendDataMessage(nil, &mcs.DataMessage{From: "another, in the same buffer"}))
				assert.Equal(t, &row.want, <-got)
				<-got
			})
		})
	}
}

func TestGetFindsData(t *testing.T) {
	m := mcsclient.Message{Data: []mcsclient.Pair{{Key: "a", Value: "1"}}}
	v, ok := m.Get("a")
	assert.True(t, ok)
	assert.Equal(t, "1", v)
	_, ok = m.Get("b")
	assert.False(t, ok)
}
