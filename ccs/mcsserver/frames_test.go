package mcsserver_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsserver"
)

// Obsolete frames are counted like all others (DEV 4, 7.1).
func TestNeverUsedFramesCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	for _, tag := range []mcs.Tag{
		mcs.TagMessageStanza, mcs.TagPresenceStanza, mcs.TagBatchPresenceStanza, mcs.TagHTTPRequest, mcs.TagHTTPResponse,
		mcs.TagBindAccountRequest, mcs.TagBindAccountResponse, mcs.TagTalkMetadata,
	} {
		p.write(mcs.AppendFrame(nil, tag, nil))
		p.write(mcs.AppendFrame(nil, tag, &mcs.StreamError{Type: "a body"}))
	}
	p.ping()
}

// A forbidden frame ends the connection, and the device gets the reason (DEV 5).
func TestViolations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	for name, frame := range map[string][]byte{
		"a second login":         mcs.AppendFrame(nil, mcs.TagLoginRequest, w.loginRequest()),
		"a LoginResponse":        mcs.AppendFrame(nil, mcs.TagLoginResponse, nil),
		"a StreamErrorStanza":    mcs.AppendFrame(nil, mcs.TagStreamErrorStanza, nil),
		"a tag that is none":     {16, 0},
		"a frame that is large":  {byte(mcs.TagDataMessageStanza), 0x81, 0x80, 0x01},
		"a size without end":     {byte(mcs.TagDataMessageStanza), 0x80, 0x80, 0x80, 0x80, 0x80},
		"a message that is none": {byte(mcs.TagDataMessageStanza), 1, 0xff},
		"an iq that is none":     {byte(mcs.TagIqStanza), 1, 0xff},
		"a ping that is none":    {byte(mcs.TagHeartbeatPing), 1, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.login()
			p.t = t
			p.write(frame)
			said := p.closed()
			assert.Equal(t, "policy-violation", said.Type)
			assert.NotEmpty(t, said.Text)
		})
	}
}

// A number ahead of the sent frames acknowledges no later ones (DEV 7.1).
func TestAnAcknowledgementAheadOfItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	p.write(mcs.AppendStreamAck(nil, 1000))
	p.ping()
	w.send("1")
	p.ids(1)
	p.ping()
	assert.Equal(t, 1, w.waiting())
}

// Clients that acknowledge each message by its ID do so for a send_error too, whose ID is not the
// server's (DEV 7.2, 9.3).
func TestSelectiveAckOfASendError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	bad := up("u-1", "p-1")
	bad.To = "111111111111@gcm.googleapis.com"
	p.write(mcs.AppendDataMessage(nil, bad))
	m := p.data()
	require.Equal(t, "u-1", m.PersistentID)
	require.Equal(t, 1, w.waiting())
	p.write(mcs.AppendSelectiveAck(nil, 0, []string{"u-1"}))
	p.ping()
	assert.Zero(t, w.waiting())
}

// A forged ID or a repeated acknowledgement acknowledges nothing else (DEV 7.2).
func TestSelectiveAckOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	w.send("1", "2")
	_, persistent := p.ids(2)
	micros, id, ok := mcs.ParsePersistentID(persistent[0])
	require.True(t, ok)
	p.write(mcs.AppendSelectiveAck(nil, 0, []string{mcs.PersistentID(micros+1, id), mcs.PersistentID(0, 0), ""}))
	p.ping()
	assert.Equal(t, 2, w.waiting())
	for range 2 {
		p.write(mcs.AppendSelectiveAck(nil, 0, persistent[:1]))
		p.ping()
		assert.Equal(t, 1, w.waiting())
	}
}

// Of a very long list only the newest IDs count, which are at its end.
func TestAVeryLongListAtLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	w.send("1", "2")
	_, persistent := p.ids(2)
	p.nc.Close()
	listed := make([]string, 0, 10_001)
	listed = append(listed, persistent[0])
	for i := range 9_999 {
		listed = append(listed, mcs.PersistentID(1, uint64(i)))
	}
	listed = append(listed, persistent[1])
	p = w.login(listed...)
	ids, _ := p.ids(1)
	assert.Equal(t, []string{"1"}, ids)
	p.ack()
	assert.Zero(t, w.waiting())
}

// The frame has the time that a message has waited, besides the time when it was sent (DEV 5).
func TestQueued(t *testing.T) {
	t.Parallel()
	clock := &frozen{now: time.UnixMilli(1_767_225_600_000)}
	w := newWorld(t, mcsserver.Options{}, ccs.Options{Clock: clock})
	w.send("1")
	clock.advance(90 * time.Second)
	assert.EqualValues(t, 90, w.login().data().Queued)
}

// An upstream message reaches its app server once, even if it is repeated on another connection
// (DEV 7.3).
func TestUpstreamRepeatedAfterALogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	for i := range 3 {
		p := w.login()
		m := up("u-1", "p-1")
		m.Queued = int32(i)
		p.write(mcs.AppendDataMessage(nil, m))
		p.acknowledged()
		p.nc.Close()
	}
	assert.Equal(t, []string{"u-1"}, w.upstream())
}

// A message is acknowledged even if its sender has no app server, because it is stored (DEV 10).
func TestStoredBeforeAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	for i := range 25 {
		p.write(mcs.AppendDataMessage(nil, up(fmt.Sprint("u-", i), fmt.Sprint("p-", i))))
		p.acknowledged()
	}
	assert.Len(t, w.upstream(), 25)
	res := w.router.Send(context.Background(), ccs.Source{Sender: testSender}, []ccs.Downstream{{To: w.token, ID: "m", TTL: time.Hour}}, nil)
	require.Nil(t, res[0].Refusal)
	assert.EqualValues(t, 26, p.data().LastStreamID, "every frame says what was received")
}
