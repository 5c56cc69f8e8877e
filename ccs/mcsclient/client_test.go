package mcsclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsclient"
)

func TestLoginSaysWhoAndWhatWasReceived(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		result := n.dial(t.Context(), mcsclient.Options{Received: split("a b"), HeartbeatInterval: 20 * time.Second})
		p := n.accept()
		assert.Equal(t, mcs.LoginRequest{
			ID: mcsclient.DefaultClientID, Domain: "mcs.android.com",
			User: "4611686018427387905", Resource: "4611686018427387905", AuthToken: "77",
			DeviceID:              "android-4000000000000001",
			Settings:              []mcs.Setting{{Name: "new_vc", Value: "1"}, {Name: "hbping", Value: "20000"}},
			ReceivedPersistentIDs: split("a b"), UseRMQ2: true, AuthService: mcs.AuthServiceAndroidID, NetworkType: 1,
		}, p.readLogin())
		p.answer(&mcs.LoginResponse{ID: mcsclient.DefaultClientID})
		d := <-result
		require.NoError(t, d.err)
		assert.Equal(t, split("a b"), d.client.Received(), "the server has not said that the list arrived")
		p.write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, 1))
		synctest.Wait()
		assert.Empty(t, d.client.Received())
		require.NoError(t, d.client.Close())
	})
}

func TestLoginFails(t *testing.T) {
	rows := []struct {
		name   string
		server func(p *peer)
		check  func(t *testing.T, err error)
	}{
		{
			name: "when the server refuses the identity",
			server: func(p *peer) {
				p.readLogin()
				p.answer(&mcs.LoginResponse{Error: &mcs.ErrorInfo{Code: 401, Message: "wrong_secret"}})
			},
			check: func(t *testing.T, err error) {
				var refused *mcsclient.LoginError
				require.ErrorAs(t, err, &refused)
				assert.Equal(t, mcsclient.LoginError{Code: 401, Message: "wrong_secret"}, *refused)
				assert.NotContains(t, err.Error(), "77")
			},
		},
		{
			name:   "when the server goes away",
			server: func(p *peer) { p.readLogin(); _ = p.conn.Close() },
			check:  func(t *testing.T, err error) { assert.ErrorIs(t, err, io.EOF) },
		},
		{
			name:   "when the server says nothing",
			server: func(p *peer) { p.readLogin() },
			check:  func(t *testing.T, err error) { assert.ErrorIs(t, err, context.DeadlineExceeded) },
		},
		{
			name:   "when the server speaks an old version",
			server: func(p *peer) { p.readLogin(); p.write([]byte{37}) },
			check:  func(t *testing.T, err error) { assert.EqualError(t, err, "mcsclient: log in: protocol version 37") },
		},
		{
			name:   "when something else comes first",
			server: func(p *peer) { p.readLogin(); p.write([]byte{mcs.Version, 0, 0}) },
			check: func(t *testing.T, err error) {
				assert.EqualError(t, err, "mcsclient: log in: the answer is a HeartbeatPing")
			},
		},
		{
			name:   "when the answer is malformed",
			server: func(p *peer) { p.readLogin(); p.write([]byte{38, 3, 1, 0xff}) },
			check:  func(t *testing.T, err error) { assert.ErrorIs(t, err, mcs.ErrBadFrame) },
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				result := n.dial(t.Context(), mcsclient.Options{})
				row.server(n.accept())
				row.check(t, (<-result).err)
			})
		})
	}
}

func TestLoginEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		ctx, cancel := context.WithCancel(t.Context())
		result := n.dial(ctx, mcsclient.Options{})
		n.accept().readLogin()
		cancel()
		assert.ErrorIs(t, (<-result).err, context.Canceled)
	})
}

func TestMessagesComeInOrderAndAreAcknowledgedTogether(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		var got []string
		c, p := n.connected(mcsclient.Options{OnMessage: func(m *mcsclient.Message) { got = append(got, m.PersistentID) }})
		p.write(messages("a", "b", "c"))
		p.expectAck(4) // login response and three messages
		assert.Equal(t, split("a b c"), got)
		assert.Equal(t, split("a b c"), c.Received(), "the server has not said that the ack arrived")

		p.write(messages("d")) // last_stream_id_received: 1, the login
		p.expectAck(5)
		assert.Equal(t, split("a b c d"), c.Received())
		p.write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, 2)) // our first ack
		synctest.Wait()
		assert.Equal(t, split("d"), c.Received())
		p.write(mcs.AppendStreamAck(nil, 3))
		synctest.Wait()
		assert.Empty(t, c.Received())
		p.quiet() // an acknowledgement of an acknowledgement would never end
	})
}

