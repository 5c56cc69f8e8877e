package stanza_test

import (
	"encoding/json"
	"encoding/xml"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/stanza"
)

func TestStanzasAreThoseOfTheProtocol(t *testing.T) {
	hello := stanza.Data(nil).Append("my_action", "HELLO")
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"ack, CCS 3.2", stanza.AppendAck(nil, "REG", "m-42", ""),
			`<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"ack","from":"REG","message_id":"m-42"}</data:gcm></message>`},
		{"ack with a canonical token, CCS 3.2", stanza.AppendAck(nil, "REG", "m-42", "NEW"),
			`<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"ack","from":"REG","message_id":"m-42","registration_id":"NEW"}</data:gcm></message>`},
		{"nack, CCS 3.3", stanza.AppendNack(nil, "REG", "m-42", stanza.BadRegistration, "Invalid token on 'to' field: REG"),
			`<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"nack","from":"REG","message_id":"m-42","error":"BAD_REGISTRATION","error_description":"Invalid token on 'to' field: REG"}</data:gcm></message>`},
		{"nack without a description says so, CCS 3.3", stanza.AppendNack(nil, "", "m", stanza.BadAck, ""),
			`<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"nack","from":"","message_id":"m","error":"BAD_ACK","error_description":""}</data:gcm></message>`},
		{"control, CCS 3.7", stanza.AppendControl(nil, "CONNECTION_DRAINING", ""),
			`<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"control","control_type":"CONNECTION_DRAINING"}</data:gcm></message>`},
		{"control with an id, CCS 11", stanza.AppendControl(nil, "CONNECTION_DRAINING", "drain-1"),
			`<message><data:gcm xmlns:data="google:mobile:data">{"message_type":"control","control_type":"CONNECTION_DRAINING","message_id":"drain-1"}</data:gcm></message>`},
		{"upstream, CCS 3.6", stanza.AppendUpstream(nil, "123@gcm.googleapis.com", &stanza.Upstream{From: "REG", MessageID: "000001", Category: "com.example.app", TTL: 24 * time.Hour, Data: hello}),
			`<message to="123@gcm.googleapis.com" from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">{"data":{"my_action":"HELLO"},"time_to_live":86400,"from":"REG","message_id":"000001","category":"com.example.app"}</gcm></message>`},
		{"upstream without data, CCS 3.6", stanza.AppendUpstream(nil, "123@gcm.googleapis.com", &stanza.Upstream{From: "R", MessageID: "1", Category: "c"}),
			`<message to="123@gcm.googleapis.com" from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">{"data":{},"time_to_live":0,"from":"R","message_id":"1","category":"c"}</gcm></message>`},
		{"receipt, CCS 3.5", stanza.AppendReceipt(nil, "123@gcm.googleapis.com", &stanza.Receipt{OriginalID: "m-42", Token: "REG", Category: "com.example.app", Sent: time.UnixMilli(1430277821658)}),
			`<message to="123@gcm.googleapis.com" from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">{"data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"m-42","device_registration_id":"REG","message_sent_timestamp":"1430277821658"},"message_type":"receipt","from":"gcm.googleapis.com","message_id":"dr2:m-42","category":"com.example.app","time_to_live":0}</gcm></message>`},
		{"stanza error, CCS 3.3", stanza.AppendStanzaError(nil, &stanza.StanzaError{ID: "3", HasID: true, To: "123@gcm.googleapis.com/test0FAD177A", Payload: []byte(`{"random":"text"}`), HasPayload: true, Code: 400, Type: "modify", Condition: "bad-request", Text: `InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id\n`}),
			`<message id="3" type="error" to="123@gcm.googleapis.com/test0FAD177A"><gcm xmlns="google:mobile:data">{"random":"text"}</gcm><error code="400" type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">InvalidJson: JSON_PARSING_ERROR : Missing Required Field: message_id\n</text></error></message>`},
		{"stanza error to a message without id or payload", stanza.AppendStanzaError(nil, &stanza.StanzaError{To: "a", Code: 400, Type: "modify", Condition: "bad-request"}),
			`<message type="error" to="a"><error code="400" type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"></text></error></message>`},
		{"stanza error to an empty id has none, CCS 1.11 no. 3", stanza.AppendStanzaError(nil, &stanza.StanzaError{HasID: true, To: "a", Code: 406, Type: "modify", Condition: "not-acceptable", Text: "x"}),
			`<message type="error" to="a"><error code="406" type="modify"><not-acceptable xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">x</text></error></message>`},
		{"stanza error echoes what needs escaping", stanza.AppendStanzaError(nil, &stanza.StanzaError{ID: `"<`, HasID: true, To: "a&b", Payload: []byte("\"<&>\x00"), HasPayload: true, Code: 400, Type: "modify", Condition: "bad-request", Text: `"&"`}),
			`<message id="&quot;&lt;" type="error" to="a&amp;b"><gcm xmlns="google:mobile:data">"&lt;&amp;&gt;` + "\uFFFD" + `</gcm><error code="400" type="modify"><bad-request xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">"&amp;"</text></error></message>`},
		{"downstream, CCS 2.1", stanza.AppendDownstream(nil, &stanza.Downstream{To: "REG", MessageID: "m-42", TTL: stanza.MaxTTL, Data: `{"k":"v"}`}),
			`<message id=""><gcm xmlns="google:mobile:data">{"to":"REG","message_id":"m-42","data":{"k":"v"}}</gcm></message>`},
		{"downstream, CCS 11", stanza.AppendDownstream(nil, &stanza.Downstream{To: "T1", MessageID: "m-1", TTL: 600 * time.Second, ReceiptRequested: true, Data: `{"k":"a < b"}`}),
			`<message id=""><gcm xmlns="google:mobile:data">{"to":"T1","message_id":"m-1","time_to_live":600,"delivery_receipt_requested":true,"data":{"k":"a \u003c b"}}</gcm></message>`},
		{"ack of an app server, CCS 3.4", stanza.AppendClientAck(nil, "REG", "u-1"),
			`<message id=""><gcm xmlns="google:mobile:data">{"to":"REG","message_id":"u-1","message_type":"ack"}</gcm></message>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, string(tt.got))
		})
	}
}

func TestWhatAClientWritesTheServerReads(t *testing.T) {
	want := stanza.Downstream{
		To: "T<>&\"'\x00\u2028", MessageID: "m\uffff", CollapseKey: "c", Priority: stanza.PriorityHigh, TTL: 5 * time.Second,
		DelayWhileIdle: true, ReceiptRequested: true, DryRun: true, ContentAvailable: true, MutableContent: true,
		RestrictedPackage: "p", Data: `{"a&b":"<x>","n":1}`, Notification: `{"title":"&"}`,
	}
	sparse := stanza.Downstream{Condition: "c", MessageID: "m", Priority: stanza.PriorityNormal}
	now := stanza.Downstream{To: "t", MessageID: "n", TTL: stanza.NowOrNever}
	conversation := opening + string(stanza.AppendDownstream(nil, &want)) +
		string(stanza.AppendDownstream(nil, &sparse)) + string(stanza.AppendDownstream(nil, &now))
	r := open(t, strings.NewReader(conversation))
	var e stanza.Element
	var in stanza.Inbound
	require.NoError(t, r.Next(&e))
	require.NoError(t, stanza.DecodeInbound(e.Payload, nil, &in))
	got := in.Downstream
	assert.Equal(t, map[string]string{"a&b": "<x>", "n": "1"}, maps.Collect(got.Data.All()))
	assert.Equal(t, map[string]string{"title": "&"}, maps.Collect(got.Notification.All()))
	got.Data, got.Notification = want.Data, want.Notification
	assert.Equal(t, want, got)

	require.NoError(t, r.Next(&e))
	require.NoError(t, stanza.DecodeInbound(e.Payload, nil, &in))
	sparse.TTL = stanza.MaxTTL
	assert.Equal(t, sparse, in.Downstream, "a message that names no TTL has the longest")

	require.NoError(t, r.Next(&e))
	require.NoError(t, stanza.DecodeInbound(e.Payload, nil, &in))
	assert.Equal(t, now, in.Downstream)
}

func TestJSONStringsNeedNoXMLEscapingAndReadBackAsTheyWere(t *testing.T) {
	var all strings.Builder
	for c := range rune(0x3000) {
		all.WriteRune(c)
	}
	all.WriteString("\ufffd\ufffe\uffff\U0001F600\U0010FFFF")
	for _, s := range []string{"", "plain", all.String(), "\xff", "a\xc3", "\xed\xa0\x80", "\u2028\u2029", strings.Repeat("<", 100)} {
		b := stanza.AppendJSONString([]byte("x"), s)
		require.True(t, strings.HasPrefix(string(b), `x"`))
		b = b[1:]
		assert.NotContains(t, string(b[1:len(b)-1]), "<")
		assert.False(t, strings.ContainsAny(string(b), "<>&\u2028\u2029\ufffe\uffff\x00\n\t"))
		assert.True(t, utf8.Valid(b))
		var got string
		require.NoError(t, json.Unmarshal(b, &got))
		assert.Equal(t, string([]rune(s)), got)
	}
}

