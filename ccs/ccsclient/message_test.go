package ccsclient_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

func TestTheFormsOfData(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    ccsclient.Message
		want stanza.Object
	}{
		{"none", ccsclient.Message{}, ""},
		{"a map, in the order of its keys", ccsclient.Message{Data: map[string]string{"b": "2", "a": "<1>"}}, `{"a":"\u003c1\u003e","b":"2"}`},
		{"pairs in an order of their own", ccsclient.Message{Ordered: stanza.Data(nil).Append("b", "2").Append("a", "1")}, `{"b":"2","a":"1"}`},
		{"JSON text as it is", ccsclient.Message{Object: `{"n": 1}`}, `{"n": 1}`},
	} {
		run(t, tt.name, func(t *testing.T) {
			tt.m.To, tt.m.MessageID = "REG", "m"
			c := mustDial(t, ccsclient.Options{}, func(p *peer) {
				in := p.message()
				p.want(string(tt.want), string(in.Downstream.Data))
				p.ack(in)
				p.goodbye()
			})
			_, err := c.SendWait(t.Context(), &tt.m)
			require.NoError(t, err)
		})
	}
	run(t, "pairs that are none are refused before they are sent", func(t *testing.T) {
		c := mustDial(t, ccsclient.Options{}, (*peer).goodbye)
		_, err := c.SendWait(t.Context(), &ccsclient.Message{To: "REG", MessageID: "m", Ordered: stanza.Data("\xff")})
		require.EqualError(t, err, `ccsclient: message "m": Ordered is not valid`)
		assert.Zero(t, c.InFlight())
	})
}

func TestAReceiptSaysWhatItIsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan ccsclient.Receipt, 1)
		mustDial(t, ccsclient.Options{OnReceipt: func(r *ccsclient.Receipt) { got <- *r }}, func(p *peer) {
			p.write(string(stanza.AppendReceipt(nil, "123@gcm.googleapis.com", &stanza.Receipt{OriginalID: "m", Token: "REG", Category: "app", Sent: time.UnixMilli(1500)})))
			p.want("dr2:m", p.message().Downstream.MessageID)
			p.goodbye()
		})
		r := <-got
		assert.Len(t, r.Data, len(stanza.Data(nil).Append("message_status", "MESSAGE_SENT_TO_DEVICE").Append("original_message_id", "m").
			Append("device_registration_id", "REG").Append("message_sent_timestamp", "1500")))
		r.Data = nil
		assert.Equal(t, ccsclient.Receipt{
			MessageID: "dr2:m", OriginalID: "m", Token: "REG", Category: "app", Status: "MESSAGE_SENT_TO_DEVICE",
			Sent: time.UnixMilli(1500), From: "gcm.googleapis.com",
		}, r)
	})
}

func TestWhatARefusalMeans(t *testing.T) {
	for code, temporary := range map[stanza.Code]bool{
		stanza.BadRegistration: false, stanza.DeviceUnregistered: false, stanza.InvalidJSON: false,
		stanza.ServiceUnavailable: true, stanza.InternalServerError: true, stanza.ConnectionDraining: true, stanza.DeviceMessageRateExceeded: true,
	} {
		assert.Equal(t, temporary, (&ccsclient.Nack{Code: code}).Temporary(), code)
	}
	assert.EqualError(t, &ccsclient.Nack{MessageID: "m", Code: stanza.BadRegistration, Description: "why"}, `ccsclient: message "m" refused: BAD_REGISTRATION: why`)
}

func TestWhatADeviceGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		send := func(p *peer, m stanza.ToDevice) { p.write(string(stanza.AppendToDevice(nil, "42@device", &m))) }
		var got []any
		o := ccsclient.DeviceOptions{
			OnMessage:   func(m *ccsclient.Delivery) error { m.Data = nil; got = append(got, *m); return nil },
			OnDeleted:   func(d *ccsclient.Deleted) { got = append(got, *d) },
			OnSendError: func(e *ccsclient.SendError) { e.Data = nil; got = append(got, *e) },
		}
		c, err := dialDevice(t, o, func(p *peer) {
			p.loginAs(`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">ADQyQGRldmljZS5nY20uZ29vZ2xlYXBpcy5jb20ANw==</auth>`)
			send(p, stanza.ToDevice{From: "123", MessageID: "1", Category: "app", Subtype: "s", CollapseKey: "c", TTL: time.Minute})
			send(p, stanza.ToDevice{From: "123", MessageID: "2", Category: "app", MessageType: stanza.DeletedMessages, Data: stanza.Data(nil).Append("total_deleted", "7")})
			send(p, stanza.ToDevice{From: "123", MessageID: "3", Category: "app", MessageType: stanza.SendError,
				Data: stanza.Data(nil).Append("original_message_id", "u").Append("error", "InvalidParameters").Append("error_description", "why")})
			for _, id := range []string{"1", "2", "3"} {
				p.want(id, p.message().Downstream.MessageID)
			}
			p.goodbye()
		})
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, c.Close())
		assert.Equal(t, []any{
			ccsclient.Delivery{From: "123", MessageID: "1", Category: "app", Subtype: "s", CollapseKey: "c", TTL: time.Minute},
			ccsclient.Deleted{From: "123", MessageID: "2", Category: "app", Total: 7},
			ccsclient.SendError{From: "123", MessageID: "3", Category: "app", OriginalID: "u", Code: "InvalidParameters", Description: "why"},
		}, got)
	})
}