func TestAcknowledgementComesAfterTheCallback(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		begun, goOn := make(chan bool), make(chan bool)
		c, p := n.connected(mcsclient.Options{OnMessage: func(*mcsclient.Message) { begun <- true; <-goOn }})
		p.write(messages("a"))
		<-begun
		assert.Empty(t, c.Received())
		require.NoError(t, c.Send(t.Context(), &mcsclient.Upstream{ID: "u"}, nil))
		assert.EqualValues(t, 1, p.expectData().LastStreamID)
		goOn <- true
		p.expectAck(2)
	})
}

func TestMessagesWithoutPersistentIDAreNotAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, p := n.connected(mcsclient.Options{})
		p.write(messages("", ""))
		p.quiet()
		assert.Empty(t, c.Received())
		p.write(mcs.AppendFrame(nil, mcs.TagHeartbeatPing, nil)) // but they count
		assert.EqualValues(t, 4, mcs.LastStreamID(mcs.TagHeartbeatAck, p.expect(mcs.TagHeartbeatAck)))
	})
}

// These are the numbers of DEV 7.2 and 7.4, as observed in Chromium.
func TestEveryTenthMessageIsAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		_, p := n.connected(mcsclient.Options{Ack: 10})
		var nine []string
		for i := range 9 {
			nine = append(nine, fmt.Sprint(i))
		}
		p.write(messages(nine...))
		p.quiet()
		p.write(messages("9", "10", "11"))
		p.expectAck(11)
		p.quiet()
		p.write(mcs.AppendDataMessage(nil, &mcs.DataMessage{PersistentID: "now", ImmediateAck: true}))
		p.expectAck(14)
		p.write(messages("x"))
		p.quiet()
		p.write(mcs.AppendFrame(nil, mcs.TagHeartbeatPing, &mcs.Heartbeat{Status: 5}))
		var ack mcs.Heartbeat
		require.NoError(t, ack.Unmarshal(p.expect(mcs.TagHeartbeatAck)))
		assert.Equal(t, mcs.Heartbeat{LastStreamID: 16, Status: 5}, ack)
	})
}

func TestAClientThatNeverAcknowledgesKeepsItsList(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, p := n.connected(mcsclient.Options{Ack: mcsclient.AckNever})
		p.write(messages("a", "b"))
		p.quiet()
		p.write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatPing, 1))
		assert.Empty(t, p.expect(mcs.TagHeartbeatAck))
		p.write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, 2))
		synctest.Wait()
		assert.Equal(t, split("a b"), c.Received())
	})
}

func TestHeartbeats(t *testing.T) {
	t.Run("a silent server is pinged and then left", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network) {
			c, p := n.connected(mcsclient.Options{HeartbeatInterval: time.Minute})
			start := time.Now()
			p.expect(mcs.TagHeartbeatPing)
			assert.Equal(t, time.Minute, time.Since(start))
			<-c.Done()
			assert.WithinDuration(t, start.Add(2*time.Minute), time.Now(), 5*time.Second, "TLS tries to say goodbye")
			assert.ErrorIs(t, c.Err(), mcsclient.ErrHeartbeat)
		})
	})
	t.Run("any frame puts the ping off", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network) {
			_, p := n.connected(mcsclient.Options{HeartbeatInterval: time.Minute})
			start := time.Now()
			time.Sleep(40 * time.Second) // of the bubble's time
			p.write(messages(""))
			p.expect(mcs.TagHeartbeatPing)
			assert.Equal(t, 100*time.Second, time.Since(start))
			p.write(mcs.AppendHeartbeat(nil, mcs.TagHeartbeatAck, 2))
			p.expect(mcs.TagHeartbeatPing)
			assert.Equal(t, 160*time.Second, time.Since(start))
		})
	})
	t.Run("the server's interval wins", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network) {
			result := n.dial(t.Context(), mcsclient.Options{HeartbeatInterval: -1})
			p := n.accept()
			p.readLogin()
			p.answer(&mcs.LoginResponse{HeartbeatConfig: &mcs.HeartbeatConfig{IntervalMS: 20000}})
			d := <-result
			require.NoError(t, d.err)
			start := time.Now()
			p.expect(mcs.TagHeartbeatPing)
			assert.Equal(t, 20*time.Second, time.Since(start))
			require.NoError(t, d.client.Close())
		})
	})
	t.Run("a client may have none", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network) {
			c, _ := n.connected(mcsclient.Options{HeartbeatInterval: -1})
			time.Sleep(24 * time.Hour)
			assert.NoError(t, c.Err())
		})
	})
}

