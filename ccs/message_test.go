package ccs_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/payload"
)

func TestMessageKeepsEveryField(t *testing.T) {
	t.Parallel()
	m := ccs.Message{
		Kind: ccs.SendError, Reason: ccs.Expired, High: true, WhenActive: true, TTL: payload.MaxTTL, From: "f", To: "t", App: "a", Subtype: "s", ID: "i",
		CollapseKey: "c", ReceiptFor: "r", Origin: 1 << 62, Data: payload.Data{}.Append("k", "v").Append("", ""),
	}
	b := m.Append(nil)
	var got ccs.Message
	require.NoError(t, got.Decode(b))
	assert.Equal(t, m, got)
	for n := range len(b) {
		assert.Error(t, got.Decode(b[:n-n%len(b)]), "a message cut short is none")
	}
}

func FuzzMessage(f *testing.F) {
	m := ccs.Message{Kind: ccs.DataMessage, TTL: time.Minute, From: "126200347933", App: "app", ID: "m-1", Data: payload.Data{}.Append("k", "v")}
	f.Add(m.Append(nil))
	m.Kind, m.Reason = ccs.SendError, ccs.QueueFull
	f.Add(m.Append(nil))
	f.Add([]byte{1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again ccs.Message
		if m.Decode(b) != nil {
			return
		}
		require.NoError(t, again.Decode(m.Append(nil)))
		require.Equal(t, m, again)
	})
}
