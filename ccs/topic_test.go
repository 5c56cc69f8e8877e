package ccs_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
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

// running runs the router until the test ends.
func (w *world) running() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// registerOn is an app's registration on one more device.
func (w *world) registerOn(id ccs.DeviceID, app string) *store.Registration {
	w.t.Helper()
	reg, err := w.Register(w.t.Context(), store.Registration{Device: uint64(id), App: app, Senders: []string{string(sender)}})
	require.NoError(w.t, err)
	return reg
}

func (w *world) subscribe(topic string, tokens ...string) {
	w.t.Helper()
	errs, err := w.Subscribe(w.t.Context(), sender, topic, tokens)
	require.NoError(w.t, err)
	for _, err := range errs {
		require.NoError(w.t, err)
	}
}

// copied waits until no fan-out is in progress.
func (w *world) copied() {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		all, err := w.store.Fanouts(w.t.Context(), "")
		return err == nil && len(all) == 0
	}, 10*time.Second, time.Millisecond)
}

// queued is the entries that wait for a device, and the messages in them.
func (w *world) queued(id ccs.DeviceID) (entries []store.Entry, messages []ccs.Message) {
	w.t.Helper()
	const peek = store.Lease(1 << 60)
	entries, err := w.store.Claim(w.t.Context(), id.Key(), peek, 1000, w.clock.Now())
	require.NoError(w.t, err)
	require.NoError(w.t, w.store.Release(w.t.Context(), id.Key(), peek))
	for _, e := range entries {
		var m ccs.Message
		require.NoError(w.t, m.Decode(e.Body))
		messages = append(messages, m)
	}
	return entries, messages
}

func toTopic(id, topic string) ccs.Downstream {
	m := data(id)
	m.To = "/topics/" + topic
	return m
}

func toCondition(id, condition string) ccs.Downstream {
	m := data(id)
	m.Condition = condition
	return m
}

func TestATopicMessageIsCopiedToEachSubscriber(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	const devices = 700 // several batches
	for i := range devices {
		w.subscribe("news", w.registerOn(ccs.DeviceID(1000+i), app).Token)
	}
	m := toTopic("m-1", "news")
	m.Priority, m.CollapseKey = payload.PriorityHigh, "k"
	res := w.send(m)
	require.Nil(t, res.Refusal)
	assert.Positive(t, res.TopicID)
	assert.Zero(t, res.Entry)
	accepted := w.clock.Now()
	w.clock.advance(time.Second)
	w.running()
	w.copied()
	for i := range devices {
		entries, messages := w.queued(ccs.DeviceID(1000 + i))
		require.Len(t, messages, 1)
		got := messages[0]
		assert.Equal(t, []any{"/topics/news", app, "m-1", "k", time.Minute, true}, []any{got.From, got.App, got.ID, got.CollapseKey, got.TTL, got.High})
		assert.Equal(t, m.Data, got.Data)
		assert.True(t, accepted.Add(time.Minute).Equal(entries[0].Expires), "the TTL counts from the acceptance")
	}
	_, none := w.queued(device)
	assert.Empty(t, none)
	counts := w.Tally().Fanouts()
	assert.Equal(t, ccs.FanoutCounts{Begun: 1, Done: 1, Subscribers: devices, Copied: devices, Last: time.Second}, counts)
	assert.EqualValues(t, devices, w.Tally().Counts(ccs.Down).Accepted)
}

func TestAConditionSelectsSubscribersOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	topics := []string{"a", "b", "c"}
	for of := range 8 { // one device for each set of topics
		reg := w.registerOn(ccs.DeviceID(1000+of), app)
		for i, topic := range topics {
			if of&(1<<i) != 0 {
				w.subscribe(topic, reg.Token)
			}
		}
	}
	w.running()
	for _, c := range []struct {
		condition string
		sets      []int
	}{
		{"'a' in topics || 'b' in topics", []int{1, 2, 3, 5, 6, 7}},
		{"'a' in topics && !('b' in topics)", []int{1, 5}},
		{"('a' in topics || 'b' in topics) && 'c' in topics", []int{5, 6, 7}},
	} {
		require.Nil(t, w.send(toCondition(c.condition, c.condition)).Refusal)
		w.copied()
		var sets []int
		for of := range 8 {
			_, messages := w.queued(ccs.DeviceID(1000 + of))
			for _, m := range messages {
				if m.ID == c.condition {
					assert.Equal(t, string(sender), m.From)
					sets = append(sets, of)
				}
			}
		}
		assert.Equal(t, c.sets, sets, c.condition)
	}
}

func TestWhoSubscribesLaterGetsNoCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	w.subscribe("news", w.token)
	require.Nil(t, w.send(toTopic("m-1", "news")).Refusal)
	w.clock.advance(time.Millisecond)
	w.subscribe("news", w.registerOn(1000, app).Token)
	require.Nil(t, w.send(toCondition("m-2", "'news' in topics && !'late' in topics")).Refusal)
	w.clock.advance(time.Millisecond)
	w.subscribe("late", w.token)
	w.running()
	w.copied()
	for id, want := range map[ccs.DeviceID]int{device: 2, 1000: 1} {
		_, messages := w.queued(id)
		assert.Len(t, messages, want)
	}
}

func TestAnExpiredTopicMessageIsCopiedToNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	w.subscribe("news", w.token)
	require.Nil(t, w.send(toTopic("m-1", "news")).Refusal)
	w.clock.advance(time.Minute)
	w.running()
	w.copied()
	_, messages := w.queued(device)
	assert.Empty(t, messages)
}

func TestATopicMessageThatIsNowOrNeverIsOfferedToWhoIsConnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	away := w.registerOn(1000, app)
	w.subscribe("news", w.token, away.Token)
	s := newSession()
	box := w.attach(device.Key(), s)
	m := toTopic("m-1", "news")
	m.TTL = 0
	require.Nil(t, w.send(m).Refusal)
	w.running()
	w.copied()
	ids, entries := take(t, box)
	assert.Equal(t, []string{"m-1"}, ids)
	assert.Zero(t, entries[0].ID)
	_, none := w.queued(1000)
	assert.Empty(t, none)
}

func TestATopicMessageThatIsNowOrNeverIsNotOfferedLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	w.subscribe("news", w.token)
	box := w.attach(device.Key(), newSession())
	m := toTopic("m-1", "news")
	m.TTL = 0
	require.Nil(t, w.send(m).Refusal)
	w.clock.advance(10 * time.Second)
	w.running()
	w.copied()
	ids, _ := take(t, box)
	assert.Empty(t, ids)
}

func TestASubscriberLosesOnlyItsOwnCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{Profile: ccs.Profile{DeviceRate: flowcontrol.Rate{Every: time.Hour, Burst: 1}}})
	w.subscribe("news", w.token, w.registerOn(1000, app).Token, w.registerOn(1001, "other.app").Token)
	require.Nil(t, w.send(data("first")).Refusal) // the rate of the device is used up
	m := toTopic("m-1", "news")
	m.RestrictedPackage = app
	require.Nil(t, w.send(m).Refusal)
	w.running()
	w.copied()
	for id, want := range map[ccs.DeviceID]int{device: 1, 1000: 1, 1001: 0} {
		_, messages := w.queued(id)
		assert.Len(t, messages, want)
	}
	assert.Equal(t, int64(2), w.Tally().Fanouts().Dropped)
}

