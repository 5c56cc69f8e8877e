package stanza_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/stanza"
)

func TestDecodeRequest(t *testing.T) {
	for _, row := range []struct {
		name, body string
		want       stanza.Request
	}{
		{"one target", `{"to":"T","data":{"k":1}}`, stanza.Request{Downstream: stanza.Downstream{To: "T", TTL: stanza.MaxTTL, Data: `{"k":1}`}}},
		{"a multicast, a token twice", `{"registration_ids":["A", "B" ,"A"],"collapse_key":"c","time_to_live":"60"}`,
			stanza.Request{Multicast: true, Tokens: []string{"A", "B", "A"}, Downstream: stanza.Downstream{CollapseKey: "c", TTL: time.Minute}}},
		{"a multicast to a token with an escape", `{"registration_ids":["A\u003aB"]}`,
			stanza.Request{Multicast: true, Tokens: []string{"A:B"}, Downstream: stanza.Downstream{TTL: stanza.MaxTTL}}},
		{"a group by its older name", `{"notification_key":"G","time_to_live":0}`, stanza.Request{Downstream: stanza.Downstream{To: "G", TTL: stanza.NowOrNever}}},
		{"both names of a group", `{"notification_key":"G","to":"G"}`, stanza.Request{Downstream: stanza.Downstream{To: "G", TTL: stanza.MaxTTL}}},
		{"a condition", `{"condition":"'a' in topics","to":null}`, stanza.Request{Downstream: stanza.Downstream{Condition: "'a' in topics", TTL: stanza.MaxTTL}}},
		{"fields of XMPP are ignored", `{"to":"T","message_id":7,"message_type":true,"delivery_receipt_requested":"x","other":[1]}`,
			stanza.Request{Downstream: stanza.Downstream{To: "T", TTL: stanza.MaxTTL}}},
		{"fields of iOS", `{"to":"T","content_available":true,"mutable_content":true,"notification":{"sound":{"name":"a"},"badge":3,"title_loc_args":["x"],"body_loc_args":"[1]"}}`,
			stanza.Request{Downstream: stanza.Downstream{To: "T", TTL: stanza.MaxTTL, ContentAvailable: true, MutableContent: true,
				Notification: `{"sound":{"name":"a"},"badge":3,"title_loc_args":["x"],"body_loc_args":"[1]"}`}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var r stanza.Request
			require.NoError(t, stanza.DecodeRequest([]byte(row.body), nil, &r))
			if len(r.Tokens) == 0 {
				r.Tokens = nil
			}
			assert.Equal(t, row.want, r)
		})
	}
}

