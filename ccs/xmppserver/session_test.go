package xmppserver_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"
)

const (
	ackShape  = `<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"ack","from":"%s","message_id":"%s"}</data:gcm></message>`
	nackShape = `<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"nack","from":"%s","message_id":"%s","error":"%s","error_description":"%s"}</data:gcm></message>`
)

func send(to, id, more string) string {
	return gcm(`{"to":"` + to + `","message_id":"` + id + `"` + more + `}`)
}

// upstream makes the test's device send a message to the sender.
func (w *world) upstream(id string, more ...func(*ccs.Upstream)) {
	w.t.Helper()
	m := ccs.Upstream{To: testSender + "@gcm.googleapis.com", Category: testApp, ID: id, PersistentID: "p-" + id, Data: stanza.Data{}.Append("hello", "world")}
	for _, f := range more {
		f(&m)
	}
	require.NoError(w.t, w.router.SendUpstream(context.Background(), testDevice, []ccs.Upstream{m}))
}

func upstreamShape(id string) string {
	return `<message to="` + testSender + `@gcm.googleapis.com" from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">{"data":{"hello":"world"},"time_to_live":86400,"from":"` + testToken + `","message_id":"` + id + `","category":"com.example.app"}</gcm></message>`
}

func clientAck(to, id string) string {
	return gcm(`{"to":"` + to + `","message_id":"` + id + `","message_type":"ack"}`)
}

// Each message gets one answer, in the exact form of CCS 3.2 and 3.3.
func TestAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	p := w.login()
	for _, row := range []struct{ name, send, want string }{
		{"a good message", send(testToken, "m-1", `,"data":{"k":"a < b"}`), fmt.Sprintf(ackShape, testToken, "m-1")},
		{"an unknown token", send("nobody", "m-2", ``), fmt.Sprintf(nackShape, "nobody", "m-2", "BAD_REGISTRATION", "Invalid token on 'to' field: nobody")},
		{"a bad ttl", send(testToken, "m-3", `,"time_to_live":-1`), fmt.Sprintf(nackShape, testToken, "m-3", "INVALID_JSON", `InvalidJson: INVALID_TTL : Invalid value (-1) for \"time_to_live\": must be between 0 and \"2419200\"`)},
		{"a topic, which has no subscribers", send("/topics/news", "m-4", ``), fmt.Sprintf(ackShape, "/topics/news", "m-4")},
		{"a dry run", send(testToken, "m-5", `,"dry_run":true`), fmt.Sprintf(ackShape, testToken, "m-5")},
		{"the wrong package", send(testToken, "m-6", `,"restricted_package_name":"com.other"`), fmt.Sprintf(nackShape, testToken, "m-6", "INVALID_JSON", "InvalidPackageName: the registration is not of com.other")},
		{"an unknown message_type", send(testToken, "m-7", `,"message_type":"akc"`), ""},
		{"an ack without to", gcm(`{"message_id":"m-8","message_type":"ack"}`), fmt.Sprintf(nackShape, "", "m-8", "BAD_ACK", "Missing Required Field: to")},
	} {
		t.Run(row.name, func(t *testing.T) {
			p.t = t
			p.send(row.send)
			got := p.until("</message>")
			if row.want == "" {
				assert.Contains(t, got, `"error":"INVALID_JSON"`)
				return
			}
			assert.Equal(t, row.want, got)
		})
	}
	t.Run("the text is no JSON", func(t *testing.T) {
		p.t = t
		p.send(`<message id="3"><gcm xmlns="google:mobile:data">{"random":"text"}</gcm></message>`)
		assert.Regexp(t, `^<message id="3" type="error" to="`+testSender+`@gcm\.googleapis\.com/[0-9A-F]{8}"><gcm xmlns="google:mobile:data">\{"random":"text"\}</gcm><error code="400" type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id\\n</text></error></message>$`, p.until("</message>"))
	})
	t.Run("an ack of nothing that we sent", func(t *testing.T) {
		p.t = t
		p.send(clientAck(testToken, "unknown"))
		got := p.until("</message>")
		assert.Contains(t, got, `<error code="406" type="modify"><not-acceptable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/>`)
		assert.Contains(t, got, "Received acks for messages not sent over this connection")
	})
	t.Run("a message without gcm", func(t *testing.T) {
		p.t = t
		p.send(`<message id="9"><body>hi</body></message>`)
		assert.Contains(t, p.until("</message>"), `<error code="400"`)
	})
	p.t = t
	p.quiet()
}

// A client that acks wrong messages gets answers, but only a limited number (CCS 3.4).
func TestWrongAcksAreAnsweredInMeasure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	p := w.login()
	p.send(strings.Repeat(clientAck(testToken, "unknown"), 1000) + send(testToken, "m-1", ""))
	got := p.until(`"message_id":"m-1"}</data:gcm></message>`)
	answered := strings.Count(got, `code="406"`)
	assert.GreaterOrEqual(t, answered, 100)
	assert.Less(t, answered, 500)
	p.quiet()
}

