package ccs_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// members are registrations of one app on n devices.
func (w *world) members(n int) (tokens []string) {
	w.t.Helper()
	for i := range n {
		tokens = append(tokens, w.registerOn(ccs.DeviceID(1000+i), app).Token)
	}
	return tokens
}

func (w *world) createGroup(name string, tokens ...string) (key string) {
	w.t.Helper()
	key, err := w.CreateGroup(w.t.Context(), sender, name, tokens)
	require.NoError(w.t, err)
	require.True(w.t, ccs.IsGroupKey(key))
	require.Len(w.t, key, len(w.token))
	return key
}

func toGroup(id, key string) ccs.Downstream {
	m := data(id)
	m.To = key
	return m
}

func TestAGroupIsMadeChangedAndFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	tokens := w.members(22)
	key := w.createGroup("user-7", tokens[0], tokens[0], "unknown")
	_, err := w.CreateGroup(t.Context(), sender, "user-7", tokens)
	require.ErrorIs(t, err, ccs.ErrTooManyMembers)
	_, err = w.CreateGroup(t.Context(), sender, "user-7", tokens[:1])
	require.ErrorIs(t, err, ccs.ErrGroupExists)
	_, err = w.CreateGroup(t.Context(), sender, "user-8", []string{"unknown"})
	require.ErrorIs(t, err, ccs.ErrNoMembers)
	_, err = w.CreateGroup(t.Context(), sender, "", tokens[:1])
	require.ErrorIs(t, err, ccs.ErrBadGroupName)
	found, err := w.GroupKey(t.Context(), sender, "user-7")
	require.NoError(t, err)
	assert.Equal(t, key, found)
	for _, s := range []ccs.SenderID{sender, other} {
		_, err = w.GroupKey(t.Context(), s, "none")
		require.ErrorIs(t, err, ccs.ErrGroupNotFound)
	}
	require.ErrorIs(t, w.AddToGroup(t.Context(), other, key, "", tokens[:1]), ccs.ErrGroupNotFound)
	require.ErrorIs(t, w.AddToGroup(t.Context(), sender, key, "other", tokens[:1]), ccs.ErrGroupName)
	require.ErrorIs(t, w.AddToGroup(t.Context(), sender, key, "", []string{"unknown"}), ccs.ErrNoMembers)
	require.ErrorIs(t, w.AddToGroup(t.Context(), sender, key, "user-7", tokens[:21]), ccs.ErrTooManyMembers)
	require.NoError(t, w.AddToGroup(t.Context(), sender, key, "user-7", tokens[:20]))
	require.NoError(t, w.AddToGroup(t.Context(), sender, key, "", tokens[:3]), "members are added once")
	require.ErrorIs(t, w.AddToGroup(t.Context(), sender, key, "", tokens[20:]), ccs.ErrTooManyMembers, "all or none")
	require.NoError(t, w.RemoveFromGroup(t.Context(), sender, key, "", tokens[20:]), "a stranger")
	require.NoError(t, w.RemoveFromGroup(t.Context(), sender, key, "", tokens[1:]))
	res := w.send(toGroup("m-1", key))
	require.Nil(t, res.Refusal)
	assert.Equal(t, &ccs.GroupResult{Success: 1}, res.Group)
	require.NoError(t, w.RemoveFromGroup(t.Context(), sender, key, "", tokens[:1]))
	assert.Equal(t, ccs.Unregistered, refused(t, w.send(toGroup("m-2", key))).Reason)
	require.ErrorIs(t, w.RemoveFromGroup(t.Context(), sender, key, "", tokens[:1]), ccs.ErrGroupNotFound)
	w.createGroup("user-7", tokens[1])
}

