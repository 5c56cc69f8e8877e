package ccs_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// memberOn registers the app on a device, for the usual sender.
func (w *world) memberOn(d ccs.DeviceID) string {
	w.t.Helper()
	reg, err := w.Register(w.t.Context(), store.Registration{Device: uint64(d), App: app, Senders: []string{string(sender)}})
	require.NoError(w.t, err)
	return reg.Token
}

// groupOf makes the group user-7 of the app on devices 1 to n.
func (w *world) groupOf(n int) (key string, tokens []string) {
	w.t.Helper()
	for i := range n {
		tokens = append(tokens, w.memberOn(ccs.DeviceID(i+1)))
	}
	key, err := w.CreateGroup(w.t.Context(), sender, "user-7", tokens)
	require.NoError(w.t, err)
	return key, tokens
}

// waiting returns the messages in the queue of a device.
func (w *world) waiting(d ccs.DeviceID) (all []ccs.Message) {
	w.t.Helper()
	entries, err := w.store.Claim(w.t.Context(), d.Key(), 99, 100, w.clock.Now())
	require.NoError(w.t, err)
	for i := range entries {
		var m ccs.Message
		require.NoError(w.t, m.Decode(entries[i].Body))
		all = append(all, m)
	}
	return all
}

// The management of groups refuses these (TOPICS 4.1, 6, 7).
func TestManagingGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	ctx := t.Context()
	key, tokens := w.groupOf(2)
	foreign, err := w.Register(ctx, store.Registration{Device: 9, App: app, Senders: []string{string(other)}})
	require.NoError(t, err)
	members := func() (got []string) {
		g, err := w.GroupByKey(ctx, sender, key)
		require.NoError(t, err)
		for _, m := range g.Members {
			got = append(got, m.Token)
		}
		return got
	}
	third := w.memberOn(3)

	_, err = w.CreateGroup(ctx, sender, "user-7", []string{third})
	require.ErrorIs(t, err, ccs.ErrGroupExists)
	_, err = w.CreateGroup(ctx, sender, "user-8", []string{"nobody", foreign.Token})
	require.ErrorIs(t, err, ccs.ErrNoMembers)
	require.ErrorIs(t, w.AddToGroup(ctx, sender, key, "user-8", []string{third}), ccs.ErrGroupName)
	require.ErrorIs(t, w.AddToGroup(ctx, sender, tokens[0], "", []string{third}), ccs.ErrGroupNotFound)
	require.ErrorIs(t, w.AddToGroup(ctx, other, key, "", []string{foreign.Token}), ccs.ErrGroupNotFound)
	_, err = w.GroupKey(ctx, other, "user-7")
	require.ErrorIs(t, err, ccs.ErrGroupNotFound)

	require.NoError(t, w.AddToGroup(ctx, sender, key, "user-7", []string{tokens[0], third, "nobody", foreign.Token}))
	assert.Equal(t, append(slices.Clone(tokens), third), members())
	var many []string
	for d := range store.MaxMembers - 2 {
		many = append(many, w.memberOn(ccs.DeviceID(100+d)))
	}
	require.ErrorIs(t, w.AddToGroup(ctx, sender, key, "", many), ccs.ErrTooManyMembers)
	assert.Len(t, members(), 3, "all or nothing")
	require.NoError(t, w.AddToGroup(ctx, sender, key, "", many[1:]))
	assert.Len(t, members(), store.MaxMembers)
	_, err = w.CreateGroup(ctx, sender, "user-9", append(many, tokens...))
	require.NoError(t, err)
	_, err = w.CreateGroup(ctx, sender, "user-10", append(slices.Clone(many), tokens[0], tokens[1], third))
	require.ErrorIs(t, err, ccs.ErrTooManyMembers)

	require.NoError(t, w.RemoveFromGroup(ctx, sender, key, "", append(many[:1], many...)))
	require.NoError(t, w.RemoveFromGroup(ctx, sender, key, "user-7", tokens))
	assert.Equal(t, []string{third}, members())
	require.NoError(t, w.RemoveFromGroup(ctx, sender, key, "", []string{third}))
	require.ErrorIs(t, w.AddToGroup(ctx, sender, key, "", []string{third}), ccs.ErrGroupNotFound)
	again, err := w.CreateGroup(ctx, sender, "user-7", []string{third})
	require.NoError(t, err)
	require.NotEqual(t, key, again)
	require.ErrorIs(t, w.AddToGroup(ctx, sender, key, "", []string{third}), ccs.ErrGroupNotFound, "the name has another key now")
}