func TestEscapedTextReadsBack(t *testing.T) {
	for _, s := range []string{"", "plain", "<>&\"'", "a\tb\nc\rd", "é\U0001F600\ufffd", "\x00\x1f\ufffe\xff"} {
		b := stanza.AppendEscaped(nil, s)
		want := strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe {
				return utf8.RuneError
			}
			return r
		}, s)
		var got struct {
			Attr string `xml:"a,attr"`
			Text string `xml:",chardata"`
		}
		require.NoError(t, xml.Unmarshal([]byte(`<x a="`+string(b)+`">`+string(b)+`</x>`), &got))
		assert.Equal(t, want, got.Attr)
		assert.Equal(t, want, got.Text)
	}
}

func TestDecodeOutbound(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       stanza.Outbound
	}{
		{"an ack of the documentation", `{"from":"REG","message_id":"m-1","message_type":"ack","registration_id":"NEW"}`,
			stanza.Outbound{Type: stanza.TypeAck, From: "REG", MessageID: "m-1", RegistrationID: "NEW"}},
		{"a numeric message_id", `{"message_type":"ack","from":"REG","message_id":7}`,
			stanza.Outbound{Type: stanza.TypeAck, From: "REG", MessageID: "7"}},
		{"a nack", `{"message_type":"nack","from":"REG","message_id":"m","error":"BAD_REGISTRATION","error_description":"Invalid token on 'to' field: REG"}`,
			stanza.Outbound{Type: stanza.TypeNack, From: "REG", MessageID: "m", Error: stanza.BadRegistration, Description: "Invalid token on 'to' field: REG"}},
		{"a nack of 2013", `{"message_type":"nack","from":"REG","message_id":"m","error":"InvalidJson : INVALID_TTL : Invalid value (-1) for \"time_to_live\": must be between 0 and \"2419200\"\n"}`,
			stanza.Outbound{Type: stanza.TypeNack, From: "REG", MessageID: "m", Error: stanza.InvalidJSON, Description: `InvalidJson : INVALID_TTL : Invalid value (-1) for "time_to_live": must be between 0 and "2419200"`}},
		{"a nack of 2013 with a bare code", `{"message_type":"nack","from":"REG","message_id":"m","error":"QUOTA_EXCEEDED"}`,
			stanza.Outbound{Type: stanza.TypeNack, From: "REG", MessageID: "m", Error: "QUOTA_EXCEEDED"}},
		{"a control message without an id", `{"message_type":"control","control_type":"CONNECTION_DRAINING"}`,
			stanza.Outbound{Type: stanza.TypeControl, ControlType: "CONNECTION_DRAINING"}},
		{"a receipt", `{"data":{"message_status":"MESSAGE_SENT_TO_DEVICE","message_sent_timestamp":"1"},"message_type":"receipt","from":"gcm.googleapis.com","message_id":"dr2:m","category":"c","time_to_live":0}`,
			stanza.Outbound{Type: stanza.TypeReceipt, From: "gcm.googleapis.com", MessageID: "dr2:m", Category: "c",
				Data: stanza.Data(nil).Append("message_status", "MESSAGE_SENT_TO_DEVICE").Append("message_sent_timestamp", "1")}},
		{"an upstream message with its ttl in a string", `{"data":{"k":"v"},"time_to_live":"60","from":"REG","message_id":"u","category":"c"}`,
			stanza.Outbound{Type: stanza.TypeUpstream, From: "REG", MessageID: "u", Category: "c", TTL: time.Minute, Data: stanza.Data(nil).Append("k", "v")}},
		{"an upstream message with a key that only inbound data may not have", `{"data":{"from":"v"},"message_type":null,"from":"REG","message_id":"u"}`,
			stanza.Outbound{Type: stanza.TypeUpstream, From: "REG", MessageID: "u", Data: stanza.Data(nil).Append("from", "v")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := stanza.Outbound{From: "left over"}
			require.NoError(t, stanza.DecodeOutbound([]byte(tt.text), &got))
			assert.Equal(t, tt.want.Data.Valid(), got.Data.Valid())
			assert.Equal(t, string(tt.want.Data), string(got.Data))
			tt.want.Data, got.Data = nil, nil
			assert.Equal(t, tt.want, got)
		})
	}
	for _, text := range []string{``, `[]`, `{"message_type":"hello"}`, `{"time_to_live":1e99}`} {
		assert.Error(t, stanza.DecodeOutbound([]byte(text), new(stanza.Outbound)), text)
	}
}