func TestTheEndHasAReason(t *testing.T) {
	rows := []struct {
		name  string
		frame []byte
		want  error
		text  string
	}{
		{name: "a close frame", frame: mcs.AppendFrame(nil, mcs.TagClose, nil), want: mcsclient.ErrClosedByServer},
		{name: "no frame of MCS", frame: []byte("GET /"), want: mcs.ErrBadFrame},
		{name: "a data message that is none", frame: []byte{8, 1, 0xff}, want: mcs.ErrBadFrame},
		{name: "an iq that is none", frame: []byte{7, 1, 0xff}, want: mcs.ErrBadFrame},
		{name: "a ping that is none", frame: []byte{0, 1, 0xff}, want: mcs.ErrBadFrame},
		{name: "a stream error that is none", frame: []byte{10, 1, 0xff}, want: mcs.ErrBadFrame},
		{name: "a selective ack that is none", frame: []byte{7, 7, 0x3a, 5, 8, 12, 0x12, 1, 0xff}, want: mcs.ErrBadFrame},
		{name: "a frame that only clients send", frame: mcs.AppendFrame(nil, mcs.TagLoginRequest, nil), text: "mcsclient: read: unexpected LoginRequest from the server"},
		{
			name: "a stream error and then the close",
			frame: mcs.AppendFrame(mcs.AppendFrame(nil, mcs.TagStreamErrorStanza, &mcs.StreamError{Type: "t"}),
				mcs.TagClose, nil),
			want: mcsclient.ErrClosedByServer,
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *network) {
				c, p := n.connected(mcsclient.Options{})
				p.write(row.frame)
				<-c.Done()
				if row.want != nil {
					assert.ErrorIs(t, c.Err(), row.want)
				} else {
					assert.EqualError(t, c.Err(), row.text)
				}
				assert.Equal(t, c.Err(), c.Send(t.Context(), &mcsclient.Upstream{}, nil))
			})
		})
	}
	t.Run("no close at all", func(t *testing.T) {
		bubble(t, func(t *testing.T, n *network) {
			c, p := n.connected(mcsclient.Options{})
			_ = p.conn.Close()
			<-c.Done()
			assert.ErrorIs(t, c.Err(), io.ErrUnexpectedEOF)
		})
	})
}

func TestCloseAcknowledgesAndSaysGoodbye(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, p := n.connected(mcsclient.Options{Ack: 10})
		p.write(messages("a"))
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		p.expectAck(2)
		p.expect(mcs.TagClose)
		_, _, err := p.in.Next()
		assert.Equal(t, io.EOF, err)
		require.NoError(t, <-closed)
		assert.ErrorIs(t, c.Err(), mcsclient.ErrClosed)
		assert.Equal(t, split("a"), c.Received())
		assert.NoError(t, c.Close(), "twice is harmless")
	})
}

func TestCloseDoesNotWaitForAServerThatDoesNotRead(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, _ := n.connected(mcsclient.Options{})
		start := time.Now()
		require.NoError(t, c.Close())
		assert.LessOrEqual(t, time.Since(start), 10*time.Second)
	})
}

func TestAServerThatDoesNotReadIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, _ := n.connected(mcsclient.Options{})
		ended := make(chan error, 1)
		require.NoError(t, c.Send(t.Context(), &mcsclient.Upstream{ID: "u"}, func(err error) { ended <- err }))
		<-c.Done()
		var timeout interface{ Timeout() bool }
		require.True(t, errors.As(c.Err(), &timeout) && timeout.Timeout(), c.Err())
		assert.Equal(t, c.Err(), <-ended)
	})
}

// With Reuse a message is overwritten by the next one, but the client remembers which ones it
// received.
func TestMessagesInTheSameMemory(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		var kept []*mcsclient.Message
		var ids []string
		c, p := n.connected(mcsclient.Options{Reuse: true, Ack: mcsclient.AckNever, OnMessage: func(m *mcsclient.Message) {
			kept = append(kept, m)
			ids = append(ids, strings.Clone(m.PersistentID))
		}})
		p.write(messages("first", "second"))
		p.write(messages("third")) // over the bytes of the others
		synctest.Wait()
		assert.Equal(t, split("first second third"), ids)
		assert.Same(t, kept[0], kept[1])
		assert.Equal(t, split("first second third"), c.Received())
		require.NoError(t, c.Close())
	})
}
