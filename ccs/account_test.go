package ccs_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/memstore"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// TestEventsRebuildTheQueues sends random traffic in both directions. The events must suffice to
// know what each queue holds, and each accepted message must have ended or wait.
func TestEventsRebuildTheQueues(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		testAccounts(t, memstore.New())
	})
	t.Run("disk", func(t *testing.T) {
		st, err := diskstore.Open(t.TempDir(), diskstore.Options{NoSync: true})
		require.NoError(t, err)
		testAccounts(t, st)
	})
	t.Run("redis", func(t *testing.T) {
		st, err := redisstore.Open(t.Context(), redistest.Single(t).URL("accounts:"), redisstore.Options{})
		require.NoError(t, err)
		testAccounts(t, st)
	})
}

// rebuilt is an observer that rebuilds queues from events only.
type rebuilt struct {
	mu       sync.Mutex
	queues   map[store.Key]map[store.ID]bool
	early    map[store.Key]map[store.ID]bool // ended before the event that stored them
	accepted map[ccs.Direction]int
	ended    map[ccs.Direction]int
	codes    map[string]int
}

func (o *rebuilt) Observe(events []ccs.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range events {
		e := &events[i]
		o.codes[e.Kind.String()+" "+e.Code]++
		switch e.Kind {
		case ccs.EventStored:
			switch e.Code {
			case ccs.CodeDuplicate:
				continue
			case ccs.CodeVolatile:
				o.accepted[e.Dir]++
				o.ended[e.Dir]++
				continue
			}
			o.accepted[e.Dir]++
			if of(o.early, e.Key)[e.Entry] {
				delete(o.early[e.Key], e.Entry)
			} else {
				of(o.queues, e.Key)[e.Entry] = true
			}
			o.end(e.Key, e.Dir, e.Displaced)
		case ccs.EventEnded:
			o.end(e.Key, e.Dir, e.Entries)
		}
	}
}

func (o *rebuilt) end(k store.Key, d ccs.Direction, ids []store.ID) {
	o.ended[d] += len(ids)
	for _, id := range ids {
		if of(o.queues, k)[id] {
			delete(o.queues[k], id)
		} else {
			of(o.early, k)[id] = true
		}
	}
}

func of(all map[store.Key]map[store.ID]bool, k store.Key) map[store.ID]bool {
	if all[k] == nil {
		all[k] = map[store.ID]bool{}
	}
	return all[k]
}

// traffic is the state that the goroutines of testAccounts share.
type traffic struct {
	*ccs.Router
	t      *testing.T
	ctx    context.Context
	clock  *frozen
	tokens [2]atomic.Pointer[string] // by device
}

const trafficSteps = 150

func testAccounts(t *testing.T, st store.Store) {
	t.Cleanup(func() { _ = st.Close() })
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	require.NoError(t, st.CreateProject(t.Context(), &store.Project{Sender: string(sender)}))
	o := &rebuilt{
		queues: map[store.Key]map[store.ID]bool{}, early: map[store.Key]map[store.ID]bool{},
		accepted: map[ccs.Direction]int{}, ended: map[ccs.Direction]int{}, codes: map[string]int{},
	}
	w := &traffic{t: t, ctx: t.Context(), clock: &frozen{now: time.UnixMilli(1_767_225_600_000)}}
	var err error
	w.Router, err = ccs.New(t.Context(), st, ccs.Options{
		Clock: w.clock, Observer: o,
		Profile: ccs.Profile{AwayMessages: 10, DeviceBacklog: 40, SenderBacklog: 150},
	})
	require.NoError(t, err)
	for i := range 2 {
		require.NoError(t, w.install(i))
	}

	var g errgroup.Group
	random := func(i int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(i))) }
	for i := range 2 {
		g.Go(func() error { return w.appServer(random(i)) })
		g.Go(func() error { return w.phone(i, random(10+i)) })
		g.Go(func() error { return w.receiver(store.KindSender, random(20+i)) })
	}
	g.Go(func() error { return w.receiver(store.KindReceipts, random(30)) })
	g.Go(func() error { return w.operator(random(40)) })
	require.NoError(t, g.Wait())
	o.check(t, w, st)
}

func (w *traffic) registration(i int) store.Registration {
	return store.Registration{Device: uint64(device) + uint64(i), App: app, Senders: []string{string(sender)}}
}

// install registers the app on a device.
func (w *traffic) install(i int) error {
	reg, err := w.Register(w.ctx, w.registration(i))
	if err == nil {
		w.tokens[i].Store(&reg.Token)
	}
	return err
}

// appServer sends to the devices.
func (w *traffic) appServer(r *rand.Rand) error {
	for step := range trafficSteps {
		batch := make([]ccs.Downstream, 1+r.IntN(8))
		for i := range batch {
			m := data(fmt.Sprint(step, "-", i, "-", r.IntN(30)))
			m.To = *w.tokens[r.IntN(2)].Load()
			if r.IntN(20) == 0 {
				m.To = "nobody"
			}
			m.TTL = time.Duration(1+r.IntN(20)) * time.Second
			m.ReceiptRequested = r.IntN(3) == 0
			switch r.IntN(10) {
			case 0:
				m.TTL = 0
			case 1, 2, 3:
				m.CollapseKey = fmt.Sprint("key", r.IntN(6))
			}
			batch[i] = m
		}
		w.Send(w.ctx, ccs.Source{Sender: sender}, batch, nil)
	}
	return nil
}