func TestRules(t *testing.T) {
	decode := func(rules stanza.Rules, text string) error {
		return stanza.DecodeInbound([]byte(text), &rules, new(stanza.Inbound))
	}
	lenient := stanza.Rules{LenientBooleans: true}
	assert.NoError(t, decode(lenient, `{"to":"T","message_id":"m","dry_run":"true","delay_while_idle":"false"}`))
	assert.Error(t, decode(lenient, `{"to":"T","message_id":"m","dry_run":"yes"}`))
	assert.Error(t, decode(lenient, `{"to":"T","message_id":"m","dry_run":1}`))
	strict := stanza.Rules{StrictDataKeys: true}
	assert.Error(t, decode(strict, `{"to":"T","message_id":"m","data":{"googleId":"x"}}`))
	assert.Error(t, decode(strict, `{"to":"T","message_id":"m","data":{"gcmx":"x"}}`))
	assert.NoError(t, decode(strict, `{"to":"T","message_id":"m","data":{"goog":"x"}}`))
	assert.NoError(t, decode(stanza.Rules{MaxPayload: 5}, `{"to":"T","message_id":"m","data":{"k":"four"}}`))
	assert.Error(t, decode(stanza.Rules{MaxPayload: 5}, `{"to":"T","message_id":"m","data":{"k":"fivee"}}`))
	assert.Error(t, decode(stanza.Rules{MaxTopicPayload: 5}, `{"to":"/topics/x","message_id":"m","data":{"k":"fivee"}}`))
}