func TestASupersededTokenPassesItsSubscriptionsOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	w.subscribe("news", w.token)
	newer, err := w.Register(t.Context(), store.Registration{Device: uint64(device), App: app, Senders: []string{string(sender), string(other)}})
	require.NoError(t, err)
	require.NotEqual(t, w.token, newer.Token)
	topics, err := w.Topics(t.Context(), newer)
	require.NoError(t, err)
	require.Len(t, topics, 1)
	require.Nil(t, w.send(toTopic("m-1", "news")).Refusal)
	w.running()
	w.copied()
	_, messages := w.queued(device)
	assert.Len(t, messages, 1)
	require.NoError(t, w.Unregister(t.Context(), store.Registration{Device: uint64(device), App: app}))
	topics, err = w.Topics(t.Context(), newer)
	require.NoError(t, err)
	assert.Empty(t, topics)
}

// TOPICS 2.4: a dry run has a number, and no copies.
func TestADryRunToATopicIsAnsweredAndNotCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	w.subscribe("news", w.token)
	for _, m := range []ccs.Downstream{toTopic("m-1", "news"), toCondition("m-2", "'news' in topics")} {
		m.DryRun = true
		res := w.send(m)
		require.Nil(t, res.Refusal)
		assert.Positive(t, res.TopicID)
	}
	all, err := w.store.Fanouts(t.Context(), "")
	require.NoError(t, err)
	assert.Empty(t, all)
}

func TestTooManyTopicMessagesInProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	batch := make([]ccs.Downstream, ccs.MaxFanouts+2)
	for i := range batch {
		batch[i] = toTopic(fmt.Sprint("m-", i), "news")
	}
	results := w.Send(t.Context(), ccs.Source{Sender: sender}, batch, nil)
	ids := map[int64]bool{}
	for _, res := range results[:ccs.MaxFanouts] {
		require.Nil(t, res.Refusal)
		ids[res.TopicID] = true
	}
	assert.Len(t, ids, ccs.MaxFanouts)
	for _, res := range results[ccs.MaxFanouts:] {
		assert.Equal(t, ccs.TopicRateExceeded, refused(t, res).Reason)
	}
	assert.Nil(t, w.Send(t.Context(), ccs.Source{Sender: other}, []ccs.Downstream{toTopic("m", "news")}, nil)[0].Refusal)
	w.running()
	w.copied()
	require.Nil(t, w.send(toTopic("again", "news")).Refusal)
}

func TestARepeatToATopicIsCopiedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	w.subscribe("a", w.token)
	w.subscribe("b", w.token)
	for range 2 {
		require.Nil(t, w.send(toCondition("m-1", "'a' in topics")).Refusal)
		require.Nil(t, w.send(toCondition("m-1", "'b' in topics")).Refusal) // no repeat: it is for others
		require.Nil(t, w.send(toTopic("m-1", "a")).Refusal)
	}
	assert.EqualValues(t, 3, w.Tally().Fanouts().Begun)
	assert.EqualValues(t, 3, w.Tally().Counts(ccs.Down).Duplicates)
}

// TOPICS 2.1, 6: the names of topics.
func TestInvalidTopicsAndConditionsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	for _, name := range []string{"", "a b", "a/b", "private/a", "ä", strings.Repeat("a", 901)} {
		assert.Equal(t, ccs.InvalidTopic, refused(t, w.send(toTopic("m", name))).Reason, name)
		_, err := w.Subscribe(t.Context(), sender, name, []string{w.token})
		require.ErrorIs(t, err, ccs.ErrInvalidTopic)
	}
	require.Nil(t, w.send(toTopic("m", strings.Repeat("a", 900))).Refusal)
	for _, c := range []string{"a", "!('a' in topics)", "'a' in topics &&"} {
		assert.Equal(t, ccs.InvalidCondition, refused(t, w.send(toCondition("m", c))).Reason, c)
	}
}

