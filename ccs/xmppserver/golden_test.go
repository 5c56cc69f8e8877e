package xmppserver_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/devcert"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

var update = flag.Bool("update", false, "rewrite the S lines of testdata/streams")

const (
	// goldenSender is the sender of every conversation. Its key is KEY, its device's token T1, as
	// in CCS 11.
	goldenSender = "123"
	goldenSecret = "2268428379028347923" // security token of its device, which has the ID 42
	streamEnd    = "</stream:stream>"
)

// TestGoldenStreams replays the conversations of testdata/streams over TLS; its README.md has the
// format.
func TestGoldenStreams(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "streams", "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			g := readGolden(t, file)
			g.start()
			if *update {
				g.rewrite(file)
			} else {
				g.replay()
			}
		})
	}
}

// golden is one conversation and its state.
type golden struct {
	*world
	head, body []string // lines of the file
	bound      bool     // each connection begins with a session
	forDevice  bool     // that session is the device's
	plain      bool     // or without TLS
	options    xmppserver.Options
	profile    ccs.Profile
	clock      *handClock // of the messages
	store      *frailStore
	peer       *peer
	ended      bool               // the server has ended the stream
	names      map[string]string  // values of placeholders
	device     *ccs.DeviceMailbox // nil until the device connects
	held       map[string]store.Entry
}

func readGolden(t *testing.T, file string) *golden {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	head, body, ok := strings.Cut(strings.TrimSuffix(string(raw), "\n"), "\n\n")
	require.True(t, ok, "no blank line behind the header")
	g := &golden{
		world: &world{t: t}, head: strings.Split(head, "\n"), body: strings.Split(body, "\n"),
		names: map[string]string{}, held: map[string]store.Entry{}, clock: &handClock{},
	}
	g.clock.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	for _, line := range g.head {
		if value, ok := strings.CutPrefix(line, "option: "); ok {
			g.option(value)
			continue
		}
		require.Regexp(t, "^(source: CCS|comment:) ", line)
	}
	return g
}

// option sets an option of a conversation: a time or a number.
func (g *golden) option(s string) {
	name, value, _ := strings.Cut(s, " ")
	switch n, _ := strconv.Atoi(value); name {
	case "bound":
		g.bound = true
	case "device":
		g.bound, g.forDevice = true, true
	case "no-tls":
		g.plain = true
	case "keep-alive":
		g.options.KeepAlive = g.duration(value)
	case "auth-timeout":
		g.options.AuthTimeout = g.duration(value)
	case "device-burst":
		g.profile.DeviceRate = flowcontrol.Rate{Every: time.Hour, Burst: n}
	case "upstream-window":
		g.profile.UpstreamWindow = n
	default:
		require.Fail(g.t, "unknown option", "%q", s)
	}
}

func (g *golden) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	require.NoError(g.t, err)
	return d
}

// handClock is moved by hand.
type handClock struct{ atomic.Int64 }

func (c *handClock) Now() time.Time { return time.Unix(0, c.Load()) }

// frailStore fails when told to.
type frailStore struct {
	store.Store
	fails       atomic.Bool // Put fails for an unknown reason
	unavailable atomic.Bool // Put and look-ups fail
}

func (s *frailStore) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	if s.fails.Load() {
		return nil, errors.New("disk trouble")
	}
	if err := s.health(); err != nil {
		return nil, err
	}
	return s.Store.Put(ctx, batch, now)
}

func (s *frailStore) Registrations(ctx context.Context, dst []*store.Registration, tokens []string) ([]*store.Registration, error) {
	if err := s.health(); err != nil {
		return dst, err
	}
	return s.Store.Registrations(ctx, dst, tokens)
}

func (s *frailStore) DeviceRegistrations(ctx context.Context, device uint64) ([]*store.Registration, error) {
	if err := s.health(); err != nil {
		return nil, err
	}
	return s.Store.DeviceRegistrations(ctx, device)
}

func (s *frailStore) Project(ctx context.Context, sender string) (*store.Project, error) {
	if err := s.health(); err != nil {
		return nil, err
	}
	return s.Store.Project(ctx, sender)
}

func (s *frailStore) health() error {
	if s.unavailable.Load() {
		return fmt.Errorf("disk full: %w", store.ErrUnavailable)
	}
	return nil
}

