package mcsserver_test

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsserver"
	"github.com/openccs/openccs/ccs/payload"
)

// idle makes the device report whether its user is away, and waits until the server knows.
func (p *peer) idle(is bool) {
	p.t.Helper()
	p.write(mcs.AppendDataMessage(nil, &mcs.DataMessage{
		From: "gcm@android.com", Category: mcs.SystemCategory, HasTTL: true,
		AppData: []mcs.KV{{Key: mcs.KeyIdleNotification, Value: strconv.FormatBool(is)}},
	}))
}

// acknowledged receives the StreamAck of the last sent message.
func (p *peer) acknowledged() {
	p.t.Helper()
	var ack mcs.IqStanza
	p.expect(mcs.TagIqStanza, &ack)
	assert.Equal(p.t, p.sent, ack.LastStreamID)
}

// sendDelayed makes the sender send a message that waits while the device is idle.
func (w *world) sendDelayed(id string, change ...func(*ccs.Downstream)) {
	w.t.Helper()
	m := ccs.Downstream{To: w.token, ID: id, TTL: time.Hour, DelayWhileIdle: true, Data: payload.Data{}.Append("id", id)}
	for _, c := range change {
		c(&m)
	}
	w.sendMessage(m)
}

// A message with delay_while_idle waits until the device says that it is active (CCS 5.4, DEV 9.4).
func TestDelayWhileIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	w.sendDelayed("a device that says nothing counts as active")
	p.ids(1)

	p.idle(true)
	p.acknowledged()
	w.sendDelayed("1")
	w.sendDelayed("2")
	w.send("not delayed")
	ids, _ := p.ids(1)
	assert.Equal(t, []string{"not delayed"}, ids)
	p.ping()

	p.idle(false)
	ids, _ = p.ids(2)
	assert.Equal(t, []string{"1", "2"}, ids)
	w.sendDelayed("3")
	ids, _ = p.ids(1)
	assert.Equal(t, []string{"3"}, ids)
	p.ack()
	assert.Zero(t, w.waiting())
	assert.Empty(t, w.upstream(), "what a device says of itself is for no app server")
}

// Only the newest of each collapse key is delivered (CCS 5.4).
func TestOfWhatIsHeldTheNewest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	p.idle(true)
	p.acknowledged()
	key := func(k string) func(*ccs.Downstream) { return func(m *ccs.Downstream) { m.CollapseKey = k } }
	w.sendDelayed("a old", key("a"))
	p.ping() // it is deferred by now
	w.sendDelayed("b old", key("b"))
	p.ping()
	w.sendDelayed("a new", key("a"))
	p.ping()
	w.sendDelayed("b new, at once", key("b"), func(m *ccs.Downstream) { m.DelayWhileIdle = false })
	ids, _ := p.ids(1)
	assert.Equal(t, []string{"b new, at once"}, ids)
	p.idle(false)
	ids, _ = p.ids(1)
	assert.Equal(t, []string{"a new"}, ids)
	p.ping()
}

// When a device connects again, everything is delivered, whether or not it was idle before
// (CCS 5.4).
func TestALoginEndsIdleness(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	p.idle(true)
	p.acknowledged()
	w.sendDelayed("1")
	p.ping()
	p.nc.Close()
	p = w.login()
	ids, _ := p.ids(1)
	assert.Equal(t, []string{"1"}, ids)
}

// A now-or-never message does not wait (CCS 5.2).
func TestNowOrNeverDoesNotWaitForAnIdleDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	p.idle(true)
	p.acknowledged()
	w.sendDelayed("never", func(m *ccs.Downstream) { m.TTL = 0 })
	w.sendMessage(ccs.Downstream{To: w.token, ID: "now", TTL: 0, Data: payload.Data{}.Append("id", "now")})
	ids, _ := p.ids(1)
	assert.Equal(t, []string{"now"}, ids)
	p.idle(false)
	p.acknowledged()
	p.ping()
}

// At most a hundred messages are deferred in memory; further ones go out.
func TestHoldingIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mcsserver.Options{}, ccs.Options{})
	p := w.login()
	p.idle(true)
	p.acknowledged()
	for i := range 102 {
		w.sendDelayed(fmt.Sprint(i))
	}
	ids, _ := p.ids(2)
	assert.Equal(t, []string{"100", "101"}, ids)
	p.idle(false)
	ids, _ = p.ids(100)
	assert.Equal(t, "0", ids[0])
	assert.Equal(t, "99", ids[99])
}

func TestWhatExpiresWhileItIsHeldIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, mcsserver.Options{})
		p := w.login()
		p.idle(true)
		p.acknowledged()
		w.sendDelayed("short", func(m *ccs.Downstream) { m.TTL, m.ReceiptRequested = time.Minute, true })
		w.sendDelayed("long")
		synctest.Wait()
		p.silentFor(time.Minute)
		p.idle(false)
		ids, _ := p.ids(1)
		assert.Equal(t, []string{"long"}, ids)
		synctest.Wait()
		assert.Equal(t, 1, w.waiting())
		assert.Empty(t, w.receipts(), "it was never delivered")
		w.ended(ccs.EndExpired)
	})
}
