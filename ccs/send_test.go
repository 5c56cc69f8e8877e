package ccs_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

func TestSendToADeviceThatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	s := newSession()
	box := w.attach(device.Key(), s)
	m := data("m-1")
	m.CollapseKey, m.Notification = "k", payload.Data{}.Append("title", "Hi")
	m.Data = payload.Data{}.Append("a", "1").Append("b", "x")
	require.Nil(t, w.send(m).Refusal)
	<-s.wakes
	_, entries := take(t, box)
	require.Len(t, entries, 1)
	var got ccs.Message
	require.NoError(t, got.Decode(entries[0].Body))
	assert.Equal(t, ccs.Message{
		Kind: ccs.DataMessage, High: true, TTL: time.Minute, From: string(sender), App: app, ID: "m-1", CollapseKey: "k",
		Data: payload.Data{}.Append("a", "1").Append("b", "x").Append("gcm.n.e", "1").Append("gcm.notification.title", "Hi"),
	}, got)
	require.NoError(t, box.Ack(t.Context(), entries[0].ID))
	box.Detach(t.Context())

	ids, _ := take(t, w.attach(device.Key(), newSession()))
	assert.Empty(t, ids, "what was acknowledged is gone")
}

func TestSendIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	gone := w.register("com.example.gone")
	require.NoError(t, w.Unregister(t.Context(), store.Registration{Device: uint64(device), App: gone.App}))
	for _, row := range []struct {
		name string
		from ccs.SenderID
		m    ccs.Downstream
		want ccs.Reason
	}{
		{"unknown token", sender, ccs.Downstream{To: "nobody"}, ccs.UnknownToken},
		{"another sender's token", other, ccs.Downstream{To: w.token}, ccs.WrongSender},
		{"unregistered app", sender, ccs.Downstream{To: gone.Token}, ccs.Unregistered},
		{"another package", sender, ccs.Downstream{To: w.token, RestrictedPackage: "x"}, ccs.InvalidPackage},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.m.TTL = time.Minute
			good := data("good")
			good.To = w.token
			if row.from == other {
				good.To = "/topics/x"
			}
			res := w.Send(t.Context(), ccs.Source{Sender: row.from}, []ccs.Downstream{row.m, good}, nil)
			assert.Equal(t, row.want, refused(t, res[0]).Reason)
			assert.Nil(t, res[1].Refusal, "one bad message does not hurt the next")
		})
	}
}

// The limit of 100 messages applies to a device that is away (CCS 5.5, and its note).
func TestAwayLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	for i := range 101 {
		require.Nil(t, w.send(data(fmt.Sprint("m-", i))).Refusal, "what is thrown away was accepted")
	}
	collapsible := data("c-1")
	collapsible.CollapseKey = "k"
	require.Nil(t, w.send(collapsible).Refusal)
	require.Nil(t, w.send(data("later")).Refusal)
	ids, entries := take(t, w.attach(device.Key(), newSession()))
	require.Equal(t, []string{"deleted", "c-1", "later"}, ids)
	assert.Equal(t, 101, entries[0].Deleted)
}

func TestConnectedBacklog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{Profile: ccs.Profile{DeviceBacklog: 200}})
	box := w.attach(device.Key(), newSession())
	for i := range 200 {
		require.Nil(t, w.send(data(fmt.Sprint("m-", i))).Refusal)
	}
	assert.Equal(t, ccs.QueueFull, refused(t, w.send(data("too many"))).Reason)
	_, entries := take(t, box)
	require.Len(t, entries, 200)
	require.NoError(t, box.Ack(t.Context(), entries[0].ID))
	require.Nil(t, w.send(data("m-200")).Refusal)
	box.Detach(t.Context())

	for i := range 100 {
		require.Nil(t, w.send(data(fmt.Sprint("away-", i))).Refusal)
	}
	ids, _ := take(t, w.attach(device.Key(), newSession()))
	assert.Len(t, ids, 300, "what had come while the device was there does not count")
	assert.Equal(t, "m-1", ids[0])
}

