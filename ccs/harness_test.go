package ccs_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

const (
	sender = ccs.SenderID("126200347933")
	other  = ccs.SenderID("999999999999")
	device = ccs.DeviceID(42)
	app    = "com.example.app"
)

// frozen is a clock that moves only when told to.
type frozen struct {
	mu  sync.Mutex
	now time.Time
}

func (f *frozen) Now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *frozen) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// world is a router over a memory store with two projects, and a device with one registration.
type world struct {
	*ccs.Router
	t     *testing.T
	store *memstore.Store
	clock *frozen
	token string
}

func newWorld(t *testing.T, o ccs.Options) *world {
	t.Helper()
	st := memstore.New()
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	for _, s := range []ccs.SenderID{sender, other} {
		require.NoError(t, st.CreateProject(t.Context(), &store.Project{Sender: string(s), Keys: []store.APIKey{{ID: "1", Hash: store.HashKey("key-" + string(s))}}}))
	}
	w := &world{t: t, store: st, clock: &frozen{now: time.UnixMilli(1_767_225_600_000)}}
	w.open(o)
	w.token = w.register(app).Token
	return w
}

// open starts a router on the store, as a restart does.
func (w *world) open(o ccs.Options) {
	w.t.Helper()
	o.Clock = w.clock
	var err error
	w.Router, err = ccs.New(w.t.Context(), w.store, o)
	require.NoError(w.t, err)
}

func (w *world) register(app string) *store.Registration {
	w.t.Helper()
	reg, err := w.Register(w.t.Context(), store.Registration{Device: uint64(device), App: app, Senders: []string{string(sender)}})
	require.NoError(w.t, err)
	return reg
}

// send sends one message and returns its result.
func (w *world) send(m ccs.Downstream) ccs.Result {
	w.t.Helper()
	if m.To == "" && m.Condition == "" {
		m.To = w.token
	}
	return w.Send(w.t.Context(), ccs.Source{Sender: sender}, []ccs.Downstream{m}, nil)[0]
}

// data returns a message with a TTL of a minute.
func data(id string) ccs.Downstream {
	return ccs.Downstream{ID: id, TTL: time.Minute, Data: payload.Data{}.Append("id", id)}
}

// session is a Session that records its calls.
type session struct {
	busy   bool
	wakes  chan struct{}
	closed chan error
}

func newSession() *session {
	return &session{wakes: make(chan struct{}, 1000), closed: make(chan error, 1)}
}

func (s *session) Wake() bool {
	if s.busy {
		return false
	}
	s.wakes <- struct{}{}
	return true
}

func (s *session) Room() int {
	if s.busy {
		return 0
	}
	return 1000
}

func (s *session) Close(reason error) { s.closed <- reason }

func (w *world) attach(k store.Key, s *session) ccs.Mailbox {
	w.t.Helper()
	m, err := attachTo(w.t.Context(), w.Router, k, s)
	require.NoError(w.t, err)
	return m
}

// attachTo attaches a session to any queue.
func attachTo(ctx context.Context, r *ccs.Router, k store.Key, s *session) (ccs.Mailbox, error) {
	if k.Kind == store.KindDevice {
		return r.AttachDevice(ctx, ccs.DeviceID(k.ID), s)
	}
	return r.AttachShared(ctx, k, s)
}

// take claims all waiting messages and returns them; a marker has the ID "deleted".
func take(t *testing.T, m ccs.Mailbox) (ids []string, entries []store.Entry) {
	t.Helper()
	entries, err := m.Claim(context.Background(), 10_000)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Deleted > 0 {
			ids = append(ids, "deleted")
			continue
		}
		var msg ccs.Message
		require.NoError(t, msg.Decode(e.Body))
		ids = append(ids, msg.ID)
	}
	return ids, entries
}

func refused(t *testing.T, res ccs.Result) *ccs.Refusal {
	t.Helper()
	require.NotNil(t, res.Refusal)
	return res.Refusal
}
