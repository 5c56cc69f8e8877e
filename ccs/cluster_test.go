package ccs_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/cluster"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// member is one of several routers on one store.
type member struct {
	world
	silent atomic.Bool // its heartbeats and checks do not reach the store
}

// silencing is a member's store as its cluster sees it.
type silencing struct {
	*memstore.Node
	m *member
}

func (s silencing) Members(ctx context.Context) (*store.Members, error) {
	if s.m.silent.Load() {
		return nil, store.ErrUnavailable
	}
	return s.Node.Members(ctx)
}

func (s silencing) CheckQueues(ctx context.Context, some []store.Attachment) ([]store.QueueState, error) {
	if s.m.silent.Load() {
		return nil, store.ErrUnavailable
	}
	return s.Node.CheckQueues(ctx, some)
}

// twoMembers runs a test of two routers on one store in a bubble.
func twoMembers(t *testing.T, run func(t *testing.T, a, b *member)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := memstore.New()
		require.NoError(t, st.CreateProject(t.Context(), &store.Project{Sender: string(sender)}))
		shared := memstore.Share(st)
		var all [2]*member
		for i := range all {
			m := &member{world: world{t: t}}
			node := shared.Node()
			c := cluster.New(silencing{node, m}, cluster.Options{})
			var err error
			m.Router, err = ccs.New(t.Context(), node, ccs.Options{Cluster: c})
			require.NoError(t, err)
			require.NoError(t, c.Join(t.Context(), m.Node()))
			t.Cleanup(c.Close)
			all[i] = m
		}
		all[0].token = all[0].register(app).Token
		all[1].token = all[0].token
		synctest.Wait()
		run(t, all[0], all[1])
	})
}

// login attaches a session that detaches when it is closed, as doors do.
func (m *member) login(k store.Key, s *session) ccs.Mailbox {
	m.t.Helper()
	box := m.attach(k, s)
	go func() {
		select {
		case reason := <-s.closed:
			box.Detach(context.Background())
			s.closed <- reason
		case <-m.t.Context().Done():
		}
	}()
	return box
}

func TestAMessageWakesTheSessionOfAnotherNode(t *testing.T) {
	twoMembers(t, func(t *testing.T, a, b *member) {
		s := newSession()
		box := b.login(device.Key(), s)
		require.Nil(t, a.send(data("m")).Refusal)
		<-s.wakes
		ids, _ := take(t, box)
		assert.Equal(t, []string{"m"}, ids)
	})
}

func TestTheNewestLoginOfADeviceWinsOnEachNode(t *testing.T) {
	twoMembers(t, func(t *testing.T, a, b *member) {
		older, newer := newSession(), newSession()
		box := a.login(device.Key(), older)
		require.Nil(t, b.send(data("m")).Refusal)
		synctest.Wait()
		ids, _ := take(t, box)
		require.Equal(t, []string{"m"}, ids)
		began := time.Now()
		second := b.login(device.Key(), newer)
		assert.Less(t, time.Since(began), time.Second, "the older session was told")
		require.ErrorIs(t, <-older.closed, ccs.ErrTakenOver)
		ids, _ = take(t, second)
		assert.Equal(t, []string{"m"}, ids, "what the older one had not acknowledged")
	})
}

func TestASessionThatDoesNotEndLosesItsDevice(t *testing.T) {
	twoMembers(t, func(t *testing.T, a, b *member) {
		stuck := newSession()
		box := a.attach(device.Key(), stuck)
		require.Nil(t, b.send(data("m")).Refusal)
		ids, _ := take(t, box)
		require.Equal(t, []string{"m"}, ids)
		began := time.Now()
		second := b.login(device.Key(), newSession())
		assert.InDelta(t, 2, time.Since(began).Seconds(), 0.5)
		require.ErrorIs(t, <-stuck.closed, ccs.ErrTakenOver)
		ids, _ = take(t, second)
		assert.Equal(t, []string{"m"}, ids)
		_, err := box.Claim(t.Context(), 10)
		assert.ErrorIs(t, err, store.ErrTakenOver)
	})
}

func TestAMessageThatIsNeverStoredReachesAnotherNode(t *testing.T) {
	twoMembers(t, func(t *testing.T, a, b *member) {
		now := data("now")
		now.TTL = 0
		require.Nil(t, a.send(now).Refusal, "nobody is there, and so it is dropped")
		s := newSession()
		box := b.login(device.Key(), s)
		for len(s.wakes) > 0 {
			<-s.wakes
		}
		now.ID = "later"
		require.Nil(t, a.send(now).Refusal)
		<-s.wakes
		ids, entries := take(t, box)
		require.Equal(t, []string{"later"}, ids)
		assert.Zero(t, entries[0].ID)
	})
}

func TestAProjectThatChangesIsToldToOtherNodes(t *testing.T) {
	twoMembers(t, func(t *testing.T, a, b *member) {
		require.NoError(t, a.PublishProjectChange(t.Context(), sender))
		assert.Equal(t, sender, <-b.Changed())
		synctest.Wait()
		assert.Empty(t, a.Changed())
	})
}

// A device whose session is on another node has the backlog of a connected device.
func TestADeviceOfAnotherNodeIsConnected(t *testing.T) {
	twoMembers(t, func(t *testing.T, a, b *member) {
		box := b.login(device.Key(), newSession())
		for i := range 150 {
			require.Nil(t, a.send(data(strconv.Itoa(i))).Refusal)
		}
		ids, _ := take(t, box)
		assert.Len(t, ids, 150)
	})
}

func TestTheSessionsOfANodeThatWasDeclaredDeadEnd(t *testing.T) {
	twoMembers(t, func(t *testing.T, a, b *member) {
		phone, server, heir := newSession(), newSession(), newSession()
		b.login(device.Key(), phone)
		up := b.login(sender.Key(), server)
		require.NoError(t, a.SendUpstream(t.Context(), device, []ccs.Upstream{{To: string(sender), Category: app, ID: "u", PersistentID: "u"}}))
		ids, _ := take(t, up)
		require.Equal(t, []string{"u"}, ids)
		box := a.login(sender.Key(), heir)

		b.silent.Store(true)
		died := time.Now()
		<-heir.wakes
		assert.LessOrEqual(t, time.Since(died), 2*cluster.DefaultHeartbeat+time.Second)
		ids, _ = take(t, box)
		assert.Equal(t, []string{"u"}, ids)
		_, err := up.Claim(t.Context(), 10)
		assert.ErrorIs(t, err, store.ErrTakenOver)
		assert.Empty(t, phone.closed, "it does not know yet")

		b.silent.Store(false)
		require.ErrorIs(t, <-phone.closed, ccs.ErrTakenOver)
		require.ErrorIs(t, <-server.closed, ccs.ErrLeaseLost)
		synctest.Wait()
		again := newSession()
		second := b.login(device.Key(), again)
		require.Nil(t, a.send(data("m")).Refusal)
		<-again.wakes
		ids, _ = take(t, second)
		assert.Equal(t, []string{"m"}, ids, "under another name it is a node like any other")
	})
}