// A device that was connected when the server ended is not away at once: its messages are not
// discarded.
func TestDevicesAreExpectedBackAfterARestart(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		end      func(w *world, box ccs.Mailbox)
		comeBack time.Duration
		want     int
	}{
		{"after a crash", func(*world, ccs.Mailbox) {}, time.Minute, 150},
		{"after a shutdown", func(w *world, box ccs.Mailbox) { w.Stop(); box.Detach(w.t.Context()) }, time.Minute, 150},
		{"not if it had left before", func(w *world, box ccs.Mailbox) { box.Detach(w.t.Context()) }, time.Minute, 50},
		{"not for ever", func(*world, ccs.Mailbox) {}, time.Nanosecond, 50},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, ccs.Options{})
			row.end(w, w.attach(device.Key(), newSession()))
			w.open(ccs.Options{ReturnGrace: row.comeBack})
			for i := range 150 {
				require.Nil(t, w.send(data(fmt.Sprint("m-", i))).Refusal)
			}
			ids, _ := take(t, w.attach(device.Key(), newSession()))
			assert.Len(t, ids, row.want)
			assert.Equal(t, row.want == 50, ids[0] == "deleted", "the marker stands for the first 101")
		})
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	require.Nil(t, w.send(data("minute")).Refusal)
	long := data("four weeks")
	long.TTL = payload.MaxTTL
	require.Nil(t, w.send(long).Refusal)
	now := data("now or never")
	now.TTL = 0
	require.Nil(t, w.send(now).Refusal, "accepted, and discarded: nobody is there")
	w.clock.advance(time.Minute)
	s := newSession()
	box := w.attach(device.Key(), s)
	ids, _ := take(t, box)
	require.Equal(t, []string{"four weeks"}, ids)
	require.Nil(t, w.send(now).Refusal)
	<-s.wakes
	ids, entries := take(t, box)
	require.Equal(t, []string{"now or never"}, ids, "delivered to a device that is there")
	assert.Zero(t, entries[0].ID, "and never stored")
	box.Detach(t.Context())
	w.clock.advance(payload.MaxTTL)
	ids, _ = take(t, w.attach(device.Key(), newSession()))
	assert.Empty(t, ids)
}

func TestCollapse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	for i, key := range []string{"a", "b", "c", "d", "a", "e"} {
		m := data(fmt.Sprint(key, i))
		m.CollapseKey = key
		require.Nil(t, w.send(m).Refusal)
	}
	ids, _ := take(t, w.attach(device.Key(), newSession()))
	assert.Equal(t, []string{"c2", "d3", "a4", "e5"}, ids, "the newest of each key, the key that was put longest ago evicted")
}

func TestCanonicalID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	old := w.token
	assert.Equal(t, old, w.register(app).Token, "the same registration again is the same token")
	reg, err := w.Register(t.Context(), store.Registration{Device: uint64(device), App: app, Senders: []string{string(other), string(sender)}})
	require.NoError(t, err)
	require.NotEqual(t, old, reg.Token)
	res := w.send(data("m-1"))
	require.Nil(t, res.Refusal)
	assert.Equal(t, reg.Token, res.Canonical)
	w.clock.advance(31 * 24 * time.Hour)
	assert.Equal(t, ccs.Unregistered, refused(t, w.send(data("m-2"))).Reason, "superseded tokens die after 30 days")
}

func TestUnregister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	require.Nil(t, w.send(data("m-1")).Refusal)
	require.NoError(t, w.Unregister(t.Context(), store.Registration{Device: uint64(device), App: app}))
	assert.Equal(t, ccs.Unregistered, refused(t, w.send(data("m-2"))).Reason)
	ids, _ := take(t, w.attach(device.Key(), newSession()))
	assert.Empty(t, ids, "what waited is dropped")
	assert.NotEqual(t, w.token, w.register(app).Token)
	assert.NotNil(t, w.send(data("m-3")).Refusal, "the old token stays dead")

	iid := store.Registration{Device: uint64(device), App: "iid", InstanceID: "x", Scope: "GCM", Senders: []string{string(sender)}}
	a, err := w.Register(t.Context(), iid)
	require.NoError(t, err)
	iid.Senders = []string{string(other)}
	b, err := w.Register(t.Context(), iid)
	require.NoError(t, err)
	m := data("m-4")
	m.To = a.Token
	require.Nil(t, w.send(m).Refusal, "tokens of two senders live side by side")
	require.NoError(t, w.Unregister(t.Context(), iid))
	require.Nil(t, w.send(m).Refusal, "one sender's token goes without the other's")
	iid.Senders, iid.Scope = []string{"*"}, "*"
	require.NoError(t, w.Unregister(t.Context(), iid))
	require.NotNil(t, w.send(m).Refusal)
	require.NotEqual(t, a.Token, b.Token)
}

func TestRegisterNeedsASender(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	for _, senders := range [][]string{nil, {""}, {"1", ""}} {
		_, err := w.Register(t.Context(), store.Registration{Device: uint64(device), App: app, Senders: senders})
		assert.ErrorIs(t, err, ccs.ErrInvalidSender)
	}
}

func TestStoreTroubleIsToldAsSuch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	require.NoError(t, w.store.Close())
	assert.Equal(t, ccs.Unavailable, refused(t, w.send(data("m-1"))).Reason)
}

// A client that missed the answer sends the same again, and the device does not get it twice
// (CCS 4.3).
func TestARepeatIsAcceptedAndNotDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	m := data("m-1")
	changed := m
	changed.Data = payload.Data{}.Append("id", "other")
	for _, x := range []ccs.Downstream{m, m, changed} {
		require.Nil(t, w.send(x).Refusal)
	}
	both := w.Send(t.Context(), ccs.Source{Sender: sender}, []ccs.Downstream{withTo(data("m-2"), w.token), withTo(data("m-2"), w.token)}, nil)
	require.Nil(t, both[0].Refusal)
	require.Nil(t, both[1].Refusal, "also when the first is not answered yet")
	ids, entries := take(t, w.attach(device.Key(), newSession()))
	require.Equal(t, []string{"m-1", "m-1", "m-2"}, ids, "the same id with other content is another message")
	assert.NotEqual(t, entries[0].Body, entries[1].Body)
	w.clock.advance(21 * time.Minute)
	m.TTL = time.Hour
	require.Nil(t, w.send(m).Refusal)
	w.clock.advance(9 * time.Minute)
	require.Nil(t, w.send(m).Refusal)
	w.clock.advance(21 * time.Minute)
	require.Nil(t, w.send(m).Refusal, "after a while it is another message")
	stored, err := w.store.Claim(t.Context(), device.Key(), 99, 100, w.clock.Now())
	require.NoError(t, err)
	assert.Len(t, stored, 2)
}

