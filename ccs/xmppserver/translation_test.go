package xmppserver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/stanza"
)

func TestTranslate(t *testing.T) {
	t.Parallel()
	decoded := func(text string) stanza.Downstream {
		var in stanza.Inbound
		require.NoError(t, stanza.DecodeInbound([]byte(text), nil, &in))
		return in.Downstream
	}
	for _, row := range []struct {
		name, text string
		want       ccs.Downstream
	}{
		{
			"every field",
			`{"to":"T","message_id":"m","collapse_key":"k","priority":"high","time_to_live":60,"delay_while_idle":true,"delivery_receipt_requested":true,` +
				`"dry_run":true,"content_available":true,"mutable_content":true,"restricted_package_name":"p","data":{"a":1,"b":null},"notification":{"title":"x"}}`,
			ccs.Downstream{
				To: "T", ID: "m", CollapseKey: "k", Priority: payload.PriorityHigh, TTL: time.Minute, DelayWhileIdle: true, ReceiptRequested: true,
				DryRun: true, ContentAvailable: true, MutableContent: true, RestrictedPackage: "p",
				Data: payload.Data{}.Append("a", "1"), Notification: payload.Data{}.Append("title", "x"),
			},
		},
		{"no time_to_live means the longest", `{"condition":"'a' in topics","message_id":"m"}`, ccs.Downstream{Condition: "'a' in topics", ID: "m", TTL: payload.MaxTTL, Data: payload.Data{}}},
		{"time_to_live 0 means now", `{"to":"T","message_id":"m","time_to_live":0}`, ccs.Downstream{To: "T", ID: "m", Data: payload.Data{}}},
		{"an empty notification is one", `{"to":"T","message_id":"m","time_to_live":0,"notification":{}}`, ccs.Downstream{To: "T", ID: "m", Data: payload.Data{}, Notification: payload.Data{}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			tr := translations.New().(*translation)
			assert.Equal(t, []ccs.Downstream{row.want}, tr.translate([]stanza.Downstream{decoded(row.text)}))
		})
	}
}

// The memory of a translation moves as it grows; earlier translations must stay valid.
func TestTranslateManyMessages(t *testing.T) {
	t.Parallel()
	batch := make([]stanza.Downstream, 200)
	for i := range batch {
		batch[i] = stanza.Downstream{MessageID: fmt.Sprint(i), Data: stanza.Object(fmt.Sprintf(`{"i":"%d","x":"%s"}`, i, strings.Repeat("x", i*10)))}
	}
	tr := translations.New().(*translation)
	for i, m := range tr.translate(batch) {
		got, _ := m.Data.Get("i")
		assert.Equal(t, m.ID, got)
		assert.Len(t, batch[i].Data.AppendData(nil), len(m.Data))
	}
}