func TestAMessageToAGroupIsCopiedToEachMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	tokens := w.members(3)
	key := w.createGroup("user-7", tokens...)
	m := toGroup("m-1", key)
	m.RestrictedPackage = app
	for range 2 { // the second is a repeat
		res := w.send(m)
		require.Nil(t, res.Refusal)
		assert.Equal(t, &ccs.GroupResult{Success: 3}, res.Group)
	}
	for i := range tokens {
		_, messages := w.queued(ccs.DeviceID(1000 + i))
		require.Len(t, messages, 1)
		assert.Equal(t, []any{string(sender), app, "m-1"}, []any{messages[0].From, messages[0].App, messages[0].ID})
	}
	m = toGroup("m-2", key)
	m.RestrictedPackage = "other"
	res := w.send(m)
	assert.Equal(t, ccs.InvalidPackage, refused(t, res).Reason)
	assert.ElementsMatch(t, tokens, res.Group.Failed)
	m = toGroup("m-3", key)
	m.DryRun = true
	assert.Equal(t, &ccs.GroupResult{Success: 3}, w.send(m).Group)
	_, messages := w.queued(1000)
	assert.Len(t, messages, 1)
	assert.Equal(t, ccs.WrongSender, w.Send(t.Context(), ccs.Source{Sender: other}, []ccs.Downstream{{To: tokens[0], TTL: time.Minute}}, nil)[0].Refusal.Reason)
	assert.Equal(t, ccs.WrongSender, w.Send(t.Context(), ccs.Source{Sender: other}, []ccs.Downstream{toGroup("m", key)}, nil)[0].Refusal.Reason)
}

func TestMembersFollowTheirTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	tokens := w.members(2)
	key := w.createGroup("user-7", tokens...)
	newer, err := w.Register(t.Context(), store.Registration{Device: 1000, App: app, Senders: []string{string(sender), string(other)}})
	require.NoError(t, err)
	require.NotEqual(t, tokens[0], newer.Token)
	require.NoError(t, w.Unregister(t.Context(), store.Registration{Device: 1001, App: app}))
	res := w.send(toGroup("m-1", key))
	require.Nil(t, res.Refusal)
	assert.Equal(t, &ccs.GroupResult{Success: 1}, res.Group)
	assert.Empty(t, res.Canonical)
	require.NoError(t, w.Unregister(t.Context(), store.Registration{Device: 1000, App: app}))
	assert.Equal(t, ccs.Unregistered, refused(t, w.send(toGroup("m-2", key))).Reason)
	_, err = w.GroupKey(t.Context(), sender, "user-7")
	require.ErrorIs(t, err, ccs.ErrGroupNotFound)
	w.createGroup("user-7", w.token)
}

func TestAReceiptComesFromEachMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	tokens := w.members(2)
	m := toGroup("m-1", w.createGroup("user-7", tokens...))
	m.ReceiptRequested = true
	require.Nil(t, w.send(m).Refusal)
	var owed []string
	for i := range tokens {
		_, messages := w.queued(ccs.DeviceID(1000 + i))
		owed = append(owed, messages[0].ReceiptFor)
	}
	assert.Equal(t, tokens, owed)
}

func TestAMemberSendsToTheOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	tokens := w.members(3)
	key := w.createGroup("user-7", tokens...)
	up := ccs.Upstream{To: key + "@gcm.googleapis.com", Category: app, ID: "u-1", PersistentID: "p-1", Data: payload.Data{}.Append("k", "v")}
	for range 2 { // a repeat makes no second copy
		require.NoError(t, w.SendUpstream(t.Context(), 1000, []ccs.Upstream{up}))
	}
	for i, want := range []int{0, 1, 1} {
		_, messages := w.queued(ccs.DeviceID(1000 + i))
		require.Len(t, messages, want, fmt.Sprint(i))
		for _, m := range messages {
			assert.Equal(t, []any{ccs.DataMessage, key, app}, []any{m.Kind, m.From, m.App})
			assert.Equal(t, payload.Data{}.Append("k", "v").Append("google.message_id", "u-1"), m.Data)
		}
	}
	up.ID, up.PersistentID = "u-2", "p-2"
	require.NoError(t, w.SendUpstream(t.Context(), device, []ccs.Upstream{up}))
	_, messages := w.queued(device)
	require.Len(t, messages, 1, "who is no member gets a send_error")
	assert.Equal(t, []any{ccs.SendError, ccs.UnknownSender}, []any{messages[0].Kind, messages[0].Reason})
}

func TestNoTokenIsAGroupKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	assert.False(t, slices.ContainsFunc(w.members(10), ccs.IsGroupKey))
}
