package ccs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

func TestNewestLoginWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	require.Nil(t, w.send(data("m-1")).Refusal)
	older := newSession()
	oldBox := w.attach(device.Key(), older)
	ids, _ := take(t, oldBox)
	require.Equal(t, []string{"m-1"}, ids)

	attached := make(chan ccs.Mailbox)
	go func() {
		m, err := attachTo(context.Background(), w.Router, device.Key(), newSession())
		if err == nil {
			attached <- m
		}
	}()
	require.ErrorIs(t, <-older.closed, ccs.ErrTakenOver)
	select {
	case <-attached:
		t.Fatal("the newer session came in before the older had let go")
	case <-time.After(20 * time.Millisecond):
	}
	oldBox.Detach(t.Context())
	_, err := oldBox.Claim(t.Context(), 1)
	require.ErrorIs(t, err, ccs.ErrDetached)
	ids, _ = take(t, <-attached)
	assert.Equal(t, []string{"m-1"}, ids, "what was not acknowledged comes again")

	t.Run("a session that does not end keeps the newer waiting no longer than it likes", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := attachTo(ctx, w.Router, device.Key(), newSession())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// Each message goes to one of the sender's sessions (CCS 4.4). Those of one app instance go to one
// session, in order. The messages of a session that ends go to the others.
func TestSendersShareAQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	const apps, rounds = 20, 5
	for a := range apps {
		w.register(fmt.Sprint("app-", a))
	}
	sessions := []*session{newSession(), newSession(), newSession()}
	var boxes []ccs.Mailbox
	for _, s := range sessions {
		boxes = append(boxes, w.attach(sender.Key(), s))
	}
	for round := range rounds {
		for a := range apps {
			id := fmt.Sprintf("%d-%d", a, round)
			require.NoError(t, w.SendUpstream(t.Context(), device, []ccs.Upstream{{To: string(sender), Category: fmt.Sprint("app-", a), ID: id, PersistentID: id}}))
		}
	}
	got := make([][]string, len(boxes)) // by session
	var last []store.Entry
	for total := 0; total < apps*rounds; {
		for i, box := range boxes {
			entries, err := box.Claim(t.Context(), 3)
			require.NoError(t, err)
			for _, e := range entries {
				var m ccs.Message
				require.NoError(t, m.Decode(e.Body))
				got[i] = append(got[i], m.ID)
			}
			total += len(entries)
			if i == 2 {
				last = append(last, entries...)
			}
		}
	}
	next, owner := make([]int, apps), make(map[int]int)
	for i, ids := range got {
		assert.NotEmpty(t, ids, "all of them have a share")
		for _, id := range ids {
			var a, round int
			_, err := fmt.Sscanf(id, "%d-%d", &a, &round)
			require.NoError(t, err)
			if o, ok := owner[a]; ok {
				require.Equal(t, o, i, "%s belongs to another session", id)
			}
			owner[a] = i
			require.Equal(t, next[a], round, "%s is out of order", id)
			next[a]++
		}
	}

	require.NoError(t, boxes[2].Ack(t.Context(), last[0].ID))
	boxes[2].Detach(t.Context())
	left := make(map[string]bool)
	for _, box := range boxes[:2] {
		ids, _ := take(t, box)
		for _, id := range ids {
			left[id] = true
		}
	}
	assert.Len(t, left, len(last)-1, "what one leaves behind and was not acknowledged is the others'")
	sessions[1].busy = true
	boxes[1].(*ccs.SharedMailbox).Redistribute()
	ids, _ := take(t, boxes[0])
	assert.NotEmpty(t, ids, "and so is what one yields")

	boxes[0].Detach(t.Context())
	boxes[1].Detach(t.Context())
	ids, _ = take(t, w.attach(sender.Key(), newSession()))
	assert.Len(t, ids, apps*rounds-1, "the last one gives all of it back to the store")
}

// A session without room is skipped, and gets its messages as soon as it has room.
func TestASessionWithoutRoomIsPassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	a, b := newSession(), newSession()
	boxA, boxB := w.attach(sender.Key(), a), w.attach(sender.Key(), b)
	for i, pair := range []struct {
		full *session
		box  ccs.Mailbox
	}{{a, boxB}, {b, boxA}} {
		a.busy, b.busy = false, false
		pair.full.busy = true
		id := fmt.Sprint("u-", i)
		require.NoError(t, w.SendUpstream(t.Context(), device, []ccs.Upstream{{To: string(sender), Category: app, ID: id, PersistentID: id}}))
		ids, entries := take(t, pair.box)
		require.Equal(t, []string{id}, ids)
		require.NoError(t, pair.box.Ack(t.Context(), entries[0].ID))
	}
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{Profile: ccs.Profile{SenderBacklog: 2}})
	big := payload.Data{}.Append("k", string(make([]byte, 5000)))
	good := ccs.Upstream{To: string(sender) + "@gcm.googleapis.com", Category: app, ID: "u-1", PersistentID: "p-1", Data: payload.Data{}.Append("k", "v")}
	with := func(change func(*ccs.Upstream)) ccs.Upstream {
		m := good
		change(&m)
		return m
	}
	require.NoError(t, w.SendUpstream(t.Context(), device, []ccs.Upstream{
		good,
		with(func(m *ccs.Upstream) { m.ID = "again" }), // same persistent id
		with(func(m *ccs.Upstream) { m.ID, m.To, m.PersistentID = "nobody", "111111111111", "p-2" }),
		// a repeat:
		with(func(m *ccs.Upstream) { m.ID, m.To, m.PersistentID = "nobody", "111111111111", "p-2" }),
		with(func(m *ccs.Upstream) { m.ID, m.To, m.PersistentID = "no sender", "gcm", "p-3" }),
		with(func(m *ccs.Upstream) { m.ID, m.To, m.PersistentID = "other", string(other), "p-4" }),
		with(func(m *ccs.Upstream) { m.ID, m.Data, m.PersistentID = "big", big, "p-5" }),
		with(func(m *ccs.Upstream) { m.ID, m.PersistentID, m.TTL, m.HasTTL = "u-2", "p-7", time.Hour, true }),
		with(func(m *ccs.Upstream) { m.ID, m.PersistentID, m.HasTTL = "nobody there", "", true }),
		with(func(m *ccs.Upstream) { m.ID, m.PersistentID = "one too many", "p-8" }),
	}))
	ids, entries := take(t, w.attach(sender.Key(), newSession()))
	require.Equal(t, []string{"u-1", "u-2"}, ids)
	var m ccs.Message
	require.NoError(t, m.Decode(entries[0].Body))
	assert.Equal(t, ccs.Message{Kind: ccs.DataMessage, TTL: 24 * time.Hour, From: w.token, To: good.To, App: app, ID: "u-1", Data: good.Data}, m)

	ids, entries = take(t, w.attach(device.Key(), newSession()))
	assert.Equal(t, []string{"nobody", "no sender", "other", "big", "nobody there", "one too many"}, ids, "the device is told of each that came to nothing")
	for _, e := range entries {
		require.NoError(t, m.Decode(e.Body))
		assert.Equal(t, ccs.SendError, m.Kind)
	}
}

