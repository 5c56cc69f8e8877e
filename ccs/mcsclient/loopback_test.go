package mcsclient_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// A real connection has traffic in both directions at once. Nothing is lost, duplicated or out of
// order.
func TestBothDirectionsAtOnceOverTCP(t *testing.T) {
	const total = 5000
	l, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS())
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	server := make(chan error, 1)
	go func() { server <- echoServer(l, total) }()

	tlsConf := clientTLS().Clone()
	tlsConf.ServerName = "mtalk.test"
	var got, acked atomic.Int64
	all := make(chan string, 1) // the persistent id of the last message
	c, err := mcsclient.Dial(t.Context(), l.Addr().String(), identity, mcsclient.Options{
		TLS:    tlsConf,
		Window: 100,
		OnMessage: func(m *mcsclient.Message) {
			if n := got.Add(1); m.ID != fmt.Sprint(n-1) {
				t.Errorf("message %d has id %s", n-1, m.ID)
			} else if n == total {
				all <- m.PersistentID
			}
		},
	})
	require.NoError(t, err)
	for i := range total {
		require.NoError(t, c.Send(t.Context(), &mcsclient.Upstream{ID: fmt.Sprint(i)}, func(err error) {
			if err == nil {
				acked.Add(1)
			}
		}))
	}
	last := <-all
	require.Eventually(t, func() bool { return slices.Contains(c.Received(), last) }, 10*time.Second, time.Millisecond,
		"it counts as received when OnMessage has returned")
	require.NoError(t, c.Close())
	assert.EqualValues(t, total, acked.Load(), "the echo of the last message acknowledges all")
	assert.Empty(t, c.Unacked())
	require.NoError(t, <-server)
}

// echoServer sends every data message back, with the acknowledgement in it, until the client
// closes.
func echoServer(l net.Listener, total int) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	in := mcs.NewReader(conn, mcs.MaxLogin)
	if _, err := in.ReadVersion(); err != nil {
		return err
	}
	out := mcs.AppendFrame([]byte{mcs.Version}, mcs.TagLoginResponse, &mcs.LoginResponse{LastStreamID: 1})
	var m mcs.DataMessage
	frames, echoed, acked := int32(0), 0, int32(0)
	for {
		if !in.Ready() {
			if _, err := conn.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
		tag, payload, err := in.Next()
		if err != nil {
			return err
		}
		frames++
		acked = max(acked, mcs.LastStreamID(tag, payload))
		switch tag {
		case mcs.TagDataMessageStanza:
			if err := m.Unmarshal(payload); err != nil {
				return err
			}
			out = mcs.AppendDataMessage(out, &mcs.DataMessage{ID: m.ID, PersistentID: m.PersistentID, LastStreamID: frames})
			echoed++
		case mcs.TagClose:
			if echoed != total || int(acked) != 1+total {
				return fmt.Errorf("%d messages echoed, %d frames acknowledged", echoed, acked)
			}
			return nil
		}
	}
}
