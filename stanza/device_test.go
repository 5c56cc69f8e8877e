package stanza_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/stanza"
)

func TestVectorsFromDevices(t *testing.T) {
	for _, v := range vectors(t, "from-device") {
		t.Run(v.name, func(t *testing.T) {
			v.check(t, []string{decodedFromDevice(v.data)})
		})
	}
}

// decodedFromDevice describes the result of DecodeFromDevice for a payload.
func decodedFromDevice(data []byte) string {
	var in stanza.FromDevice
	err := stanza.DecodeFromDevice(data, &in)
	m := &in.Upstream
	var refused *stanza.Error
	switch {
	case errors.As(err, &refused) && m.MessageID == "":
		return "stanza-error 400 " + refused.Description
	case errors.As(err, &refused):
		return fmt.Sprintf("nack %s from=%q message_id=%q %s", refused.Code, in.To, m.MessageID, refused.Description)
	case err != nil:
		return "failed " + err.Error()
	}
	var b strings.Builder
	b.WriteString(map[stanza.Type]string{stanza.TypeUpstream: "upstream", stanza.TypeAck: "ack", stanza.TypeNack: "nack-from-client"}[in.Type])
	fmt.Fprintf(&b, " message_id=%q", m.MessageID)
	if in.HasTo {
		fmt.Fprintf(&b, " to=%q", in.To)
	}
	if m.From != "" {
		fmt.Fprintf(&b, " from=%q", m.From)
	}
	if m.Category != "" {
		fmt.Fprintf(&b, " category=%q", m.Category)
	}
	if in.HasTTL {
		fmt.Fprintf(&b, " ttl=%s", m.TTL)
	}
	for k, v := range m.Data.All() {
		fmt.Fprintf(&b, " %q:%q", k, v)
	}
	return b.String()
}

func TestMessagesToDevicesHaveTheFormOfUpstreamMessages(t *testing.T) {
	const head = `<message to="42@device.gcm.googleapis.com" from="gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">`
	for _, tt := range []struct {
		name string
		m    stanza.ToDevice
		want string
	}{
		{"a message, CCS 3.6", stanza.ToDevice{From: "123", MessageID: "p", Category: "app", TTL: time.Minute, Data: stanza.Data{}.Append("k", "<v>")},
			`{"data":{"k":"\u003cv\u003e"},"time_to_live":60,"from":"123","message_id":"p","category":"app"}`},
		{"with all that it may have", stanza.ToDevice{From: "123", MessageID: "p", Category: "app", Subtype: "s", CollapseKey: "c"},
			`{"data":{},"time_to_live":0,"from":"123","message_id":"p","category":"app","subtype":"s","collapse_key":"c"}`},
		{"deleted messages, DEV 9.3", stanza.ToDevice{MessageType: stanza.DeletedMessages, From: "gcm.googleapis.com", MessageID: "p", Category: "app", Data: stanza.Data{}.Append("total_deleted", "101")},
			`{"data":{"total_deleted":"101"},"message_type":"deleted_messages","time_to_live":0,"from":"gcm.googleapis.com","message_id":"p","category":"app"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := string(stanza.AppendToDevice(nil, "42@device.gcm.googleapis.com", &tt.m))
			require.Equal(t, head+tt.want+`</gcm></message>`, got)
			var out stanza.Outbound
			require.NoError(t, stanza.DecodeOutbound([]byte(tt.want), &out))
			types := map[string]stanza.Type{"": stanza.TypeUpstream, stanza.DeletedMessages: stanza.TypeDeletedMessages}
			want := stanza.Outbound{
				Type: types[tt.m.MessageType], From: tt.m.From, MessageID: tt.m.MessageID, Category: tt.m.Category,
				Subtype: tt.m.Subtype, CollapseKey: tt.m.CollapseKey, TTL: tt.m.TTL, Data: out.Data,
			}
			assert.Equal(t, want, out)
			assert.Equal(t, string(tt.m.Data), string(out.Data))
		})
	}
}

func TestWhatADeviceWritesTheServerReads(t *testing.T) {
	want := stanza.Upstream{From: "T<1>", MessageID: `m"`, Category: "c&d", TTL: time.Hour, Data: stanza.Data{}.Append("k", "a<b>\x00").Append("", "")}
	r := open(t, strings.NewReader(opening+string(stanza.AppendFromDevice(nil, "123@gcm.googleapis.com", &want))))
	var e stanza.Element
	require.NoError(t, r.Next(&e))
	require.True(t, json.Valid(e.Payload))
	var in stanza.FromDevice
	require.NoError(t, stanza.DecodeFromDevice(e.Payload, &in))
	assert.Equal(t, stanza.FromDevice{Type: stanza.TypeUpstream, HasTo: true, To: "123@gcm.googleapis.com", HasTTL: true, Upstream: want}, in)
}

func FuzzDecodeFromDevice(f *testing.F) {
	for _, v := range vectors(f, "from-device") {
		f.Add(v.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var in stanza.FromDevice
		err := stanza.DecodeFromDevice(data, &in)
		checkAnswer(t, in.To, in.Upstream.MessageID, err)
		if err != nil {
			return
		}
		require.True(t, json.Valid(data))
		require.True(t, in.Upstream.Data.Valid())
		if in.Type == stanza.TypeUpstream {
			require.NotEmpty(t, in.To)
			require.NotEmpty(t, in.Upstream.Category)
			require.LessOrEqual(t, in.Upstream.TTL, stanza.MaxTTL)
		}
	})
}
