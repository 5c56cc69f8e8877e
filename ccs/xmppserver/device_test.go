package xmppserver_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
)

const (
	deviceDomain = "device.gcm.googleapis.com"
	deviceHeader = `<stream:stream to='` + deviceDomain + `' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>`
)

// identity checks a new device in and registers an app on it.
func (w *world) identity() (id ccs.DeviceID, securityToken, token string) {
	w.t.Helper()
	android, secret, err := w.router.CheckIn(context.Background(), 0, 0)
	require.NoError(w.t, err)
	token = "T-" + strconv.FormatUint(android, 10)
	w.registerDevice(token, ccs.DeviceID(android))
	return ccs.DeviceID(android), strconv.FormatUint(secret, 10), token
}

// loginDevice opens a device's bound session, waits until it is attached, and sends presence.
func (w *world) loginDevice(header, user, securityToken string) *peer {
	w.t.Helper()
	p := w.dial()
	p.send(header)
	assert.Contains(w.t, p.until("</stream:features>"), `from="`+regexp.MustCompile(`to='(.*?)'`).FindStringSubmatch(header)[1]+`"`)
	p.send(plainAuth("\x00" + user + "\x00" + securityToken))
	p.until(`<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`)
	p.send(header)
	p.until("</stream:features>")
	p.send(clientBind)
	local, _, _ := strings.Cut(user, "@")
	assert.Contains(w.t, p.until("</bind></iq>"), "<jid>"+local+"@"+deviceDomain+"/")
	p.quiet()
	p.send(`<presence/>`)
	return p
}

// sendTo makes the router accept a message for a token.
func (w *world) sendTo(token, id string, change func(*ccs.Downstream)) {
	w.t.Helper()
	m := ccs.Downstream{To: token, ID: id, TTL: time.Hour, Data: payload.Data{}.Append("id", id)}
	if change != nil {
		change(&m)
	}
	results := w.router.Send(context.Background(), ccs.Source{Sender: testSender}, []ccs.Downstream{m}, nil)
	require.Nil(w.t, results[0].Refusal)
}

// next returns the payload of the next message.
func (p *peer) next() (m stanza.Outbound) {
	p.t.Helper()
	said := p.until("</message>")
	from := strings.Index(said, ">{") + 1
	to := strings.LastIndex(said, "}<") + 1
	require.NoError(p.t, stanza.DecodeOutbound([]byte(said[from:to]), &m))
	return m
}

func dataOf(m stanza.Outbound) string { return string(stanza.AppendObject(nil, m.Data)) }

// A device is recognised by the domain of its user name, or by the stream's if that has none.
func TestDeviceLogsIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	id, secret, _ := w.identity()
	w.loginDevice(deviceHeader, id.String(), secret)
	w.loginDevice(deviceHeader, id.String()+"@"+deviceDomain, secret)
	w.loginDevice(clientHeader, id.String()+"@"+strings.ToUpper(deviceDomain), secret)
}

func TestDeviceLoginRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	id, secret, _ := w.identity()
	for _, row := range []struct{ name, header, response, want string }{
		{"a wrong token", deviceHeader, "\x00" + id.String() + "\x001", "not-authorized"},
		{"a token that is no number", deviceHeader, "\x00" + id.String() + "\x00" + testKey, "not-authorized"},
		{"another device's token", deviceHeader, "\x0042\x00" + secret, "not-authorized"},
		{"no android id", deviceHeader, "\x00phone\x00" + secret, "not-authorized"},
		{"another authzid", deviceHeader, "42\x00" + id.String() + "\x00" + secret, "invalid-authzid"},
		{"a device's token for an app server's address", clientHeader, "\x00" + id.String() + "\x00" + secret, "not-authorized"},
		{"an app server's key in the devices' domain", deviceHeader, "\x00" + testSender + "\x00" + testKey, "not-authorized"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := w.dial()
			p.send(row.header)
			p.until("</stream:features>")
			p.send(plainAuth(row.response))
			assert.Equal(t, `<failure xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><`+row.want+`/></failure>`, p.until("</failure>"))
		})
	}
	// An app server that names its domain is one, whatever the stream's to is.
	p := w.dial()
	p.send(deviceHeader)
	p.until("</stream:features>")
	p.send(plainAuth("\x00" + testSender + "@gcm.googleapis.com\x00" + testKey))
	p.until(`<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`)
}