func TestDecodeRequestRefuses(t *testing.T) {
	many := strings.Repeat(`"T",`, 1000)
	for _, row := range []struct {
		body  string
		fault stanza.Fault
		text  string
	}{
		{`a`, stanza.FaultSyntax, "Unexpected character (a) at position 0."},
		{``, stanza.FaultSyntax, "Unexpected end at position 0."},
		{`{"to":"T"}x`, stanza.FaultSyntax, "Unexpected character (x) at position 10."},
		{`{"to":"T`, stanza.FaultSyntax, "Unterminated string at position 8."},
		{`[]`, stanza.FaultSyntax, "Unexpected character ([) at position 0."},
		{`{}`, stanza.FaultTarget, "Missing target"},
		{`{"to":""}`, stanza.FaultTarget, "Missing target"},
		{`{"to":5}`, stanza.FaultType, `Field "to" must be a JSON java.lang.String: 5`},
		{`{"registration_ids":[]}`, stanza.FaultField, `"registration_ids" field cannot be empty`},
		{`{"registration_ids":[ ]}`, stanza.FaultField, `"registration_ids" field cannot be empty`},
		{`{"registration_ids":"T"}`, stanza.FaultType, `Field "registration_ids" must be a JSON array: T`},
		{`{"registration_ids":["T",5]}`, stanza.FaultType, `Field "registration_ids" must be a JSON java.lang.String: 5`},
		{`{"registration_ids":[` + many + `"T"]}`, stanza.FaultField, `Number of messages on bulk (1001) exceeds maximum allowed (1000)`},
		{`{"registration_ids":["T"],"to":"T"}`, stanza.FaultField, `Must use either "registration_ids" field or "to", not both`},
		{`{"condition":"'a' in topics","to":"T"}`, stanza.FaultField, `Must use either "to" field or "condition", not both`},
		{`{"to":"T","data":"abc"}`, stanza.FaultType, `Field "data" must be a JSON array: abc`},
		{`{"to":"T","notification":1}`, stanza.FaultType, `Field "notification" must be a JSON array: 1`},
		{`{"to":"T","notification":{"badge":true}}`, stanza.FaultType, `Field "notification.badge" must be a JSON java.lang.String: true`},
		{`{"to":"T","notification":{"sound":1}}`, stanza.FaultType, `Field "notification.sound" must be a JSON java.lang.String: 1`},
		{`{"to":"T","time_to_live":"abc"}`, stanza.FaultType, `Field "time_to_live" must be a JSON java.lang.Number: abc`},
		{`{"to":"T","content_available":1}`, stanza.FaultType, `Field "content_available" must be a JSON java.lang.Boolean: 1`},
		{`{"to":"T","time_to_live":-1}`, stanza.FaultTTL, `Invalid value (-1) for "time_to_live": must be between 0 and "2419200"`},
		{`{"to":"T","priority":"urgent"}`, stanza.FaultPriority, `Invalid value (urgent) for "priority": must be "normal" or "high"`},
		{`{"to":"T","collapse_key":"` + strings.Repeat("x", 257) + `"}`, stanza.FaultCollapseKey, `collapse_key is longer than 256 bytes`},
		{`{"to":"T","data":{"from":"x"}}`, stanza.FaultDataKey, `"data" must not have the key "from"`},
		{`{"to":"T","data":{"k":"` + strings.Repeat("x", 4096) + `"}}`, stanza.FaultSize, `The payload has 4097 bytes, at most 4096 are allowed`},
	} {
		var r stanza.Request
		var e *stanza.Error
		require.ErrorAs(t, stanza.DecodeRequest([]byte(row.body), nil, &r), &e, row.body)
		assert.Equal(t, row.fault, e.Fault, row.body)
		assert.Equal(t, row.text, e.Text, row.body)
	}
	t.Run("and still tells whom a bad multicast is for", func(t *testing.T) {
		var r stanza.Request
		require.Error(t, stanza.DecodeRequest([]byte(`{"registration_ids":["A","B"],"time_to_live":-1}`), nil, &r))
		assert.Equal(t, []string{"A", "B"}, r.Tokens)
	})
}

func TestDecodeRequestDoesNotAllocate(t *testing.T) {
	body := []byte(`{"registration_ids":["` + strings.Repeat(`APA91bH_x-","`, 999) + `APA91bH_x-"],"data":{"k":"v"},"priority":"high"}`)
	var r stanza.Request
	require.NoError(t, stanza.DecodeRequest(body, nil, &r))
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		if stanza.DecodeRequest(body, nil, &r) != nil {
			panic("refused")
		}
	}))
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"to":"T","data":{"k":1}}`))
	f.Add([]byte(`{"registration_ids":["A", "B"],"notification":{"badge":1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var r stanza.Request
		err := stanza.DecodeRequest(body, nil, &r)
		if err != nil {
			var e *stanza.Error
			require.ErrorAs(t, err, &e)
			require.NotZero(t, e.Fault)
			return
		}
		require.Equal(t, r.Multicast, len(r.Tokens) > 0)
		targets := len(r.Tokens)
		for _, s := range []string{r.Downstream.To, r.Downstream.Condition} {
			if s != "" {
				targets++
			}
		}
		require.Positive(t, targets)
	})
}