func withTo(m ccs.Downstream, to string) ccs.Downstream {
	m.To = to
	return m
}

// Several connections that send the same messages at once deliver each once.
func TestRepeatsAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	box := w.attach(device.Key(), newSession())
	const total = 300
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range total / 3 {
				batch := make([]ccs.Downstream, 3)
				for j := range batch {
					batch[j] = withTo(data(fmt.Sprint(i*3+j)), w.token)
				}
				for _, res := range w.Send(context.Background(), ccs.Source{Sender: sender}, batch, nil) {
					assert.Nil(t, res.Refusal)
				}
			}
		})
	}
	wg.Wait()
	ids, _ := take(t, box)
	assert.Len(t, ids, total)
}

func TestPriority(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	for _, id := range []string{"n-1", "h-1", "n-2", "h-2"} {
		m := data(id)
		if id[0] == 'h' {
			m.Priority = payload.PriorityHigh
		}
		require.Nil(t, w.send(m).Refusal)
	}
	ids, _ := take(t, w.attach(device.Key(), newSession()))
	assert.Equal(t, []string{"h-1", "h-2", "n-1", "n-2"}, ids)
}

func TestTopicsAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	topic := data("m-1")
	topic.To = "/topics/news.sport-1_a~b%20"
	require.Nil(t, w.send(topic).Refusal)
	require.Nil(t, w.send(ccs.Downstream{Condition: "'a' in topics", ID: "m-2", TTL: time.Minute}).Refusal)
	for _, to := range []string{"/topics/", "/topics/a b", "/topics/a/b"} {
		topic.To = to
		assert.Equal(t, ccs.InvalidTopic, refused(t, w.send(topic)).Reason)
	}
}

func TestDeviceRate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{Profile: ccs.Profile{DeviceRate: flowcontrol.Rate{Every: time.Second, Burst: 2}}})
	require.Nil(t, w.send(data("m-1")).Refusal)
	require.Nil(t, w.send(data("m-2")).Refusal)
	for range 3 {
		require.Nil(t, w.send(data("m-2")).Refusal, "a repeat is not another message")
		dry, now := data("dry"), data("now")
		dry.DryRun, now.TTL = true, 0
		require.Nil(t, w.send(dry).Refusal)
		require.Nil(t, w.send(now).Refusal, "never throttled (CCS 5.2)")
	}
	e := refused(t, w.send(data("m-3")))
	assert.Equal(t, &ccs.Refusal{Reason: ccs.RateExceeded}, e)
	w.clock.advance(time.Second)
	require.Nil(t, w.send(data("m-3")).Refusal)
}

// A token that has been dead for 90 days is forgotten when its device registers again. Until then
// its senders get the answer that it is dead (CCS 5.6, 5.7).
func TestDeadTokensAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	unregistered := w.register("gone").Token
	require.NoError(t, w.Unregister(t.Context(), store.Registration{Device: uint64(device), App: "gone"}))
	_, err := w.Register(t.Context(), store.Registration{Device: uint64(device), App: app, Senders: []string{string(sender), string(other)}})
	require.NoError(t, err)
	reason := func(token string) ccs.Reason {
		m := data("m-1")
		m.To = token
		return refused(t, w.send(m)).Reason
	}
	w.clock.advance(90 * 24 * time.Hour)
	w.register("another")
	assert.Equal(t, ccs.Unregistered, reason(unregistered))
	assert.Equal(t, ccs.Unregistered, reason(w.token))
	w.clock.advance(time.Second)
	w.register("a third")
	assert.Equal(t, ccs.UnknownToken, reason(unregistered))
	assert.Equal(t, ccs.Unregistered, reason(w.token), "which could be sent to for 30 days more")
	w.clock.advance(30 * 24 * time.Hour)
	w.register("a fourth")
	assert.Equal(t, ccs.UnknownToken, reason(w.token))
}

func TestADeviceCannotFillTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	for i := range 999 {
		w.register(fmt.Sprint("app-", i))
	}
	_, err := w.Register(t.Context(), store.Registration{Device: uint64(device), App: "one too many", Senders: []string{string(sender)}})
	require.ErrorIs(t, err, ccs.ErrTooManyRegistrations)
	w.register("app-7") // it may ask again for a registration that it has
	require.NoError(t, w.Unregister(t.Context(), store.Registration{Device: uint64(device), App: "app-7"}))
	w.register("another")
}