// start starts the server. It differs from newWorld only in the store, the clock and the names.
func (g *golden) start() {
	ctx := context.Background()
	g.store = &frailStore{Store: memstore.New()}
	require.NoError(g.t, g.store.CreateProject(ctx, &store.Project{Sender: goldenSender, Keys: []store.APIKey{{ID: "k1", Hash: store.HashKey("KEY")}}}))
	g.register("T1", testApp, goldenSender)
	_, err := g.store.Secret(ctx, "device", make([]byte, 32)) // gives goldenSecret its value
	require.NoError(g.t, err)
	router, err := ccs.New(ctx, g.store, ccs.Options{Profile: g.profile, Clock: g.clock})
	require.NoError(g.t, err)
	pair, err := devcert.New([]string{"gcm.googleapis.com", "127.0.0.1"}, time.Now())
	require.NoError(g.t, err)
	g.options.TLS = &tls.Config{Certificates: []tls.Certificate{pair.Cert}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(g.t, err)
	g.world.router, g.world.store, g.addr = router, g.store, l.Addr().String()
	g.tls = &tls.Config{RootCAs: pair.Pool, ServerName: "gcm.googleapis.com"}
	g.server = xmppserver.New(router, g.options)
	go g.server.Serve(l, "test")
	g.t.Cleanup(func() { g.server.Close() })
	g.connect()
}

func (g *golden) register(token, app, senders string) {
	now := g.clock.Now()
	_, err := g.store.Register(context.Background(), store.Registration{Token: token, Device: uint64(testDevice), App: app, Senders: strings.Split(senders, ","), Created: now}, now)
	require.NoError(g.t, err)
}

// connect opens a connection, and a session on it if the conversation begins with one.
func (g *golden) connect() {
	if g.ended = false; g.plain {
		nc, err := net.Dial("tcp", g.addr)
		require.NoError(g.t, err)
		g.peer = &peer{t: g.t, nc: nc}
		return
	}
	g.peer = g.dial()
	delete(g.names, "HEX-jid")
	if !g.bound {
		return
	}
	header, user, key, domain := clientHeader, goldenSender, "KEY", "gcm.googleapis.com"
	if g.forDevice {
		header, user, key, domain = deviceHeader, testDevice.String(), goldenSecret, deviceDomain
	}
	g.peer.send(header + plainAuth("\x00"+user+"\x00"+key) + header + clientBind + `<presence/>`)
	g.peer.until(bindPrefix + user + "@" + domain + "/")
	g.names["HEX-jid"] = strings.TrimSuffix(g.peer.until("</jid>"), "</jid>")
	g.peer.until("</bind></iq>")
}

// replay checks that the server sends exactly the S lines.
func (g *golden) replay() {
	for i := 0; i < len(g.body); i++ {
		line, number := g.body[i], len(g.head)+2+i
		want, ok := strings.CutPrefix(line, "S: ")
		if !ok {
			require.Empty(g.t, g.peer.read, "line %d: said before it", number)
			g.do(line)
			continue
		}
		g.expect(number, want)
		if strings.HasPrefix(want, "<stream:stream ") && i+1 < len(g.body) && strings.HasPrefix(g.body[i+1], "S: <stream:features>") {
			// TLS delivers one write in one piece.
			require.NotEmpty(g.t, g.peer.read, "line %d: header and features are not one write (CCS 1.11)", number)
		}
	}
	if !g.ended { // the server must not send more before its end either
		g.peer.send(streamEnd)
		g.expect(len(g.head)+2+len(g.body), streamEnd)
	}
	require.Empty(g.t, g.receive(1, patience), "said behind the end")
	_, err := g.peer.nc.Read(make([]byte, 1))
	require.Equal(g.t, io.EOF, err, "TLS is ended too (CCS 1.10)")
}

// visible has the visible characters that stand for invisible ones in the files.
var visible = strings.NewReplacer("⏎", "\n", "␣", " ")

// placeholder matches the name of a random value: the kind, which is its form, and a name.
var placeholder = regexp.MustCompile(`\{(ID|HEX)-[a-z0-9]+\}`)

// digits is the number of hexadecimal digits of each kind of placeholder.
var digits = map[string]int{"ID": 16, "HEX": 8}

// expect reads exactly the bytes of an S line from the connection.
func (g *golden) expect(number int, want string) {
	g.t.Helper()
	text := visible.Replace(g.fill(want))
	for m := placeholder.FindStringSubmatchIndex(text); m != nil; m = placeholder.FindStringSubmatchIndex(text) {
		name, n := text[m[0]+1:m[1]-1], digits[text[m[2]:m[3]]]
		got := g.receive(m[0]+n, patience)
		value := got[min(m[0], len(got)):]
		require.Regexp(g.t, "^[0-9A-F]+$", value, "line %d: %s in %s", number, name, got)
		for other := range g.names {
			require.NotEqual(g.t, g.names[other], value, "%s is to be new, and not that of %s", name, other)
		}
		g.names[name] = value
		text = g.fill(text)
	}
	require.Equal(g.t, text, g.receive(len(text), patience), "line %d", number)
	g.peer.read = g.peer.read[len(text):]
	g.ended = g.ended || strings.HasSuffix(want, streamEnd)
}

// receive returns the next n bytes without consuming them, or fewer if nothing comes for too long.
func (g *golden) receive(n int, wait time.Duration) string {
	buf := make([]byte, 64<<10)
	for len(g.peer.read) < n {
		g.peer.nc.SetReadDeadline(time.Now().Add(wait))
		got, err := g.peer.nc.Read(buf)
		if g.peer.read += string(buf[:got]); err != nil {
			return g.peer.read
		}
	}
	return g.peer.read[:n]
}

// fill replaces the placeholders that have a value.
func (g *golden) fill(s string) string {
	for name, value := range g.names {
		s = strings.ReplaceAll(s, "{"+name+"}", value)
	}
	return s
}

// do executes a line other than S.
func (g *golden) do(line string) {
	if said, ok := strings.CutPrefix(line, "C: "); ok {
		said = visible.Replace(g.fill(said))
		require.NotRegexp(g.t, placeholder, said, "a placeholder that stands for nothing yet")
		g.peer.send(said)
		return
	}
	ctx := context.Background()
	word, rest, _ := strings.Cut(line, " ")
	switch args := strings.Fields(rest); word {
	case "", "#":
	case "upstream":
		require.NoError(g.t, g.router.SendUpstream(ctx, testDevice, []ccs.Upstream{g.upstreamOf(args)}))
	case "device-gets":
		require.Equal(g.t, rest, strings.Join(g.claim(), " "), "what the device gets")
	case "device-ack":
		g.claim()
		e := g.held[args[0]]
		var d ccs.Delivery
		require.True(g.t, g.device.Open(ctx, &e, &d), "what the device acknowledges")
		var done ccs.Finished
		done.Acknowledged(&d)
		require.NoError(g.t, g.device.Forget(ctx, &done))
	case "downstream":
		results := g.router.Send(ctx, ccs.Source{Sender: goldenSender}, []ccs.Downstream{g.downstreamOf(args)}, nil)
		require.Nil(g.t, results[0].Refusal)
	case "register":
		args = append(args, []string{"", testApp, goldenSender}[len(args):]...)
		g.register(args[0], args[1], args[2])
	case "unregister":
		require.NoError(g.t, g.router.Unregister(ctx, store.Registration{Device: uint64(testDevice), App: args[0]}))
	case "later":
		g.clock.Add(int64(g.duration(args[0])))
	case "reconnect":
		// The connection drops without an end of the stream. The server ends its side after it has
		// released the session's claims.
		require.NoError(g.t, g.peer.nc.(*tls.Conn).CloseWrite())
		require.Empty(g.t, g.peer.rest())
		g.connect()
	case "drain":
		require.Equal(g.t, 1, g.server.DrainSome(goldenSender, ""))
	case "closed":
		g.ended = true
	case "shutdown":
		go g.server.Close()
	case "store-fails":
		g.store.fails.Store(true)
	case "store-unavailable":
		g.store.unavailable.Store(true)
	case "store-mends":
		g.store.fails.Store(false)
		g.store.unavailable.Store(false)
	case "store-closed":
		require.NoError(g.t, g.store.Close())
	default:
		require.Fail(g.t, "unknown line", "%q", line)
	}
}

// claim lists the messages that the device gets now for the first time.
func (g *golden) claim() (ids []string) {
	ctx := context.Background()
	if g.device == nil {
		box, err := g.router.AttachDevice(ctx, testDevice, deviceSession{})
		require.NoError(g.t, err)
		g.t.Cleanup(func() { box.Detach(ctx) })
		g.device = box
	}
	entries, err := g.device.Claim(ctx, 1000)
	require.NoError(g.t, err)
	for _, e := range entries {
		var m ccs.Message
		require.NoError(g.t, m.Decode(e.Body))
		ids = append(ids, m.ID)
		g.held[m.ID] = e
	}
	return ids
}

// upstreamOf parses the words after upstream: the message_id, the domain that the device used, a
// TTL, data.
func (g *golden) upstreamOf(words []string) ccs.Upstream {
	m := ccs.Upstream{To: goldenSender + "@gcm.googleapis.com", Category: testApp, ID: words[0], PersistentID: "p-" + words[0]}
	for _, word := range words[1:] {
		if key, value, ok := strings.Cut(word, "="); ok {
			m.Data = m.Data.Append(key, value)
		} else if strings.HasPrefix(word, "@") {
			m.To = goldenSender + word
		} else {
			m.TTL, m.HasTTL = g.duration(word), true
		}
	}
	return m
}

// downstreamOf parses the words after downstream: the message_id, fields of the message as
// NAME:JSON, and data.
func (g *golden) downstreamOf(words []string) ccs.Downstream {
	text := `{"to":"T1","message_id":"` + words[0] + `"`
	var data stanza.Data
	for _, word := range words[1:] {
		if key, value, ok := strings.Cut(word, "="); ok {
			data = data.Append(key, value)
		} else {
			name, value, _ := strings.Cut(word, ":")
			text += `,"` + name + `":` + value
		}
	}
	var in stanza.Inbound
	require.NoError(g.t, stanza.DecodeInbound([]byte(text+`,"data":`+string(stanza.AppendObject(nil, data))+`}`), nil, &in))
	m := &in.Downstream
	return ccs.Downstream{
		To: m.To, ID: m.MessageID, CollapseKey: m.CollapseKey, Priority: m.Priority, TTL: m.Lifetime(),
		DelayWhileIdle: m.DelayWhileIdle, ReceiptRequested: m.ReceiptRequested, Data: m.Data.AppendData(nil),
	}
}

// quietFor is how long the server must be silent, when S lines are rewritten, to have sent
// everything.
const quietFor = 100 * time.Millisecond

// rewrite plays the client's part and replaces the S lines with the server's output.
func (g *golden) rewrite(file string) {
	out := append(slices.Clone(g.head), "")
	for i, line := range g.body {
		if strings.HasPrefix(line, "S: ") {
			continue
		}
		g.do(line)
		out = append(out, line)
		wait := quietFor
		if i+1 < len(g.body) && strings.HasPrefix(g.body[i+1], "S: ") {
			wait = patience / 2
		} else if strings.HasPrefix(line, "#") {
			continue
		}
		g.receive(1, wait)
		for _, said := range element.FindAllString(g.receive(1<<20, quietFor), -1) {
			out = append(out, "S: "+g.name(said))
		}
		g.peer.read = ""
	}
	require.NoError(g.t, os.WriteFile(file, []byte(strings.Join(out, "\n")+"\n"), 0o644))
}

var (
	// element matches one line of the server's output; elements of one name do not nest there.
	element   = regexp.MustCompile(`(?s)</?stream:stream[^>]*>|<[^>]*/>|<stream:features>.*?</stream:features>|<stream:error>.*?</stream:error>|<failure.*?</failure>|<iq.*?</iq>|<message.*?</message>|[^<]+`)
	randomHex = regexp.MustCompile(`( id="|/[^<"]*|drain-|"now:)([0-9A-F]{16}|[0-9A-F]{8})("|</jid>)`)
)

// name replaces random values with placeholders.
func (g *golden) name(s string) string {
	for _, m := range randomHex.FindAllStringSubmatch(s, -1) {
		switch {
		case m[1] == "drain-":
			g.names["HEX-drain"] = m[2]
		case m[3] == "</jid>":
			g.names["HEX-jid"] = m[2]
		case len(m[2]) == digits["ID"]:
			g.names["ID-"+strconv.Itoa(len(g.names)+1)] = m[2]
		}
	}
	for name, value := range g.names {
		s = strings.ReplaceAll(s, value, "{"+name+"}")
	}
	if s == " " {
		return "␣"
	}
	return s
}
