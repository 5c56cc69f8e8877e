package xmppserver_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/xmppserver"
)

var headerShape = regexp.MustCompile(`^<stream:stream from="([^"]*)" id="[0-9A-F]{16}" version="1.0" xmlns:stream="http://etherx.jabber.org/streams" xmlns="jabber:client">`)

// These are the openings of the client libraries in CCS 1.3, and other possible ones (CCS 1.11).
func TestStreamOpenings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	for _, row := range []struct{ name, open, from string }{
		{"go-xmpp", "<?xml version='1.0'?>\n<stream:stream to='gcm.googleapis.com' xmlns='jabber:client'\n xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>\n", "gcm.googleapis.com"},
		{"xmpp.js", `<?xml version='1.0'?><stream:stream version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" to="fcm.googleapis.com">`, "fcm.googleapis.com"},
		{"slixmpp", `<stream:stream to='gcm.googleapis.com' xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' xml:lang='en' version='1.0'>`, "gcm.googleapis.com"},
		{"aioxmpp", `<?xml version="1.0"?><stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" to="gcm.googleapis.com" version="1.0">`, "gcm.googleapis.com"},
		{"FCMStream", `<stream:stream to="fcm-xmpp.googleapis.com" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">` + "\n", "fcm-xmpp.googleapis.com"},
		{"to is a sentence", `<stream:stream to="FCM XMPP Client" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`, "gcm.googleapis.com"},
		{"no to, no version, another prefix, id and from of its own", `<s:stream from='localhost' id='x1' xmlns="jabber:client" xmlns:s="http://etherx.jabber.org/streams">`, "gcm.googleapis.com"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := w.dial()
			p.t = t
			p.send(row.open)
			got := p.until("</stream:features>")
			m := headerShape.FindStringSubmatch(got)
			require.NotNil(t, m, got)
			assert.Equal(t, row.from, m[1])
			assert.Equal(t, `<stream:features><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>X-OAUTH2</mechanism><mechanism>X-GOOGLE-TOKEN</mechanism><mechanism>PLAIN</mechanism></mechanisms></stream:features>`, got[len(m[0]):])
		})
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	auth := func(mechanism, body string) string {
		return fmt.Sprintf(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='%s'>%s</auth>`, mechanism, body)
	}
	const ok = `<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`
	fail := func(c string) string {
		return `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><` + c + `/></failure>`
	}
	s, k := testSender, testKey
	for _, row := range []struct{ name, auth, want string }{
		{"sender ID alone", plainAuth("\x00" + s + "\x00" + k), ok},
		{"full address", plainAuth("\x00" + s + "@gcm.googleapis.com\x00" + k), ok},
		{"fcm address", plainAuth("\x00" + s + "@fcm.googleapis.com\x00" + k), ok},
		{"authzid is the bare JID", plainAuth(s + "@gcm.googleapis.com\x00" + s + "\x00" + k), ok},
		{"the documentation's own sample domain", plainAuth(s + "@projects.gcm.android.com\x00" + s + "@projects.gcm.android.com\x00" + k), ok},
		{"base64 folded over lines", strings.Replace(plainAuth("\x00"+s+"\x00"+k), "MTI2", "MT\n  I2\t", 1), ok},
		{"X-OAUTH2 with the API key and Google's attributes", strings.Replace(strings.Replace(plainAuth("\x00"+s+"\x00"+k), "'PLAIN'", `"X-OAUTH2" auth:service="oauth2" xmlns:auth="http://www.google.com/talk/protocol/auth"`, 1), "\n", "", -1), ok},
		{"X-GOOGLE-TOKEN with the API key", strings.Replace(plainAuth("\x00"+s+"\x00"+k), "PLAIN", "X-GOOGLE-TOKEN", 1), ok},
		{"wrong key", plainAuth("\x00" + s + "\x00wrong"), fail("not-authorized")},
		{"unknown sender looks like a wrong key", plainAuth("\x00999999999999\x00" + k), fail("not-authorized")},
		{"user that is no sender ID", plainAuth("\x00someone\x00" + k), fail("not-authorized")},
		{"unknown domain", plainAuth("\x00" + s + "@example.org\x00" + k), fail("not-authorized")},
		{"authzid of another sender", plainAuth("999999999999\x00" + s + "\x00" + k), fail("invalid-authzid")},
		{"two fields", plainAuth(s + "\x00" + k), fail("malformed-request")},
		{"bad base64", auth("PLAIN", "!!!!"), fail("incorrect-encoding")},
		{"empty response", auth("PLAIN", "="), fail("malformed-request")},
		{"unknown mechanism", auth("DIGEST-MD5", ""), fail("invalid-mechanism")},
		{"abort", `<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`, fail("aborted")},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := w.dial()
			p.t = t
			p.send(clientHeader)
			p.until("</stream:features>")
			p.send(row.auth)
			assert.Equal(t, row.want, p.until(row.want[len(row.want)-10:]))
			if row.want != ok { // one more try on the same stream
				p.send(plainAuth("\x00" + s + "\x00" + k))
				assert.Equal(t, ok, p.until("/>"))
			}
		})
	}
	t.Run("no initial response", func(t *testing.T) {
		p := w.dial()
		p.t = t
		p.send(clientHeader)
		p.until("</stream:features>")
		p.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'/>`)
		assert.Equal(t, `<challenge xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`, p.until("/>"))
		p.send(strings.NewReplacer("auth", "response", " mechanism='PLAIN'", "").Replace(plainAuth("\x00" + s + "\x00" + k)))
		assert.Equal(t, ok, p.until("/>"))
	})
	t.Run("a second failure ends the stream", func(t *testing.T) {
		p := w.dial()
		p.t = t
		p.send(clientHeader)
		p.until("</stream:features>")
		p.send(plainAuth("\x00" + s + "\x00wrong"))
		p.until("</failure>")
		p.send(plainAuth("\x00" + s + "\x00wrong"))
		assert.Equal(t, fail("not-authorized")+"</stream:stream>", p.rest())
	})
}