func TestALongWrongValueIsQuotedInPart(t *testing.T) {
	text := `{"to":"T","message_id":"m","time_to_live":"` + strings.Repeat("é", 1000) + `"}`
	var refused *stanza.Error
	require.ErrorAs(t, stanza.DecodeInbound([]byte(text), nil, new(stanza.Inbound)), &refused)
	assert.Less(t, len(refused.Description), 250)
	assert.True(t, utf8.ValidString(refused.Description))
}

func TestAnObjectThatIsNoneYieldsNothing(t *testing.T) {
	for _, o := range []stanza.Object{"", "x", "[]", `{"a":`, `{"a" 1}`, "null"} {
		assert.Empty(t, slices.Collect(maps.Keys(maps.Collect(o.All()))))
		assert.Empty(t, o.AppendData(nil))
	}
	assert.Equal(t, `{"a":"1"}`, string(stanza.AppendObject(nil, stanza.Object(`{"a":1,"b":x}`).AppendData(nil))), "up to the fault")
}

// XML markup is escaped in JSON's way at any position, and nothing else is changed.
func TestObjectsNeedNoXMLEscaping(t *testing.T) {
	for _, special := range []string{"<", ">", "&", "<>&", "=", "?", "$", "é"} {
		for before := range 20 {
			for after := range 10 {
				text := strings.Repeat("x", before) + special + strings.Repeat("y", after)
				got := string(stanza.AppendDownstream(nil, &stanza.Downstream{TTL: stanza.MaxTTL, Data: stanza.Object(`{"k":"` + text + `"}`)}))
				want := strings.NewReplacer("<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(text)
				require.Contains(t, got, `"data":{"k":"`+want+`"}}`)
			}
		}
	}
}