// Failed logins of devices are limited like those of app servers (CCS 1.6).
func TestDeviceLoginThrottled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{FailedLogins: flowcontrol.Rate{Every: time.Hour, Burst: 1}}, ccs.Options{})
	id, secret, _ := w.identity()
	p := w.dial()
	p.send(deviceHeader)
	p.until("</stream:features>")
	p.send(plainAuth("\x00" + id.String() + "\x001"))
	assert.Contains(t, p.until("</failure>"), "<not-authorized/>")
	p.send(plainAuth("\x00" + id.String() + "\x00" + secret))
	assert.Contains(t, p.until("</failure>"), "<temporary-auth-failure/>")
}

// The queue belongs to the device: unacknowledged messages stay in it for any next session.
func TestDeviceTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	id, secret, token := w.identity()
	w.sendTo(token, "m-1", nil)
	first := w.loginDevice(deviceHeader, id.String(), secret)
	got := first.next()
	second := w.loginDevice(deviceHeader, id.String(), secret)
	assert.Equal(t, `<stream:error><conflict xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`, first.rest())
	assert.Equal(t, got, second.next())
	second.send(clientAck(got.From, got.MessageID))
	second.quiet()

	// A session of the other door is treated the same.
	w.sendTo(token, "m-2", nil)
	again := second.next()
	assert.Equal(t, `{"id":"m-2"}`, dataOf(again))
	box, err := w.router.AttachDevice(t.Context(), id, deviceSession{})
	require.NoError(t, err)
	assert.Contains(t, second.rest(), "<conflict ")
	entries, err := box.Claim(t.Context(), 10)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "m-1 is forgotten, m-2 is not")
	box.Detach(t.Context())
}

// Unacknowledged messages come again on the living connection, within a window, and acknowledged
// ones do not (CCS 4.2, 4.3).
func TestDeviceAcknowledges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{ResendAfter: 300 * time.Millisecond}, ccs.Options{Profile: ccs.Profile{UpstreamWindow: 2}})
	id, secret, token := w.identity()
	for i := range 3 {
		w.sendTo(token, fmt.Sprint("m-", i), nil)
	}
	p := w.loginDevice(deviceHeader, id.String(), secret)
	first, second := p.next(), p.next()
	assert.Equal(t, []string{`{"id":"m-0"}`, `{"id":"m-1"}`}, []string{dataOf(first), dataOf(second)})
	p.send(clientAck(first.From, first.MessageID))
	seen := map[string]int{}
	for seen[`{"id":"m-1"}`] == 0 || seen[`{"id":"m-2"}`] == 0 {
		m := p.next()
		if seen[dataOf(m)]++; dataOf(m) == dataOf(second) {
			assert.Equal(t, second, m)
		}
	}
	assert.Zero(t, seen[`{"id":"m-0"}`])
}

// The receipt is stored once the device has the message, before that is forgotten (CCS 3.5).
func TestDeviceAckMakesTheReceipt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	id, secret, token := w.identity()
	app := w.login()
	app.quiet()
	p := w.loginDevice(deviceHeader, id.String(), secret)
	for i, ttl := range []int{600, 0} {
		app.send(send(token, fmt.Sprint("m-", i), fmt.Sprintf(`,"delivery_receipt_requested":true,"time_to_live":%d`, ttl)))
		assert.Equal(t, stanza.TypeAck, app.next().Type)
		m := p.next()
		app.quiet()
		p.send(clientAck(m.From, m.MessageID))
		receipt := app.next()
		assert.Equal(t, []any{stanza.TypeReceipt, fmt.Sprint("dr2:m-", i)}, []any{receipt.Type, receipt.MessageID})
	}
}