// phone is a device that comes and goes, acknowledges some of its messages, and sends.
func (w *traffic) phone(i int, r *rand.Rand) error {
	id := device + ccs.DeviceID(i)
	for step := range trafficSteps / 10 {
		box, err := attachTo(w.ctx, w.Router, id.Key(), newSession())
		if err != nil {
			return err
		}
		for range 5 {
			entries, err := box.Claim(w.ctx, 1+r.IntN(20))
			if err != nil {
				return err
			}
			var done ccs.Finished
			for j := range entries {
				var d ccs.Delivery
				if box.Open(w.ctx, &entries[j], &d) && r.IntN(3) > 0 {
					done.Acknowledged(&d)
				}
			}
			if err := box.Forget(w.ctx, &done); err != nil {
				return err
			}
			up := make([]ccs.Upstream, 1+r.IntN(5))
			for j := range up {
				up[j] = ccs.Upstream{
					To: string(sender), Category: app, ID: fmt.Sprint("up", step, j), HasTTL: true,
					TTL: time.Duration(r.IntN(20)) * time.Second, PersistentID: fmt.Sprint(r.IntN(1000)),
				}
				if r.IntN(10) == 0 {
					up[j].Category = "com.example.other"
				}
			}
			if err := w.SendUpstream(w.ctx, id, up); err != nil {
				return err
			}
		}
		if r.IntN(4) > 0 {
			box.Detach(w.ctx)
			continue
		}
		next, err := w.takeOver(box, id) // no detach in between
		if err != nil {
			return err
		}
		next.Detach(w.ctx)
	}
	return nil
}

// takeOver attaches a second session of a device, which waits for the end of the first.
func (w *traffic) takeOver(box ccs.Mailbox, id ccs.DeviceID) (ccs.Mailbox, error) {
	var g errgroup.Group
	g.Go(func() error { box.Detach(w.ctx); return nil })
	next, err := attachTo(w.ctx, w.Router, id.Key(), newSession())
	_ = g.Wait()
	return next, err
}

// receiver is an app server's session for upstream messages or receipts, which comes and goes.
func (w *traffic) receiver(kind store.Kind, r *rand.Rand) error {
	k := sender.Key()
	k.Kind = kind
	for range trafficSteps / 10 {
		box, err := attachTo(w.ctx, w.Router, k, newSession())
		if err != nil {
			return err
		}
		for range 8 {
			entries, err := box.Claim(w.ctx, 1+r.IntN(10))
			if err != nil {
				return err
			}
			var ids []store.ID
			for j := range entries {
				if entries[j].ID != 0 && r.IntN(3) > 0 {
					ids = append(ids, entries[j].ID)
				}
			}
			how := ccs.Acknowledged
			if r.IntN(10) == 0 {
				how = ccs.EndGivenUp
			}
			if err := box.End(w.ctx, how, ids...); err != nil {
				return err
			}
			if r.IntN(10) == 0 {
				box.(*ccs.SharedMailbox).Redistribute()
			}
		}
		box.Detach(w.ctx)
	}
	return nil
}

// operator moves the clock, sweeps, and uninstalls the app.
func (w *traffic) operator(r *rand.Rand) error {
	for range trafficSteps / 3 {
		w.clock.advance(time.Duration(r.IntN(2000)) * time.Millisecond)
		if _, err := w.Sweep(w.ctx); err != nil {
			return err
		}
		if r.IntN(20) == 0 {
			i := r.IntN(2)
			if err := w.Unregister(w.ctx, w.registration(i)); err != nil {
				return err
			}
			if err := w.install(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// check compares the rebuilt queues with those of the store, and the tally with both.
func (o *rebuilt) check(t *testing.T, w *traffic, st store.Store) {
	o.mu.Lock()
	t.Log(o.codes)
	waiting := map[ccs.Direction]int{}
	for k, ids := range o.early {
		assert.Empty(t, ids, "%s: ended and never stored", k)
	}
	for k, ids := range o.queues {
		waiting[ccs.DirectionOf(k)] += len(ids)
		for id := range ids {
			has, err := st.Has(t.Context(), k, id)
			require.NoError(t, err)
			assert.True(t, has, "%s %s: by the events it waits", k, id)
		}
	}
	o.mu.Unlock()
	for _, d := range []ccs.Direction{ccs.Down, ccs.Up, ccs.Receipts} {
		c := w.Tally().Counts(d)
		assert.EqualValues(t, o.accepted[d], c.Accepted, "%s", d)
		assert.EqualValues(t, o.ended[d], c.AllEnded(), "%s", d)
		assert.EqualValues(t, c.Accepted-c.AllEnded(), waiting[d], "%s: accepted - ended - waiting", d)
		assert.Zero(t, c.InFlight, "%s: in flight without a session", d)
	}

	// The queues hold nothing that the events do not name: after all of it has expired, each queue
	// is empty.
	for empty := 0; empty < 3; {
		w.clock.advance(60 * 24 * time.Hour) // a message that expires may leave a send_error
		n, err := w.Sweep(t.Context())
		require.NoError(t, err)
		if empty++; n > 0 {
			empty = 0
		}
	}
	for k, ids := range o.queues {
		assert.Empty(t, ids, "%s", k)
	}
	for k, ids := range o.early {
		assert.Empty(t, ids, "%s: in the queue, and the events did not say so", k)
	}
}
