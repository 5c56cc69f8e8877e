package ccs_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// notebook is an observer that keeps copies of all events.
type notebook struct{ events []ccs.Event }

func (n *notebook) Observe(events []ccs.Event) {
	for _, e := range events {
		e.Entries = append([]store.ID(nil), e.Entries...)
		e.Displaced = append([]store.ID(nil), e.Displaced...)
		n.events = append(n.events, e)
	}
}

// told returns the kinds and codes of the events so far, and forgets them.
func (n *notebook) told() (told []string) {
	for _, e := range n.events {
		text := e.Kind.String() + " " + e.Code
		if e.Dir != 0 {
			text = e.Dir.String() + " " + text
		}
		told = append(told, text)
	}
	n.events = nil
	return told
}

func TestObserversAreTold(t *testing.T) {
	t.Run("none", func(t *testing.T) { assert.Nil(t, ccs.Observers(nil, nil)) })
	t.Run("one", func(t *testing.T) {
		n := &notebook{}
		assert.Same(t, n, ccs.Observers(nil, n))
	})
	t.Run("two", func(t *testing.T) {
		a, b := &notebook{}, &notebook{}
		ccs.Observers(a, nil, b).Observe([]ccs.Event{{Kind: ccs.EventStored}})
		assert.Len(t, a.events, 1)
		assert.Len(t, b.events, 1)
	})
}

func TestEventsHaveFixedNumbersAndNames(t *testing.T) {
	assert.Equal(t, []ccs.EventKind{1, 2, 3, 4, 5, 6, 7, 8}, []ccs.EventKind{
		ccs.EventStored, ccs.EventRefused, ccs.EventOffered, ccs.EventEnded, ccs.EventReleased, ccs.EventSession, ccs.EventRegistration, ccs.EventFanout,
	})
	assert.Equal(t, []ccs.Direction{1, 2, 3}, []ccs.Direction{ccs.Down, ccs.Up, ccs.Receipts})
	assert.Equal(t, []ccs.End{1, 2, 3, 4, 5, 6, 7, 8}, []ccs.End{
		ccs.Acknowledged, ccs.EndExpired, ccs.EndCollapsed, ccs.EndEvicted, ccs.EndUnregistered, ccs.EndGivenUp, ccs.EndRemoved, ccs.EndVolatile,
	})
	assert.Equal(t, "stored up given-up", ccs.EventStored.String()+" "+ccs.Up.String()+" "+ccs.EndGivenUp.String())
	assert.Equal(t, "unknown unknown", ccs.EventKind(0).String()+" "+ccs.End(200).String())
}

func TestWithoutObserverNobodyIsTold(t *testing.T) {
	w := newWorld(t, ccs.Options{})
	assert.False(t, w.Watched())
	events := ccs.NewEvents()
	events.Add(ccs.EventSession).Code = "open"
	assert.Equal(t, 1, events.Len())
	w.Tell(events)
	assert.Zero(t, ccs.NewEvents().Len())
}

func TestEventsOfDownstreamMessages(t *testing.T) {
	n := &notebook{}
	w := newWorld(t, ccs.Options{Observer: n})
	require.True(t, w.Watched())
	assert.Equal(t, []string{"registration registered"}, n.told())

	require.Nil(t, w.send(data("m-1")).Refusal)
	require.Len(t, n.events, 1)
	e := n.events[0]
	assert.Equal(t, w.clock.Now().UnixNano(), e.At)
	assert.Equal(t, []any{device.Key(), w.token, app, "m-1", sender}, []any{e.Key, e.Token, e.App, e.ID, e.Sender})
	assert.NotZero(t, e.N)
	first := e.Entry
	assert.Equal(t, []string{"down stored stored"}, n.told())

	require.Nil(t, w.send(data("m-1")).Refusal)
	assert.Equal(t, []string{"down stored duplicate"}, n.told())

	m := data("c-1")
	m.CollapseKey = "score"
	require.Nil(t, w.send(m).Refusal)
	old := n.events[0].Entry
	m.ID = "c-2"
	require.Nil(t, w.send(m).Refusal)
	assert.Equal(t, []store.ID{old}, n.events[1].Displaced)
	newer := n.events[1].Entry
	assert.Equal(t, []string{"down stored stored", "down stored collapsed"}, n.told())

	m = data("m-2")
	m.To = "nobody"
	require.NotNil(t, w.send(m).Refusal)
	assert.Equal(t, []any{"nobody", "m-2", sender}, []any{n.events[0].Token, n.events[0].ID, n.events[0].Sender})
	assert.Equal(t, []string{"down refused unknown_token"}, n.told())

	m = data("now")
	m.TTL = 0
	require.Nil(t, w.send(m).Refusal)
	assert.Equal(t, []string{"down stored volatile"}, n.told())

	box := w.attach(device.Key(), newSession())
	_, entries := take(t, box)
	require.Len(t, entries, 2)
	assert.EqualValues(t, 2, counts(w.Router, ccs.Down).InFlight)
	offers := box.Offers()
	offers.Add(entries[0].ID, false)
	offers.Add(0, false) // a TTL of zero
	offers.Add(entries[1].ID, true)
	offers.Done()
	assert.Equal(t, [][]store.ID{{entries[0].ID}, {entries[1].ID}}, [][]store.ID{n.events[0].Entries, n.events[1].Entries})
	assert.Equal(t, []string{"down offered first", "down offered again"}, n.told())
	c := counts(w.Router, ccs.Down)
	assert.Equal(t, []int64{2, 1}, []int64{c.OfferedFirst, c.OfferedAgain})

	require.NoError(t, box.Ack(t.Context(), entries[0].ID, old))
	assert.Equal(t, []store.ID{first}, n.events[0].Entries, "what had ended before ends once")
	assert.Equal(t, box.Lease(), n.events[0].Lease)
	assert.Equal(t, []string{"down ended acknowledged"}, n.told())
	require.NoError(t, box.Ack(t.Context(), entries[0].ID))
	assert.Empty(t, n.told())
	box.Detach(t.Context())
	assert.Equal(t, []string{"down released closed"}, n.told())
	assert.Zero(t, counts(w.Router, ccs.Down).InFlight)

	require.NoError(t, w.Unregister(t.Context(), store.Registration{Device: uint64(device), App: app}))
	assert.Equal(t, []store.ID{newer}, n.events[1].Entries)
	assert.Equal(t, []string{"registration unregistered", "down ended unregistered"}, n.told())
}