// A violation before bind ends the stream with the right condition (CCS 1.8, 1.10).
func TestStreamErrorsBeforeBind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{AuthTimeout: time.Second}, ccs.Options{})
	end := func(c string) string {
		return `<stream:error><` + c + ` xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`
	}
	for _, row := range []struct{ name, send, want string }{
		{"message before login", clientHeader + gcm(`{}`), end("not-authorized")},
		{"wrong default namespace", strings.Replace(clientHeader, "jabber:client", "jabber:server", 1), end("invalid-namespace")},
		{"version 2", strings.Replace(clientHeader, "version='1.0'>", "version='2.0'>", 1), end("unsupported-version")},
		{"self-closed header is opened and closed", strings.Replace(clientHeader, "'1.0'>", "'1.0'/>", 1), "</stream:stream>"},
		{"no XML at all", "GET / HTTP/1.1\r\n\r\n", end("invalid-xml")},
		{"a DTD", "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>", end("restricted-xml")},
		{"a comment", clientHeader + "<!-- hello -->", end("restricted-xml")},
		{"more than 4 KiB", clientHeader + "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + strings.Repeat("A", 5000), end("policy-violation")},
		{"silence", clientHeader, end("connection-timeout")},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			p := w.dial()
			p.t = t
			p.send(row.send)
			got := p.rest()
			header := headerShape.FindString(got)
			require.NotEmpty(t, header, "the stream is opened before it is ended: %s", got)
			assert.True(t, strings.HasSuffix(got, row.want), got)
		})
	}
}

func TestBind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	loggedIn := func(t *testing.T, user string) *peer {
		p := w.dial()
		p.t = t
		p.send(clientHeader)
		p.until("</stream:features>")
		p.send(plainAuth("\x00" + user + "\x00" + testKey))
		p.until("/>")
		p.send(clientHeader)
		got := p.until("</stream:features>")
		assert.True(t, strings.HasSuffix(got, `<stream:features><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></stream:features>`), got)
		return p
	}
	s := testSender
	for _, row := range []struct{ name, user, iq, want string }{
		{"go-xmpp", s, clientBind, `^<iq id="a1" type="result"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>` + s + `@gcm\.googleapis\.com/[0-9A-F]{8}</jid></bind></iq>$`},
		{"a resource gets eight digits behind it", s, `<iq type="set" id="x"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>test</resource></bind></iq>`, `<jid>` + s + `@gcm\.googleapis\.com/test[0-9A-F]{8}</jid>`},
		{"an empty resource", s, `<iq type="set" id="x"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource/></bind></iq>`, `<jid>` + s + `@gcm\.googleapis\.com/[0-9A-F]{8}</jid>`},
		{"an absurd resource is cut", s, `<iq type="set" id="x"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>` + strings.Repeat("é", 500) + `</resource></bind></iq>`, `<jid>` + s + `@gcm\.googleapis\.com/é{256}[0-9A-F]{8}</jid>`},
		{"the fcm domain is kept", s + "@fcm.googleapis.com", clientBind, `<jid>` + s + `@fcm\.googleapis\.com/`},
		{"other domains become gcm", s + "@projects.gcm.android.com", clientBind, `<jid>` + s + `@gcm\.googleapis\.com/`},
		{"addressing is mirrored", s, `<iq to="fcm-xmpp.googleapis.com" type="set" id="GUID-1"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>test</resource></bind></iq>`, `^<iq to="` + s + `@gcm\.googleapis\.com/test[0-9A-F]{8}" from="fcm-xmpp.googleapis.com" id="GUID-1" type="result"><bind`},
		{"without an id there is none in the reply", s, `<iq type="set"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>`, `^<iq type="result"><bind`},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := loggedIn(t, row.user)
			p.send(row.iq)
			assert.Regexp(t, row.want, p.until("</iq>"))
		})
	}
	t.Run("the session request may come first, under the same id", func(t *testing.T) {
		p := loggedIn(t, s)
		p.send(`<iq id="a1" type="set"><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></iq>` + clientBind)
		assert.Equal(t, `<iq id="a1" type="result"/>`, p.until("/>"))
		assert.Contains(t, p.until("</iq>"), bindPrefix)
	})
	for name, stanza := range map[string]string{
		"a ping":     `<iq id="1" type="get"><ping xmlns="urn:xmpp:ping"/></iq>`,
		"a presence": `<presence/>`,
		"a message":  gcm(`{}`),
	} {
		t.Run(name+" before bind ends the stream", func(t *testing.T) {
			p := loggedIn(t, s)
			p.send(stanza)
			assert.Equal(t, `<stream:error><not-authorized xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`, p.rest())
		})
	}
	t.Run("a stream that ends instead of being restarted is ended in turn", func(t *testing.T) {
		p := w.dial()
		p.t = t
		p.send(clientHeader)
		p.until("</stream:features>")
		p.send(plainAuth("\x00" + s + "\x00" + testKey))
		p.until("/>")
		p.send("</stream:stream>")
		assert.Equal(t, "</stream:stream>", p.rest())
	})
	t.Run("everything in one write", func(t *testing.T) {
		p := w.dial()
		p.t = t
		p.send(clientHeader + plainAuth("\x00"+s+"\x00"+testKey) + clientHeader + clientBind + gcm(`{"to":"`+testToken+`","message_id":"m-1"}`))
		got := p.until("</message>")
		assert.Contains(t, got, `{"message_type":"ack","from":"`+testToken+`","message_id":"m-1"}`)
	})
}