// TOPICS 4.2: each member gets a copy, and the result counts them.
func TestSendToAGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	key, tokens := w.groupOf(3)
	toGroup := withTo(data("m-1"), key)
	toGroup.ReceiptRequested = true
	batch := []ccs.Downstream{withTo(data("m-0"), w.token), toGroup, withTo(data("m-2"), "nobody"), withTo(data("m-3"), w.token)}
	got := w.Send(t.Context(), ccs.Source{Sender: sender}, batch, nil)
	require.Len(t, got, 4)
	for i, id := range []string{"m-0", "m-1", "m-2", "m-3"} {
		assert.Equal(t, id, got[i].ID)
	}
	assert.Nil(t, got[0].Group)
	assert.Nil(t, got[1].Refusal)
	assert.Equal(t, &ccs.GroupResult{Success: 3}, got[1].Group)
	assert.Equal(t, ccs.UnknownToken, refused(t, got[2]).Reason)
	assert.Nil(t, got[3].Refusal)
	for i, token := range tokens {
		messages := w.waiting(ccs.DeviceID(i + 1))
		require.Len(t, messages, 1)
		assert.Equal(t, []string{string(sender), "m-1", token}, []string{messages[0].From, messages[0].ID, messages[0].ReceiptFor})
	}

	again := w.send(toGroup)
	assert.Equal(t, &ccs.GroupResult{Success: 3}, again.Group, "a repeat has the same answer")
	assert.Len(t, w.waiting(1), 0, "and is not stored again")
}

func TestSendToAGroupFailsForSome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{Profile: ccs.Profile{DeviceBacklog: 1}})
	key, tokens := w.groupOf(2)
	w.attach(ccs.DeviceID(1).Key(), &session{busy: true, wakes: make(chan struct{}, 9), closed: make(chan error, 1)})
	require.Nil(t, w.send(withTo(data("m-0"), tokens[0])).Refusal)
	got := w.send(withTo(data("m-1"), key))
	assert.Nil(t, got.Refusal)
	assert.Equal(t, &ccs.GroupResult{Success: 1, Failed: tokens[:1]}, got.Group)

	m := withTo(data("m-2"), key)
	m.RestrictedPackage = "another.app"
	got = w.send(m)
	assert.Equal(t, ccs.InvalidPackage, refused(t, got).Reason)
	assert.Equal(t, &ccs.GroupResult{Failed: tokens}, got.Group)
}

func TestAKeyOfNoGroupIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	key, tokens := w.groupOf(1)
	foreign, err := store.NewGroupKey(store.GroupIDOf(string(other), "user-7"))
	require.NoError(t, err)
	unknown, err := store.NewGroupKey(store.GroupIDOf(string(sender), "user-7"))
	require.NoError(t, err)
	require.NoError(t, w.RemoveFromGroup(t.Context(), sender, key, "", tokens))
	for to, reason := range map[string]ccs.Reason{
		key: ccs.Unregistered, unknown: ccs.Unregistered, foreign: ccs.WrongSender, key[:20]: ccs.UnknownToken,
	} {
		got := w.send(withTo(data("m"), to))
		assert.Equal(t, reason, refused(t, got).Reason, to)
		assert.Nil(t, got.Group)
	}
}

// TOPICS 4.4: a member's message goes to the other members, once each.
func TestUpstreamToAGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	key, _ := w.groupOf(3)
	up := ccs.Upstream{To: key + "@gcm.googleapis.com", Category: app, ID: "u-1", PersistentID: "p-1", TTL: time.Minute, HasTTL: true, Data: payload.Data{}.Append("k", "v")}
	for range 2 {
		require.NoError(t, w.SendUpstream(t.Context(), 1, []ccs.Upstream{up}))
	}
	assert.Empty(t, w.waiting(1))
	for d := ccs.DeviceID(2); d <= 3; d++ {
		got := w.waiting(d)
		require.Len(t, got, 1)
		assert.Equal(t, []string{key, app, "u-1"}, []string{got[0].From, got[0].App, got[0].ID})
		assert.Equal(t, payload.Data{}.Append("k", "v").Append("google.message_id", "u-1"), got[0].Data)
		assert.Equal(t, time.Minute, got[0].TTL)
	}
	entries, err := w.store.Claim(t.Context(), sender.Key(), 99, 100, w.clock.Now())
	require.NoError(t, err)
	assert.Empty(t, entries, "it is not for the app server")
}

func TestUpstreamToAGroupIsRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		change func(w *world, m *ccs.Upstream)
		from   ccs.DeviceID
		reason ccs.Reason
	}{
		{"a device that is no member", func(w *world, _ *ccs.Upstream) { w.memberOn(9) }, 9, ccs.UnknownSender},
		{"another app of a member's device", func(_ *world, m *ccs.Upstream) { m.Category = "another.app" }, 1, ccs.UnknownSender},
		{"the key of no group", func(_ *world, m *ccs.Upstream) { m.To = m.To[:139] + "?" }, 1, ccs.UnknownSender},
		{"too much data", func(_ *world, m *ccs.Upstream) { m.Data = m.Data.Append("k", fmt.Sprintf("%04097d", 0)) }, 1, ccs.TooBig},
		{"a negative TTL", func(_ *world, m *ccs.Upstream) { m.TTL = -1 }, 1, ccs.BadTTL},
		{"now or never, and nobody is there", func(_ *world, m *ccs.Upstream) { m.TTL = 0 }, 1, ccs.NobodyConnected},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, ccs.Options{})
			key, _ := w.groupOf(2)
			m := ccs.Upstream{To: key, Category: app, ID: "u-1", PersistentID: "p-1", TTL: time.Minute, HasTTL: true}
			row.change(w, &m)
			require.NoError(t, w.SendUpstream(t.Context(), row.from, []ccs.Upstream{m}))
			got := w.waiting(row.from)
			require.Len(t, got, 1)
			assert.Equal(t, []any{ccs.SendError, row.reason, "u-1"}, []any{got[0].Kind, got[0].Reason, got[0].ID})
			assert.Empty(t, w.waiting(2))
		})
	}
}

// puts is a store that counts the calls of Put, and fails them if err is set.
type puts struct {
	*memstore.Store
	calls int
	err   error
}

func (s *puts) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	s.calls++
	if s.err != nil {
		return nil, s.err
	}
	return s.Store.Put(ctx, batch, now)
}

// A message to a group is accepted only if a copy is durable, and all copies of a batch are stored
// at once.
func TestCopiesForAGroupAreStoredAtOnceOrRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	key, tokens := w.groupOf(3)
	st := &puts{Store: w.store}
	r, err := ccs.New(t.Context(), st, ccs.Options{Clock: w.clock})
	require.NoError(t, err)
	batch := []ccs.Downstream{withTo(data("m-1"), key), withTo(data("m-2"), w.token), withTo(data("m-3"), key)}
	for _, res := range r.Send(t.Context(), ccs.Source{Sender: sender}, batch, nil) {
		require.Nil(t, res.Refusal)
	}
	assert.Equal(t, 1, st.calls)

	st.err = store.ErrUnavailable
	got := r.Send(t.Context(), ccs.Source{Sender: sender}, []ccs.Downstream{withTo(data("m-4"), key)}, nil)
	assert.Equal(t, ccs.Unavailable, refused(t, got[0]).Reason)
	st.err = nil
	got = r.Send(t.Context(), ccs.Source{Sender: sender}, []ccs.Downstream{withTo(data("m-4"), key)}, nil)
	require.Nil(t, got[0].Refusal)
	assert.Len(t, w.waiting(1), 3, "the one that failed is no repeat")
	assert.Len(t, tokens, 3)
}

// TOPICS 1: a newer token takes the membership over for good, although the older one is forgotten
// some day.
func TestAMembershipOutlivesTheOlderToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	key, _ := w.groupOf(1)
	register := func(senders ...string) {
		_, err := w.Register(t.Context(), store.Registration{Device: 1, App: app, Senders: senders})
		require.NoError(t, err)
	}
	register(string(sender), "2")
	w.clock.advance(200 * 24 * time.Hour)
	register(string(sender), "2", "3") // forgets tokens that have been dead for long
	register(string(sender), "2", "3", "4")
	got := w.send(withTo(data("m"), key))
	require.Nil(t, got.Refusal)
	assert.Equal(t, &ccs.GroupResult{Success: 1}, got.Group)
}