func counts(r *ccs.Router, d ccs.Direction) ccs.Counts { return r.Tally().Counts(d) }

func TestTallyCountsRefusals(t *testing.T) {
	w := newWorld(t, ccs.Options{})
	for _, m := range []ccs.Downstream{data("1"), data("2")} {
		m.To = "nobody"
		require.NotNil(t, w.send(m).Refusal)
	}
	c := counts(w.Router, ccs.Down)
	assert.EqualValues(t, 2, c.Refused[ccs.UnknownToken])
	assert.EqualValues(t, 2, c.AllRefused())
	assert.Zero(t, c.Accepted)
}

func TestDeliveriesThatNobodyAcknowledgesEndByTheirReason(t *testing.T) {
	n := &notebook{}
	w := newWorld(t, ccs.Options{Observer: n})
	short, long := data("short"), data("long")
	short.TTL = time.Second
	require.Nil(t, w.send(short).Refusal)
	require.Nil(t, w.send(long).Refusal)
	box := w.attach(device.Key(), newSession())
	_, entries := take(t, box)
	w.clock.advance(2 * time.Second)
	n.told()
	var done ccs.Finished
	for i := range entries {
		var d ccs.Delivery
		require.True(t, box.Open(t.Context(), &entries[i], &d))
		done.GivenUp(&d, w.Now())
	}
	done.GivenUp(&ccs.Delivery{}, w.Now()) // never stored
	assert.Equal(t, 2, done.Entries())
	require.NoError(t, box.Forget(t.Context(), &done))
	assert.Zero(t, done.Entries())
	assert.Equal(t, []string{"down ended expired", "down ended given-up"}, n.told())
}

// doubtful is a store whose calls may fail after they have done their work.
type doubtful struct {
	*memstore.Store
	fails bool
}

func (d *doubtful) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	outcomes, err := d.Store.Put(ctx, batch, now)
	if d.fails {
		return nil, store.ErrUnavailable
	}
	return outcomes, err
}

func (d *doubtful) Ack(ctx context.Context, k store.Key, ids ...store.ID) ([]store.ID, error) {
	missing, err := d.Store.Ack(ctx, k, ids...)
	if d.fails {
		return nil, store.ErrUnavailable
	}
	return missing, err
}

func TestFailedCallsAreCountedAsInDoubt(t *testing.T) {
	w := newWorld(t, ccs.Options{})
	st := &doubtful{Store: memstore.New()}
	require.NoError(t, st.CreateProject(t.Context(), &store.Project{Sender: string(sender)}))
	r, err := ccs.New(t.Context(), st, ccs.Options{})
	require.NoError(t, err)
	reg, err := r.Register(t.Context(), store.Registration{Device: uint64(device), App: app, Senders: []string{string(sender)}})
	require.NoError(t, err)
	w.Router, w.token = r, reg.Token
	require.Nil(t, w.send(data("kept")).Refusal)
	box := w.attach(device.Key(), newSession())
	_, entries := take(t, box)
	st.fails = true
	require.NotNil(t, w.send(data("perhaps kept")).Refusal)
	require.Error(t, box.Ack(t.Context(), entries[0].ID))
	c := counts(r, ccs.Down)
	assert.Equal(t, []int64{1, 0, 1, 1}, []int64{c.Accepted, c.AllEnded(), c.AcceptedInDoubt, c.EndedInDoubt})
}