// A device that sends too fast gets an error, and others are not delayed (CCS 5.10).
func TestUpstreamRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{Profile: ccs.Profile{UpstreamRate: flowcontrol.Rate{Every: time.Second, Burst: 2}}})
	up := func(id string) {
		require.NoError(t, w.SendUpstream(t.Context(), device, []ccs.Upstream{{To: string(sender), Category: app, ID: id, PersistentID: id}}))
	}
	up("u-1")
	up("u-2")
	up("u-3")
	w.clock.advance(time.Second)
	up("u-4")
	ids, _ := take(t, w.attach(sender.Key(), newSession()))
	assert.Equal(t, []string{"u-1", "u-2", "u-4"}, ids)
	ids, entries := take(t, w.attach(device.Key(), newSession()))
	assert.Equal(t, []string{"u-3"}, ids)
	var m ccs.Message
	require.NoError(t, m.Decode(entries[0].Body))
	assert.Equal(t, ccs.RateExceeded, m.Reason)
}

func TestUpstreamFailsWithTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	require.NoError(t, w.store.Close())
	err := w.SendUpstream(t.Context(), device, []ccs.Upstream{{To: string(sender), Category: app, ID: "u-1", PersistentID: "p-1"}})
	assert.ErrorIs(t, err, store.ErrClosed, "so that the device is not told that it arrived")
}

func TestExpiredMessagesAreSwept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	require.Nil(t, w.send(data("m-1")).Refusal)
	w.clock.advance(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	require.Eventually(t, func() bool {
		left, _, err := w.store.Expire(ctx, w.clock.Now(), 100)
		return err == nil && len(left) == 0
	}, 5*time.Second, 10*time.Millisecond)
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)
}

// slowRelease is a store that ends leases only when told to.
type slowRelease struct {
	store.Store
	began, may chan struct{}
}

func (s slowRelease) Release(ctx context.Context, k store.Key, l store.Lease) error {
	s.began <- struct{}{}
	<-s.may
	return s.Store.Release(ctx, k, l)
}

// A sender's new session waits while the last one releases its claims. Otherwise its messages would
// overtake those.
func TestNothingOvertakesWhatTheLastSessionGivesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	slow := slowRelease{w.store, make(chan struct{}), make(chan struct{})}
	r, err := ccs.New(t.Context(), slow, ccs.Options{Clock: w.clock})
	require.NoError(t, err)
	for _, id := range []string{"u-1", "u-2"} {
		require.NoError(t, r.SendUpstream(t.Context(), device, []ccs.Upstream{{To: string(sender), Category: app, ID: id, PersistentID: id}}))
	}
	first, err := attachTo(t.Context(), r, sender.Key(), newSession())
	require.NoError(t, err)
	_, err = first.Claim(t.Context(), 1)
	require.NoError(t, err)
	go first.Detach(t.Context())
	<-slow.began

	attached := make(chan ccs.Mailbox)
	go func() {
		if m, err := attachTo(t.Context(), r, sender.Key(), newSession()); err == nil {
			attached <- m
		}
	}()
	select {
	case <-attached:
		t.Fatal("the next session came in before the claims were given back")
	case <-time.After(20 * time.Millisecond):
	}
	close(slow.may)
	ids, _ := take(t, <-attached)
	assert.Equal(t, []string{"u-1", "u-2"}, ids)
}

func TestCloseReasons(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{nil, ccs.ClosedByPeer},
		{io.EOF, ccs.ClosedByPeer},
		{io.ErrUnexpectedEOF, ccs.ClosedLost},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, ccs.ClosedLost},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, ccs.ClosedSilent},
		{ccs.ErrTakenOver, ccs.ClosedTakenOver},
		{ccs.ErrLeaseLost, ccs.ClosedLeaseLost},
		{ccs.ErrShuttingDown, ccs.ClosedShutdown},
		{fmt.Errorf("claim: %w", store.ErrUnavailable), ccs.ClosedStore},
		{errors.New("any"), ccs.ClosedInternal},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, ccs.CloseReason(tt.err), "%v", tt.err)
	}
}
