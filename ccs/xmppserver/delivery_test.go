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
	"github.com/openccs/openccs/store"
)

// receipt makes the router owe the sender a receipt for a message.
func (w *world) receipt(id string) {
	w.t.Helper()
	require.NoError(w.t, w.router.SendReceipts(context.Background(), []ccs.Receipt{{
		Sender: testSender, Token: testToken, App: testApp, ID: id, Entry: store.MakeID(store.RankNormal, uint64(len(id))), Accepted: time.UnixMilli(1430277821658),
	}}))
}

func receiptShape(id string) string {
	return `<message to="` + testSender + `@gcm.googleapis.com" from="devices@gcm.googleapis.com" type="normal"><gcm xmlns="google:mobile:data">{"data":{"message_status":"MESSAGE_SENT_TO_DEVICE","original_message_id":"` + id + `","device_registration_id":"` + testToken + `","message_sent_timestamp":"1430277821658"},"message_type":"receipt","from":"gcm.googleapis.com","message_id":"dr2:` + id + `","category":"com.example.app","time_to_live":0}</gcm></message>`
}

// A receipt has its form, and its ack two spellings (CCS 3.5).
func TestReceipts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	w.receipt("m")
	w.receipt("m") // the same delivery, reported again
	p := w.login()
	assert.Equal(t, receiptShape("m"), p.until("</message>"))
	w.receipt("mm")
	assert.Equal(t, receiptShape("mm"), p.until("</message>"))
	p.send(clientAck("gcm.googleapis.com", "dr2:m") + clientAck("gcm.googleapis.com", "mm"))
	p.quiet()
	p.nc.Close()
	p = w.login()
	p.quiet()
}

// Many clients never acknowledge receipts; that delays no message (CCS 3.5, 4.2).
func TestUnacknowledgedReceiptsBlockNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	p := w.login()
	p.quiet()
	for i := range 150 {
		w.receipt(fmt.Sprintf("%0*d", i+1, i))
	}
	for range 100 {
		assert.Contains(t, p.until("</message>"), `"message_type":"receipt"`)
	}
	p.quiet()
	w.upstream("u-1")
	assert.Equal(t, upstreamShape("u-1"), p.until("</message>"))
}

// On a living connection a message is sent again after a while, with longer and longer gaps, and a
// receipt only a few times (CCS 3.5, 4.3).
func TestResendOnALivingConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{ResendAfter: 60 * time.Millisecond}, ccs.Options{})
	p := w.login()
	p.quiet()
	w.upstream("u-1")
	began := time.Now()
	for range 3 {
		assert.Equal(t, upstreamShape("u-1"), p.until("</message>"))
	}
	assert.GreaterOrEqual(t, time.Since(began), 150*time.Millisecond, "60 ms and then 120 ms")
	p.send(clientAck(testToken, "u-1"))
	p.quiet()
	w.receipt("m")
	for range 4 {
		assert.Equal(t, receiptShape("m"), p.until("</message>"))
	}
	p.quiet()
}

// A message with TTL 0 is delivered now or never: it is not sent again, and does not hold its slot
// (CCS 4.3).
func TestNowOrNeverIsSentOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{ResendAfter: 60 * time.Millisecond}, ccs.Options{Profile: ccs.Profile{UpstreamWindow: 1}})
	p := w.login()
	p.quiet()
	require.NoError(t, w.router.SendUpstream(t.Context(), testDevice, []ccs.Upstream{{To: testSender, Category: testApp, ID: "now", HasTTL: true}}))
	assert.Contains(t, p.until("</message>"), `"message_id":"now"`)
	w.upstream("u-1")
	assert.Equal(t, upstreamShape("u-1"), p.until("</message>"))
	p.send(clientAck(testToken, "u-1"))
	p.quiet()
}

// A receipt goes to the session that sent the message, if that still exists (CCS 3.5).
func TestReceiptsPreferTheSendersSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	peers := []*peer{w.login(), w.login(), w.login()}
	box, err := w.router.AttachDevice(context.Background(), testDevice, deviceSession{})
	require.NoError(t, err)
	defer box.Detach(context.Background())
	for _, p := range peers {
		p.quiet()
	}
	for i := range 9 {
		from := peers[i%3]
		id := fmt.Sprint("m-", i)
		from.send(send(testToken, id, `,"delivery_receipt_requested":true`))
		from.until("</message>")
		entries, err := box.Claim(context.Background(), 1)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		var d ccs.Delivery
		require.True(t, box.Open(t.Context(), &entries[0], &d))
		owed, ok := d.Receipt()
		require.True(t, ok)
		require.NoError(t, w.router.SendReceipts(context.Background(), []ccs.Receipt{owed}))
		assert.Contains(t, from.until("</message>"), `"message_id":"dr2:`+id+`"`)
	}
}

type deviceSession struct{}

func (deviceSession) Wake() bool  { return true }
func (deviceSession) Close(error) {}

// The messages of a connection whose window is full and that acknowledges nothing go to another
// connection (CCS 4.4).
func TestPhantomConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{ResendAfter: 300 * time.Millisecond}, ccs.Options{Profile: ccs.Profile{UpstreamWindow: 2}})
	phantom := w.login()
	phantom.quiet()
	w.upstream("u-0")
	w.upstream("u-1")
	phantom.until("</message>")
	phantom.until("</message>")
	healthy := w.login()
	healthy.quiet()
	got := map[string]bool{}
	for len(got) < 2 {
		stanza := healthy.until("</message>")
		for _, id := range []string{"u-0", "u-1"} {
			if stanza == upstreamShape(id) {
				got[id] = true
				healthy.send(clientAck(testToken, id))
			}
		}
	}
	w.upstream("u-2")
	for healthy.until("</message>") != upstreamShape("u-2") {
	}
	healthy.send(clientAck(testToken, "u-2"))
	// It acknowledges, too late for these two, and has its share again.
	phantom.send(clientAck(testToken, "u-0"))
	for !strings.Contains(phantom.until("</message>"), `code="406"`) {
	}
	healthy.nc.Close()
	w.upstream("u-3")
	assert.Equal(t, upstreamShape("u-3"), phantom.until("</message>"))
}