// This is the table of CCS 1.8.
func TestAfterBind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	p := w.login()
	p.send(`<presence xml:lang='en'><show></show><status></status></presence><message type="error"/><iq type="result" id="r"/>` + "\\n \n")
	p.quiet()
	for _, row := range []struct{ name, iq, want string }{
		{"a ping with an address", `<iq from='x' to='gcm.googleapis.com' id='c2s1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`, `^<iq to="` + testSender + `@gcm\.googleapis\.com/[0-9A-F]{8}" from="gcm\.googleapis\.com" id="c2s1" type="result"/>$`},
		{"a ping without", `<iq id='c2s2' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`, `^<iq id="c2s2" type="result"/>$`},
		{"the session again", `<iq id='s' type='set'><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></iq>`, `^<iq id="s" type="result"/>$`},
		{"the roster", `<iq id='r' type='get'><query xmlns="jabber:iq:roster"/></iq>`, `^<iq id="r" type="result"><query xmlns="jabber:iq:roster"/></iq>$`},
		{"disco", `<iq id='d' type='get'><query xmlns="http://jabber.org/protocol/disco#info"/></iq>`, `^<iq id="d" type="result"><query xmlns="http://jabber.org/protocol/disco#info"><identity category="server" type="im"/>`},
		{"anything else", `<iq id='v' type='get'><query xmlns="jabber:iq:version"/></iq>`, `^<iq id="v" type="error"><error code="503" type="cancel"><service-unavailable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>$`},
		{"a second bind", clientBind, `<not-allowed xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/></error></iq>$`},
	} {
		t.Run(row.name, func(t *testing.T) {
			p.t = t
			p.send(row.iq)
			end := "</iq>"
			if strings.HasSuffix(row.want, "/>$") {
				end = "/>"
			}
			assert.Regexp(t, row.want, p.until(end))
		})
	}
	t.Run("an unknown element ends the stream", func(t *testing.T) {
		p := w.login()
		p.t = t
		p.send(`<whatever/>`)
		assert.Equal(t, `<stream:error><unsupported-stanza-type xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`, p.rest())
	})
	t.Run("broken XML ends the stream, after what came before it was answered", func(t *testing.T) {
		p := w.login()
		p.t = t
		p.send(send(testToken, "m-1", "") + `<message><gcm xmlns="google:mobile:data">{"a":"b & c"}</gcm></message>`)
		assert.Equal(t, fmt.Sprintf(ackShape, testToken, "m-1")+`<stream:error><invalid-xml xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`, p.rest())
	})
	t.Run("a stanza beyond 256 KiB ends the stream", func(t *testing.T) {
		p := w.login()
		p.t = t
		go p.nc.Write([]byte(`<message><gcm xmlns="google:mobile:data">` + strings.Repeat("x", 300<<10)))
		assert.Contains(t, p.rest(), `<policy-violation `)
	})
	t.Run("the peer's end is answered", func(t *testing.T) {
		p := w.login()
		p.t = t
		p.send(send(testToken, "m-2", "") + `</stream:stream>`)
		assert.Equal(t, fmt.Sprintf(ackShape, testToken, "m-2")+`</stream:stream>`, p.rest())
	})
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	w.upstream("u-1") // while no app server is connected
	p := w.login()
	assert.Equal(t, upstreamShape("u-1"), p.until("</message>"), "what waited comes first")
	w.upstream("u-2")
	assert.Equal(t, upstreamShape("u-2"), p.until("</message>"))
	w.upstream("u-2")
	p.quiet() // a repeat is not delivered again
	p.send(clientAck(testToken, "u-2"))
	p.quiet()
	p.nc.Close()

	p = w.login()
	assert.Equal(t, upstreamShape("u-1"), p.until("</message>"), "what was not acknowledged comes again, and only that")
	p.send(clientAck("anything", "u-1"))
	p.quiet()
	p.send(clientAck(testToken, "u-1"))
	assert.Contains(t, p.until("</message>"), `code="406"`, "an ack counts once")
}

// At most a window is offered, and each ack makes room for one more (CCS 4.2).
func TestUpstreamWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{Profile: ccs.Profile{UpstreamWindow: 2}})
	p := w.login()
	for i := range 4 {
		w.upstream(fmt.Sprint("u-", i))
	}
	assert.Equal(t, upstreamShape("u-0"), p.until("</message>"))
	assert.Equal(t, upstreamShape("u-1"), p.until("</message>"))
	p.quiet()
	p.send(clientAck(testToken, "u-0"))
	assert.Equal(t, upstreamShape("u-2"), p.until("</message>"))
	p.send(clientAck(testToken, "u-2") + clientAck(testToken, "u-1"))
	assert.Equal(t, upstreamShape("u-3"), p.until("</message>"))
}