func TestWhoMaySubscribe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	gone := w.registerOn(1000, app)
	require.NoError(t, w.Unregister(t.Context(), store.Registration{Device: 1000, App: app}))
	foreign, err := w.Register(t.Context(), store.Registration{Device: 1001, App: app, Senders: []string{string(other)}})
	require.NoError(t, err)
	tokens := []string{"unknown", w.token, gone.Token, foreign.Token}
	for _, call := range []func(context.Context, ccs.SenderID, string, []string) ([]error, error){w.Subscribe, w.Unsubscribe} {
		errs, err := call(t.Context(), sender, "news", tokens)
		require.NoError(t, err)
		var reasons []ccs.Reason
		for _, err := range errs {
			if err == nil {
				reasons = append(reasons, 0)
				continue
			}
			reasons = append(reasons, ccs.RefusalOf(err).Reason)
		}
		assert.Equal(t, []ccs.Reason{ccs.UnknownToken, 0, ccs.Unregistered, ccs.WrongSender}, reasons)
	}
}

// lockedNotebook is a notebook for several goroutines.
type lockedNotebook struct {
	mu sync.Mutex
	notebook
}

func (n *lockedNotebook) Observe(events []ccs.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notebook.Observe(events)
}

func (n *lockedNotebook) noted() []ccs.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.events)
}

func TestEventsOfATopicMessage(t *testing.T) {
	t.Parallel()
	o := &lockedNotebook{}
	w := newWorld(t, ccs.Options{Observer: o})
	w.subscribe("news", w.token)
	require.Nil(t, w.send(toTopic("m-1", "news")).Refusal)
	w.running()
	w.copied()
	var told []string
	require.Eventually(t, func() bool {
		told = nil
		for _, e := range o.noted() {
			if e.Kind == ccs.EventFanout || e.Kind == ccs.EventStored {
				told = append(told, fmt.Sprint(e.Kind, " ", e.Code, " ", e.Sender, " ", e.ID, " ", e.Text))
			}
		}
		return len(told) == 3
	}, 10*time.Second, time.Millisecond)
	slices.Sort(told)
	assert.Equal(t, []string{
		"fan-out begun " + string(sender) + " m-1 /topics/news",
		"fan-out done " + string(sender) + " m-1 /topics/news",
		"stored stored " + string(sender) + " m-1 ",
	}, told)
}

func TestADeviceSubscribesItsOwnRegistrationsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	for _, c := range []struct{ app, subscriber string }{{"other.app", w.token}, {app, "unknown"}, {app, string(other)}, {app, ""}} {
		_, err := w.SubscribeDevice(t.Context(), device, c.app, c.subscriber, "news", false)
		require.ErrorIs(t, err, ccs.ErrNotMember)
	}
	_, err := w.SubscribeDevice(t.Context(), 1000, app, w.token, "news", false)
	require.ErrorIs(t, err, ccs.ErrNotMember)
	_, err = w.SubscribeDevice(t.Context(), device, app, w.token, "a b", false)
	require.ErrorIs(t, err, ccs.ErrInvalidTopic)
	for _, subscriber := range []string{w.token, string(sender)} { // old clients name the sender
		for range 2 {
			token, err := w.SubscribeDevice(t.Context(), device, app, subscriber, "news", false)
			require.NoError(t, err)
			assert.Equal(t, w.token, token)
		}
		require.Nil(t, w.send(toTopic("m-"+subscriber, "news")).Refusal)
		for range 2 {
			_, err = w.SubscribeDevice(t.Context(), device, app, subscriber, "news", true)
			require.NoError(t, err)
		}
	}
}

// TOPICS 7: a token has at most 2000 topics.
func TestTheTopicsOfATokenAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	for i := range store.MaxTopics {
		w.subscribe(fmt.Sprint("t", i), w.token)
	}
	_, err := w.SubscribeDevice(t.Context(), device, app, w.token, "news", false)
	require.ErrorIs(t, err, ccs.ErrTooManyTopics)
	errs, err := w.Subscribe(t.Context(), sender, "news", []string{w.token})
	require.NoError(t, err)
	require.ErrorIs(t, errs[0], ccs.ErrTooManyTopics)
}
