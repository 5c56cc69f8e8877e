package mcsserver_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsserver"
	"github.com/openccs/openccs/store"
)

// asyncAck is a call of AckAsync that the store has not ended.
type asyncAck struct {
	ids  []store.ID
	done func(error)
}

// answer sends a ping and returns the number of the device's frames that its answer acknowledges.
func (p *peer) answer() int32 {
	p.t.Helper()
	p.write(mcs.AppendFrame(nil, mcs.TagHeartbeatPing, &mcs.Heartbeat{}))
	var pong mcs.Heartbeat
	p.expect(mcs.TagHeartbeatAck, &pong)
	return pong.LastStreamID
}

// A session that does not wait while its messages are forgotten acknowledges the device's frames
// only after that (DEV 7.2, 10).
func TestAnAcknowledgementThatIsNotOnDiskYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	calls := make(chan asyncAck, 10)
	w.store.ackAsync = func(ids []store.ID, done func(error)) bool {
		calls <- asyncAck{ids, done}
		return true
	}
	p := w.login()
	p.ping()
	known := p.sent
	w.send("1", "2")
	p.ids(2)
	p.write(mcs.AppendStreamAck(nil, p.got))
	call := <-calls
	require.Len(t, call.ids, 2)
	assert.Equal(t, known, p.answer(), "nothing since then is known to be on disk")

	// The session goes on, and a later acknowledgement uses a call that waits.
	w.send("3")
	assert.Equal(t, known, p.data().LastStreamID)
	p.write(mcs.AppendDataMessage(nil, up("u-1", "p-1")))
	require.Eventually(t, func() bool { return len(w.upstream()) == 1 }, patience, time.Millisecond)
	call.done(nil)
	var ack mcs.IqStanza
	p.expect(mcs.TagIqStanza, &ack)
	assert.Equal(t, p.sent, ack.LastStreamID, "the message is acknowledged once the older frames are on disk")

	p.write(mcs.AppendStreamAck(nil, p.got))
	call = <-calls
	require.Len(t, call.ids, 1)
	call.done(nil)
	p.ping()
	assert.Empty(t, calls)
}

// The next frame tries again with messages that the store could not forget. They count as
// unacknowledged until then.
func TestAnAcknowledgementThatTheStoreCouldNotTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	calls := make(chan asyncAck, 10)
	w.store.ackAsync = func(ids []store.ID, done func(error)) bool {
		calls <- asyncAck{ids, done}
		return true
	}
	p := w.login()
	p.ping()
	known := p.sent
	w.send("1")
	p.ids(1)
	p.write(mcs.AppendStreamAck(nil, p.got))
	call := <-calls
	call.done(fmt.Errorf("%w: %w", store.ErrUnavailable, errors.New("the disk is full")))
	assert.Equal(t, known, p.answer())
	again := <-calls
	require.Equal(t, call.ids, again.ids)
	_, err := w.store.Ack(t.Context(), w.device.Key(), again.ids...)
	require.NoError(t, err)
	again.done(nil)
	p.ping()
	assert.Zero(t, w.waiting())
	assert.Empty(t, calls)
}