// With several connections each message goes to one of them. The messages of one that ends go to
// another.
func TestUpstreamOverSeveralConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	first := w.login()
	w.upstream("u-1")
	assert.Equal(t, upstreamShape("u-1"), first.until("</message>"))
	second := w.login()
	second.quiet()
	first.nc.Close()
	assert.Equal(t, upstreamShape("u-1"), second.until("</message>"))
}

// A client that sends more than the window waits, and loses nothing (CCS 4.1).
func TestWindowOverrun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{Profile: ccs.Profile{Window: 3}})
	p := w.login()
	const total = 500
	var all strings.Builder
	for i := range total {
		all.WriteString(send(testToken, fmt.Sprint("m-", i), `,"collapse_key":"k"`))
	}
	go p.nc.Write([]byte(all.String()))
	for i := range total {
		require.Equal(t, fmt.Sprintf(ackShape, testToken, fmt.Sprint("m-", i)), p.until("</message>"))
	}
	p.quiet()
}

// A client that sends and never reads is closed by the write deadline and does not hurt others.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{WriteTimeout: 200 * time.Millisecond}, ccs.Options{})
	slow, other := w.login(), w.login()
	other.t = t
	flood := []byte(strings.Repeat(send("nobody", "m", ""), 1000))
	failed := make(chan error, 1)
	go func() {
		for {
			if _, err := slow.nc.Write(flood); err != nil {
				failed <- err
				return
			}
		}
	}()
	select {
	case err := <-failed:
		require.Error(t, err)
	case <-time.After(3 * patience):
		t.Fatal("the slow reader was never closed")
	}
	other.quiet()
}

func TestKeepAlive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{KeepAlive: 50 * time.Millisecond}, ccs.Options{})
	p := w.login()
	assert.Equal(t, "  ", p.until("  "))
}

// A draining session sends the control message and nacks new messages. It still accepts acks, and
// closes when nothing is outstanding (CCS 3.7).
func TestDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{DrainMin: 50 * time.Millisecond}, ccs.Options{})
	w.upstream("u-1")
	p := w.login()
	p.until("</message>")
	drained := make(chan error, 1)
	go func() { drained <- w.server.Drain(context.Background()) }()
	assert.Regexp(t, `^<message><data:gcm xmlns:data="google:mobile:data">\{"message_type":"control","control_type":"CONNECTION_DRAINING","message_id":"drain-[0-9A-F]{8}"\}</data:gcm></message>$`, p.until("</message>"))
	p.send(send(testToken, "m-1", ""))
	assert.Equal(t, fmt.Sprintf(nackShape, testToken, "m-1", "CONNECTION_DRAINING", "Connection is draining"), p.until("</message>"))
	w.upstream("u-2")
	p.quiet() // nothing new on a draining connection
	p.send(clientAck(testToken, "u-1"))
	assert.Equal(t, "</stream:stream>", p.rest())
	require.NoError(t, <-drained)
}

func TestDrainEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{DrainMin: 10 * time.Millisecond, DrainMax: 100 * time.Millisecond}, ccs.Options{})
	w.upstream("u-1")
	p := w.login()
	p.until("</message>")
	require.NoError(t, w.server.Drain(context.Background()))
	assert.Contains(t, p.rest(), "CONNECTION_DRAINING")
}

// A command drains one connection, or all of a sender (CCS 3.7).
func TestDrainSome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{DrainMin: 10 * time.Millisecond}, ccs.Options{})
	p := w.dial()
	p.send(clientHeader + plainAuth("\x00"+testSender+"\x00"+testKey) + clientHeader + clientBind)
	p.until(bindPrefix)
	jid := strings.TrimSuffix(p.until("</jid>"), "</jid>")
	p.until("</iq>")
	other := w.login()
	assert.Zero(t, w.server.DrainSome("999999999999", ""))
	assert.Zero(t, w.server.DrainSome("", "nobody"))
	assert.Equal(t, 1, w.server.DrainSome("", jid))
	assert.Contains(t, p.rest(), "CONNECTION_DRAINING")
	other.quiet()
	assert.Equal(t, 1, w.server.DrainSome(testSender, ""))
	assert.Contains(t, other.rest(), "CONNECTION_DRAINING")
	w.login().quiet() // the server itself goes on
}

func TestARevokedKeysConnectionsDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{DrainMin: 10 * time.Millisecond}, ccs.Options{})
	ctx := context.Background()
	require.NoError(t, w.store.UpdateProject(ctx, testSender, func(p *store.Project) error {
		p.Keys = append(p.Keys, store.APIKey{ID: "k2", Hash: store.HashKey("second")})
		return nil
	}))
	first := w.login()
	require.NoError(t, w.server.KeysChanged(ctx, testSender))
	first.quiet()
	require.NoError(t, w.store.UpdateProject(ctx, testSender, func(p *store.Project) error {
		p.Keys = p.Keys[1:]
		return nil
	}))
	require.NoError(t, w.server.KeysChanged(ctx, testSender))
	assert.Contains(t, first.rest(), "CONNECTION_DRAINING")
	p := w.dial()
	p.send(clientHeader + plainAuth("\x00"+testSender+"\x00second"))
	p.until(`<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`)
}

// One connection too many gets an error and should come back later; no other suffers (CCS 4.5).
func TestConnectionsOfASender(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{MaxPerSender: 2}, ccs.Options{})
	first, second := w.login(), w.login()
	p := w.dial()
	p.send(clientHeader)
	p.until("</stream:features>")
	p.send(plainAuth("\x00" + testSender + "\x00" + testKey))
	assert.Equal(t, `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><temporary-auth-failure/></failure>`, p.until("</failure>"))
	first.quiet()
	second.send("</stream:stream>")
	second.rest()
	second.nc.Close()
	require.Eventually(t, func() bool {
		p := w.dial()
		p.send(clientHeader)
		p.until("</stream:features>")
		p.send(plainAuth("\x00" + testSender + "\x00" + testKey))
		return strings.Contains(p.until("/>"), "success")
	}, patience, 10*time.Millisecond, "a place comes free with the connection")
}

// An address whose logins fail again and again is refused for a while, even with a right key
// (CCS 1.6).
func TestFailedLoginsAreThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{FailedLogins: flowcontrol.Rate{Every: time.Hour, Burst: 2}}, ccs.Options{})
	try := func(key string) string {
		p := w.dial()
		p.send(clientHeader)
		p.until("</stream:features>")
		p.send(plainAuth("\x00" + testSender + "\x00" + key))
		return p.until("/>")
	}
	assert.Contains(t, try("wrong"), "not-authorized")
	assert.Contains(t, try(testKey), "success")
	assert.Contains(t, try("wrong"), "not-authorized")
	assert.Contains(t, try(testKey), "temporary-auth-failure")
}

// A client that does not read delays the end by DrainMax at most.
func TestDrainOfAPeerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{DrainMin: 10 * time.Millisecond, DrainMax: 300 * time.Millisecond}, ccs.Options{})
	p := w.login()
	flood := []byte(strings.Repeat(send("nobody", "m", ""), 1000))
	p.nc.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)) // the sockets are full by then
	for {
		if _, err := p.nc.Write(flood); err != nil {
			break
		}
	}
	began := time.Now()
	require.NoError(t, w.server.Drain(context.Background()))
	assert.Less(t, time.Since(began), 5*time.Second)
}

// The address on an upstream message is the one that the device used (CCS 3.1).
func TestUpstreamAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	p := w.login()
	p.quiet()
	for i, row := range []struct{ used, want string }{
		{testSender + "@fcm.googleapis.com", testSender + "@fcm.googleapis.com"},
		{testSender + "@gcm.googleapis.com", testSender + "@gcm.googleapis.com"},
		{testSender, testSender + "@gcm.googleapis.com"},
		{testSender + "@<evil>", testSender + "@gcm.googleapis.com"},
	} {
		w.upstream(fmt.Sprint("u-", i), func(m *ccs.Upstream) { m.To = row.used })
		assert.Contains(t, p.until("</message>"), `<message to="`+row.want+`" from=`)
	}
}

// With window-overrun=nack each message beyond the window is refused with the window's name
// (CCS 4.1).
func TestWindowOverrunIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{RefuseOverrun: true, NoControlID: true, DrainMin: time.Millisecond}, ccs.Options{Profile: ccs.Profile{Window: 3}})
	p := w.login()
	const total = 100
	var all strings.Builder
	for i := range total {
		all.WriteString(send("/topics/x", fmt.Sprint("m-", i), ""))
	}
	p.send(all.String())
	answered, refused := map[string]bool{}, 0
	for range total {
		got := p.until("</message>")
		id := got[strings.Index(got, `"message_id":"`)+len(`"message_id":"`):]
		answered[id[:strings.IndexByte(id, '"')]] = true
		if strings.Contains(got, "nack") {
			assert.Contains(t, got, `"error":"SERVICE_UNAVAILABLE","error_description":"More than 3 messages are unanswered on this connection"`)
			refused++
		}
	}
	assert.Len(t, answered, total)
	assert.Positive(t, refused)
	assert.LessOrEqual(t, refused, total-3)
	go w.server.Drain(context.Background())
	assert.Contains(t, p.rest(), `{"message_type":"control","control_type":"CONNECTION_DRAINING"}`)
}
