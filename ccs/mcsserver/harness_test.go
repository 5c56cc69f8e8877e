package mcsserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"openccs/ccs"
	"openccs/ccs/conns"
	"openccs/ccs/devpki"
	"openccs/ccs/mcs"
	"openccs/ccs/mcsserver"
	"openccs/stanza"
	"openccs/store"
	"openccs/store/memstore"
)

const (
	testSender = ccs.SenderID("126200347933")
	testApp    = "com.example.app"
	patience   = 10 * time.Second // how long a test waits for what must come
)

// world is a server with one project, and one device with a registration.
type world struct {
	t        *testing.T
	router   *ccs.Router
	store    store.Store
	server   *mcsserver.Server
	addr     string
	tls      *tls.Config
	device   ccs.DeviceID
	security uint64
	token    string
}

func newWorld(t *testing.T, o mcsserver.Options, ro ccs.Options) *world {
	t.Helper()
	ctx := context.Background()
	st := memstore.New()
	require.NoError(t, st.CreateProject(ctx, &store.Project{Sender: string(testSender)}))
	router, err := ccs.New(ctx, st, ro)
	require.NoError(t, err)
	id, token, err := router.CheckIn(ctx, 0, 0)
	require.NoError(t, err)
	w := &world{t: t, router: router, store: st, device: ccs.DeviceID(id), security: token}
	w.token = w.register(store.Registration{App: testApp})
	pair, err := devpki.New([]string{"mtalk.google.com"}, time.Now())
	require.NoError(t, err)
	o.TLS = &tls.Config{Certificates: []tls.Certificate{pair.Cert}}
	w.tls = &tls.Config{RootCAs: pair.Pool, ServerName: "mtalk.google.com"}
	if testing.Verbose() {
		o.Logger = zaptest.NewLogger(t)
	}
	w.server = mcsserver.New(router, o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- w.server.Serve(l) }()
	t.Cleanup(func() {
		w.server.Close()
		require.ErrorIs(t, <-done, conns.ErrClosed)
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

// send has the sender send messages; each has its id in its data.
func (w *world) send(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.sendMessage(stanza.Downstream{To: w.token, MessageID: id, TTL: time.Hour, Data: stanza.Object(`{"id":"` + id + `"}`)})
	}
}

func (w *world) sendMessage(m stanza.Downstream) {
	w.t.Helper()
	res := w.router.Send(context.Background(), ccs.Source{Sender: testSender}, []stanza.Downstream{m}, nil)
	require.NoError(w.t, res[0].Err)
}

// waiting is what is in the device's queue, whoever has claimed it.
func (w *world) waiting() int {
	w.t.Helper()
	ctx := context.Background()
	const nobody = store.Lease(1)
	entries, err := w.store.Claim(ctx, w.device.Key(), nobody, 1000, time.Now())
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.Release(ctx, w.device.Key(), nobody))
	return len(entries)
}

// peer is a device, as it counts frames itself.
type peer struct {
	t    *testing.T
	nc   *tls.Conn
	in   *mcs.Reader
	sent int32
	got  int32
}

func (w *world) dial() *peer {
	w.t.Helper()
	nc, err := tls.Dial("tcp", w.addr, w.tls)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { nc.Close() })
	return &peer{t: w.t, nc: nc, in: mcs.NewReader(nc, mcs.MaxLogin)}
}

func (w *world) loginRequest(received ...string) *mcs.LoginRequest {
	id := strconv.FormatUint(uint64(w.device), 10)
	return &mcs.LoginRequest{
		ID: "chrome-156.0.8078.79", Domain: "mcs.android.com", User: id, Resource: id,
		AuthToken: strconv.FormatUint(w.security, 10), AuthService: mcs.AuthServiceAndroidID, ReceivedPersistentIDs: received,
	}
}

// login opens a session; received is what the device says that it has.
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
	p.nc.SetReadDeadline(time.Now().Add(patience))
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
	p.nc.SetReadDeadline(time.Now().Add(patience))
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

// ack acknowledges all that was received, and waits until the server knows.
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

// closed waits for the server to end the connection.
func (p *peer) closed() {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(patience))
	for {
		tag, _, err := p.in.Next()
		if err != nil {
			require.NotErrorIs(p.t, err, context.DeadlineExceeded)
			return
		}
		require.Equal(p.t, mcs.TagClose, tag)
	}
}
