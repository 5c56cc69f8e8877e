package mcsserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/devcert"
	"github.com/openccs/openccs/ccs/internal/listener"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsserver"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

const (
	testSender = ccs.SenderID("126200347933")
	testApp    = "com.example.app"
	patience   = 10 * time.Second // how long a test waits for an expected event
)

// world is a server with one project, and one device with a registration.
type world struct {
	t        *testing.T
	router   *ccs.Router
	observed observed
	store    *ledger
	server   *mcsserver.Server
	connect  func() (net.Conn, error) // without TLS
	tls      *tls.Config
	device   ccs.DeviceID
	security uint64
	token    string
	patience time.Duration
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) dial() (net.Conn, error) {
	here, there := net.Pipe()
	l.conns <- there
	return here, nil
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func newWorld(t *testing.T, o mcsserver.Options, ro ccs.Options) *world {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return newWorldOn(t, l, func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }, o, ro)
}

// newBubble is newWorld for a synctest bubble: devices come through pipes.
func newBubble(t *testing.T, o mcsserver.Options) *world {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	w := newWorldOn(t, l, l.dial, o, ccs.Options{})
	w.patience = time.Hour
	return w
}

func newWorldOn(t *testing.T, l net.Listener, connect func() (net.Conn, error), o mcsserver.Options, ro ccs.Options) *world {
	t.Helper()
	ctx := context.Background()
	st := &ledger{Store: memstore.New(), kept: map[store.ID]bool{}}
	require.NoError(t, st.CreateProject(ctx, &store.Project{Sender: string(testSender)}))
	w := &world{t: t, store: st, connect: connect, patience: patience}
	ro.Observer = ccs.Observers(&w.observed, ro.Observer)
	router, err := ccs.New(ctx, st, ro)
	require.NoError(t, err)
	id, token, err := router.CheckIn(ctx, 0, 0)
	require.NoError(t, err)
	w.router, w.device, w.security = router, ccs.DeviceID(id), token
	w.token = w.register(store.Registration{App: testApp})
	pair, err := devcert.New([]string{"mtalk.google.com"}, time.Now())
	require.NoError(t, err)
	o.TLS = &tls.Config{Certificates: []tls.Certificate{pair.Cert}}
	w.tls = &tls.Config{RootCAs: pair.Pool, ServerName: "mtalk.google.com"}
	if testing.Verbose() {
		o.Logger = zaptest.NewLogger(t)
	}
	w.server = mcsserver.New(router, o)
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(l) }()
	t.Cleanup(func() {
		w.server.Close()
		require.ErrorIs(t, <-done, listener.ErrClosed)
		require.NoError(t, st.Close())
	})
	return w
}

func (w *world) register(reg store.Registration) string {
	w.t.Helper()
	reg.Device, reg.Senders = uint64(w.device), []string{string(testSender)}
	got, err := w.router.Register(context.Background(), reg)
	require.NoError(w.t, err)
	return got.Token
}

// send makes the sender send messages; each has its ID in its data.
func (w *world) send(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.sendMessage(ccs.Downstream{To: w.token, ID: id, TTL: time.Hour, Data: payload.Data{}.Append("id", id)})
	}
}

func (w *world) sendMessage(m ccs.Downstream) {
	w.t.Helper()
	res := w.router.Send(context.Background(), ccs.Source{Sender: testSender}, []ccs.Downstream{m}, nil)
	require.Nil(w.t, res[0].Refusal)
}

// waiting returns how many messages are in the device's queue, claimed ones included.
func (w *world) waiting() int {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return len(w.store.kept)
}

// ended checks in which ways messages for devices have ended, in the Tally and in the events.
func (w *world) ended(ways ...ccs.End) {
	w.t.Helper()
	var want ccs.Counts
	var names []string
	for _, how := range ways {
		want.Ended[how]++
		names = append(names, how.String())
	}
	assert.Equal(w.t, want.Ended, w.router.Tally().Counts(ccs.Down).Ended)
	w.observed.mu.Lock()
	defer w.observed.mu.Unlock()
	assert.Equal(w.t, names, w.observed.ends)
}

// observed is an observer that keeps the names of how messages for devices have ended, and the
// events of sessions.
type observed struct {
	mu       sync.Mutex
	ends     []string
	sessions []ccs.Event
}

// Observe implements ccs.Observer.
func (o *observed) Observe(events []ccs.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range events {
		if e := &events[i]; e.Kind == ccs.EventEnded && e.Dir == ccs.Down {
			for range e.Entries {
				o.ends = append(o.ends, e.Code)
			}
		} else if e.Kind == ccs.EventSession {
			o.sessions = append(o.sessions, *e)
		}
	}
}

// ledger is a store that knows its entries for devices. Its tests use no collapse keys.
type ledger struct {
	*memstore.Store

	mu   sync.Mutex
	kept map[store.ID]bool

	// ackAsync is nil for a store that cannot do that. It must be set before the server starts.
	ackAsync func(ids []store.ID, done func(error)) bool
}

func (l *ledger) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	outcomes, err := l.Store.Put(ctx, batch, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, o := range outcomes {
		if batch[i].Key.Kind != store.KindDevice {
			continue
		}
		if o.Result == store.Discarded {
			clear(l.kept)
		}
		l.kept[o.ID] = true
	}
	return outcomes, err
}