// More than a hundred messages for a device that is away are discarded, and a marker says so
// (DEV 9.3).
func TestDeviceGetsTheMarker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	id, secret, token := w.identity()
	for i := range 101 {
		w.sendTo(token, fmt.Sprint("m-", i), nil)
	}
	p := w.loginDevice(deviceHeader, id.String(), secret)
	m := p.next()
	assert.Equal(t, []any{stanza.TypeDeletedMessages, testApp, "gcm.googleapis.com", `{"total_deleted":"101"}`}, []any{m.Type, m.Category, m.From, dataOf(m)})
	p.send(clientAck(m.From, m.MessageID))
	p.quiet()
	p.nc.Close()
	w.loginDevice(deviceHeader, id.String(), secret).quiet()
}

// An ack says that the message is stored. A repeat gets one too, and makes no second message
// (DEV 7.3).
func TestDeviceSendsUpstream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	id, secret, token := w.identity()
	p := w.loginDevice(deviceHeader, id.String(), secret)
	const body = `{"to":"` + testSender + `@gcm.googleapis.com","message_id":"u-1","category":"` + testApp + `","time_to_live":60,"data":{"n":1}}`
	for range 2 {
		p.send(gcm(body))
		assert.Equal(t, `<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"ack","from":"`+testSender+`@gcm.googleapis.com","message_id":"u-1"}</data:gcm></message>`, p.until("</message>"))
	}
	p.nc.Close()
	p = w.loginDevice(deviceHeader, id.String(), secret)
	p.send(gcm(body))
	p.until(`"message_type":"ack"`)
	app := w.login()
	m := app.next()
	assert.Equal(t, []any{token, "u-1", testApp, time.Minute, `{"n":"1"}`}, []any{m.From, m.MessageID, m.Category, m.TTL, dataOf(m)})
	app.quiet()
}

// A message that can reach nobody is acknowledged and comes back as a send_error (DEV 9.3). A
// malformed message is refused (CCS 3.3).
func TestDeviceIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	id, secret, token := w.identity()
	p := w.loginDevice(deviceHeader, id.String(), secret)
	p.send(gcm(`{"to":"777","message_id":"u-1","category":"` + testApp + `"}`))
	assert.Equal(t, stanza.TypeAck, p.next().Type)
	m := p.next()
	assert.Equal(t, []any{stanza.TypeSendError, testApp, "777"}, []any{m.Type, m.Category, m.From})
	assert.Equal(t, `{"original_message_id":"u-1","error":"InvalidParameters","error_description":"InvalidParameters: no such sender ID"}`, dataOf(m))
	p.send(clientAck(m.From, m.MessageID))
	p.quiet()

	p.send(gcm(`{"to":"` + token + `","message_id":"m-1","data":{"k":"v"}}`))
	m = p.next()
	assert.Equal(t, []any{stanza.TypeNack, stanza.InvalidJSON, "InvalidJson: JSON_PARSING_ERROR : Missing Required Field: category"}, []any{m.Type, m.Error, m.Description}, "a device sends nothing downstream")
	p.send(gcm(`{"to":"1","category":"c"}`))
	assert.Contains(t, p.until("</message>"), `<error code="400" type="modify">`)
	p.send(clientAck("123", "of nothing"))
	assert.Contains(t, p.until("</message>"), `<error code="406" type="modify">`)
}

// A drain by command is for app servers. When the server ends, devices drain too (CCS 3.7).
func TestDeviceDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{DrainMin: 10 * time.Millisecond}, ccs.Options{})
	id, secret, _ := w.identity()
	p := w.loginDevice(deviceHeader, id.String(), secret)
	assert.Zero(t, w.server.DrainSome("", ""))
	require.NoError(t, w.server.Drain(t.Context()))
	said := p.rest()
	assert.Contains(t, said, `"control_type":"CONNECTION_DRAINING"`)
	assert.True(t, strings.HasSuffix(said, streamEnd))
}
