package ccs_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs"
)

// A receipt or a send_error for which its queue has no room is dropped. That is counted each time,
// and logged once.
func TestNotesThatAreDroppedAreCountedAndLogged(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	w := newWorld(t, ccs.Options{Logger: zap.New(core), Profile: ccs.Profile{SenderBacklog: 2, DeviceBacklog: 2}})
	var receipts []ccs.Receipt
	for i := range 5 {
		receipts = append(receipts, ccs.Receipt{Sender: string(sender), Token: w.token, App: app, ID: fmt.Sprint(i), Accepted: w.Now()})
		receipts[i].Entry++
		receipts[i].Token += fmt.Sprint(i)
	}
	require.NoError(t, w.SendReceipts(t.Context(), receipts))
	assert.EqualValues(t, 3, counts(w.Router, ccs.Receipts).Refused[ccs.QueueFull])
	require.Equal(t, 1, logs.Len())
	line := logs.All()[0]
	assert.Equal(t, "receipts dropped", line.Message)
	assert.Equal(t, map[string]any{"queue": sender.ReceiptsKey().String(), "reason": "queue_full", "messages": int64(3)}, line.ContextMap())

	var batch []ccs.Upstream
	for i := range 4 {
		batch = append(batch, ccs.Upstream{To: "nobody", Category: app, ID: fmt.Sprint(i), PersistentID: fmt.Sprint(i)})
	}
	require.NoError(t, w.SendUpstream(t.Context(), device, batch), "the device need not send them again")
	assert.EqualValues(t, 2, counts(w.Router, ccs.Down).Refused[ccs.QueueFull])
	up := counts(w.Router, ccs.Up)
	assert.EqualValues(t, 4, up.AllRefused())
	assert.Equal(t, 1, logs.Len(), "one line a minute")
}