func (l *ledger) Ack(ctx context.Context, k store.Key, ids ...store.ID) ([]store.ID, error) {
	missing, err := l.Store.Ack(ctx, k, ids...)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		delete(l.kept, id)
	}
	return missing, err
}

// AckAsync implements store.AsyncAcker.
func (l *ledger) AckAsync(_ store.Key, ids []store.ID, done func([]store.ID, error)) bool {
	return l.ackAsync != nil && l.ackAsync(ids, func(err error) { done(nil, err) })
}

// receipts acknowledges and returns the sender's waiting receipts.
func (w *world) receipts() (ids []string) {
	w.t.Helper()
	entries, err := w.store.Claim(context.Background(), testSender.ReceiptsKey(), 1, 1000, time.Now())
	require.NoError(w.t, err)
	for _, e := range entries {
		var m ccs.Message
		require.NoError(w.t, m.Decode(e.Body))
		require.Equal(w.t, ccs.ReceiptNote, m.Kind)
		require.Equal(w.t, w.token, m.From)
		ids = append(ids, m.ID)
	}
	return ids
}

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

// peer is a device, which counts frames itself.
type peer struct {
	t        *testing.T
	tcp      net.Conn // below nc
	nc       *tls.Conn
	in       *mcs.Reader
	sent     int32
	got      int32
	patience time.Duration
}

func (w *world) dial() *peer {
	w.t.Helper()
	tcp, err := w.connect()
	require.NoError(w.t, err)
	w.t.Cleanup(func() { tcp.Close() })
	nc := tls.Client(tcp, w.tls)
	return &peer{t: w.t, tcp: tcp, nc: nc, in: mcs.NewReader(nc, mcs.MaxLogin), patience: w.patience}
}

func (w *world) loginRequest(received ...string) *mcs.LoginRequest {
	id := strconv.FormatUint(uint64(w.device), 10)
	return &mcs.LoginRequest{
		ID: "chrome-156.0.8078.79", Domain: "mcs.android.com", User: id, Resource: id,
		AuthToken: strconv.FormatUint(w.security, 10), AuthService: mcs.AuthServiceAndroidID, ReceivedPersistentIDs: received,
	}
}

// login opens a session; received is the list that the device sends.
func (w *world) login(received ...string) *peer {
	w.t.Helper()
	p := w.dial()
	resp := p.login(w.loginRequest(received...))
	require.Nil(w.t, resp.Error)
	return p
}

func (p *peer) login(req *mcs.LoginRequest) *mcs.LoginResponse {
	p.t.Helper()
	p.write(mcs.AppendFrame([]byte{mcs.Version}, mcs.TagLoginRequest, req))
	p.nc.SetReadDeadline(time.Now().Add(p.patience))
	version, err := p.in.ReadVersion()
	require.NoError(p.t, err)
	require.EqualValues(p.t, mcs.Version, version)
	var resp mcs.LoginResponse
	p.expect(mcs.TagLoginResponse, &resp)
	return &resp
}

// write sends one frame.
func (p *peer) write(b []byte) {
	p.t.Helper()
	_, err := p.nc.Write(b)
	require.NoError(p.t, err)
	p.sent++
}

func (p *peer) expect(tag mcs.Tag, m interface{ Unmarshal([]byte) error }) {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(p.patience))
	got, payload, err := p.in.Next()
	require.NoError(p.t, err)
	require.Equal(p.t, tag, got, "frame %x", payload)
	p.got++
	require.NoError(p.t, m.Unmarshal(bytes.Clone(payload)))
}

// data receives a message.
func (p *peer) data() *mcs.DataMessage {
	p.t.Helper()
	var m mcs.DataMessage
	p.expect(mcs.TagDataMessageStanza, &m)
	return &m
}

// ids receives messages and returns the ids in their data.
func (p *peer) ids(n int) (ids, persistent []string) {
	p.t.Helper()
	for range n {
		m := p.data()
		id, _ := m.Get("id")
		ids, persistent = append(ids, id), append(persistent, m.PersistentID)
	}
	return ids, persistent
}

// ack acknowledges all received messages, and waits until the server knows.
func (p *peer) ack() {
	p.t.Helper()
	p.write(mcs.AppendStreamAck(nil, p.got))
	p.ping()
}

// ping checks that nothing comes before its answer.
func (p *peer) ping() {
	p.t.Helper()
	p.write(mcs.AppendFrame(nil, mcs.TagHeartbeatPing, &mcs.Heartbeat{Status: 7}))
	var pong mcs.Heartbeat
	p.expect(mcs.TagHeartbeatAck, &pong)
	require.Equal(p.t, p.sent, pong.LastStreamID, "every frame counts")
	require.EqualValues(p.t, 7, pong.Status)
}

// closed waits for the server to end the connection, and returns the reason that it sends, if any.
func (p *peer) closed() (said mcs.StreamError) {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(p.patience))
	for {
		tag, payload, err := p.in.Next()
		if err != nil {
			require.NotErrorIs(p.t, err, os.ErrDeadlineExceeded)
			return said
		}
		if tag == mcs.TagStreamErrorStanza {
			require.NoError(p.t, said.Unmarshal(bytes.Clone(payload)))
			continue
		}
		require.Equal(p.t, mcs.TagClose, tag)
	}
}
