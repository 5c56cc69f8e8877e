package storetest

import (
	"context"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

// classic returns a registration by sender IDs, and instanceID one by authorised entity and scope.
func classic(token string, senders ...string) store.Registration {
	return store.Registration{Token: token, Device: device.ID, App: "com.example.app", Senders: senders, Created: start}
}

func instanceID(token, sender, scope string) store.Registration {
	r := classic(token, sender)
	r.InstanceID, r.Scope = "dXNlci1pZA", scope
	return r
}

func (f fixture) register(r store.Registration) *store.Registration {
	f.Helper()
	kept, err := f.Register(context.Background(), r, start)
	require.NoError(f, err)
	return kept
}

func (f fixture) lookUp(tokens ...string) []*store.Registration {
	f.Helper()
	all, err := f.Registrations(context.Background(), nil, tokens)
	require.NoError(f, err)
	require.Len(f, all, len(tokens))
	return all
}

func (f fixture) unregister(tokens ...string) {
	f.Helper()
	require.NoError(f, f.Unregister(context.Background(), start.Add(time.Hour), tokens...))
}

// tokens lists the tokens of the device.
func (f fixture) tokens() (tokens []string) {
	f.Helper()
	all, err := f.DeviceRegistrations(context.Background(), device.ID)
	require.NoError(f, err)
	for _, r := range all {
		tokens = append(tokens, r.Token)
	}
	slices.Sort(tokens)
	return tokens
}

var registrationCases = []testCase{
	{"a registration comes back as it was", func(f fixture) {
		r := instanceID("t", "1234", "GCM")
		r.Subtype = "sub"
		got := f.register(r)
		assert.Equal(f, "t", got.Token)
		found := f.lookUp("t")[0]
		require.NotNil(f, found)
		assert.Equal(f, "com.example.app\x00sub", found.Instance())
		app, subtype := store.CutInstance(found.Instance())
		assert.Equal(f, []string{"com.example.app", "sub"}, []string{app, subtype})
		assert.Equal(f, []any{r.Device, r.App, r.Subtype, r.Senders, r.Scope, r.InstanceID},
			[]any{found.Device, found.App, found.Subtype, found.Senders, found.Scope, found.InstanceID})
		assert.True(f, start.Equal(found.Created))
		assert.Empty(f, found.Canonical)
		assert.True(f, found.Superseded.IsZero())
		assert.True(f, found.Unregistered.IsZero())
	}},
	{"lookups answer in order, nil for an unknown token, behind what is there", func(f fixture) {
		f.register(classic("a", "1"))
		other := classic("b", "1")
		other.App = "other"
		f.register(other)
		first := &store.Registration{}
		all, err := f.Registrations(context.Background(), []*store.Registration{first}, []string{"b", "?", "a", "b"})
		require.NoError(f, err)
		require.Len(f, all, 5)
		assert.Same(f, first, all[0])
		assert.Equal(f, "b", all[1].Token)
		assert.Nil(f, all[2])
		assert.Equal(f, "a", all[3].Token)
		assert.Equal(f, "b", all[4].Token)
	}},
	{"an unknown token stays unknown only until it is registered", func(f fixture) {
		assert.Nil(f, f.lookUp("t")[0])
		f.register(classic("t", "1"))
		assert.NotNil(f, f.lookUp("t")[0])
	}},
	{"registering the same again returns the first token", func(f fixture) {
		f.register(classic("first", "1", "2"))
		assert.Equal(f, "first", f.register(classic("second", "1", "2")).Token)
		assert.Nil(f, f.lookUp("second")[0])
	}},
	{"other senders make a new token, and the old one points to it", func(f fixture) {
		f.register(classic("old", "1"))
		kept, err := f.Register(context.Background(), classic("new", "1", "2"), start.Add(time.Minute))
		require.NoError(f, err)
		assert.Equal(f, "new", kept.Token)
		assert.Empty(f, kept.Canonical)
		old := f.lookUp("old")[0]
		assert.Equal(f, "new", old.Canonical)
		assert.True(f, start.Add(time.Minute).Equal(old.Superseded))
		assert.True(f, old.Unregistered.IsZero())
		assert.Equal(f, []string{"1"}, old.Senders)
	}},
	{"every old token points to the newest", func(f fixture) {
		f.register(classic("1st", "1"))
		f.register(classic("2nd", "1", "2"))
		f.register(classic("3rd", "3"))
		all := f.lookUp("1st", "2nd", "3rd")
		assert.Equal(f, "3rd", all[0].Canonical)
		assert.Equal(f, "3rd", all[1].Canonical)
		assert.Empty(f, all[2].Canonical)
	}},
	{"a record that was handed out does not change", func(f fixture) {
		old := f.register(classic("old", "1"))
		f.register(classic("new", "2"))
		assert.Empty(f, old.Canonical)
		f.unregister("old")
		assert.True(f, old.Unregistered.IsZero())
	}},
	{"a record shares nothing with what was registered", func(f fixture) {
		r := classic("t", "1")
		f.register(r)
		r.Senders[0] = "changed"
		assert.Equal(f, []string{"1"}, f.lookUp("t")[0].Senders)
	}},
	{"another app, subtype or device supersedes nothing", func(f fixture) {
		f.register(classic("a", "1"))
		for _, change := range []func(*store.Registration){
			func(r *store.Registration) { r.Token, r.App = "b", "other" },
			func(r *store.Registration) { r.Token, r.Subtype = "c", "sub" },
			func(r *store.Registration) { r.Token, r.Device = "d", another.ID },
		} {
			r := classic("", "2")
			change(&r)
			f.register(r)
		}
		assert.Empty(f, f.lookUp("a")[0].Canonical)
	}},
	{"Instance ID tokens of different senders and scopes live side by side", func(f fixture) {
		f.register(classic("classic", "1"))
		f.register(instanceID("a", "1", "GCM"))
		f.register(instanceID("b", "2", "GCM"))
		f.register(instanceID("c", "2", "FCM"))
		for _, r := range f.lookUp("classic", "a", "b", "c") {
			assert.Empty(f, r.Canonical, r.Token)
		}
		assert.Equal(f, "b", f.register(instanceID("again", "2", "GCM")).Token)
	}},
	{"a new Instance ID supersedes the token of its slot", func(f fixture) {
		f.register(instanceID("old", "1", "GCM"))
		r := instanceID("new", "1", "GCM")
		r.InstanceID = "bmV3"
		assert.Equal(f, "new", f.register(r).Token)
		assert.Equal(f, "new", f.lookUp("old")[0].Canonical)
	}},
	{"a token that stands for something else is not taken over", func(f fixture) {
		f.register(classic("t", "1"))
		r := classic("t", "1")
		r.App = "other"
		_, err := f.Register(context.Background(), r, start)
		require.ErrorIs(f, err, store.ErrExists)
		assert.Equal(f, "com.example.app", f.lookUp("t")[0].App)
	}},
	{"an unregistered token is marked, once", func(f fixture) {
		f.register(classic("t", "1"))
		f.unregister("?", "t")
		got := f.lookUp("t")[0]
		require.NotNil(f, got)
		assert.True(f, start.Add(time.Hour).Equal(got.Unregistered))
		require.NoError(f, f.Unregister(context.Background(), start.Add(day), "t"))
		assert.True(f, start.Add(time.Hour).Equal(f.lookUp("t")[0].Unregistered))
	}},
	{"registering after unregistering makes a new token, and the old one stays dead", func(f fixture) {
		f.register(classic("old", "1"))
		f.unregister("old")
		assert.Equal(f, "new", f.register(classic("new", "1")).Token)
		all := f.lookUp("old", "new")
		assert.False(f, all[0].Unregistered.IsZero())
		assert.Empty(f, all[0].Canonical)
		assert.True(f, all[1].Unregistered.IsZero())
		assert.Equal(f, "new", f.register(classic("newer", "1")).Token)
	}},
	{"unregistering an old token leaves the newest alive", func(f fixture) {
		f.register(classic("old", "1"))
		f.register(classic("new", "2"))
		f.unregister("old")
		assert.Equal(f, "new", f.register(classic("newer", "2")).Token)
	}},
	{"what is superseded or unregistered can be forgotten, and nothing else", func(f fixture) {
		forgetter, ok := f.Store.(store.Forgetter)
		if !ok {
			f.Skip("the store forgets no registration")
		}
		f.register(classic("1st", "1"))
		f.register(classic("2nd", "1", "2"))
		f.register(classic("newest", "3"))
		f.register(instanceID("gone", "1", "GCM"))
		f.register(instanceID("alive", "2", "GCM"))
		f.unregister("gone")
		// Puts them into any cache.
		f.lookUp("1st", "2nd", "newest", "gone", "alive")
		require.NoError(f, forgetter.ForgetRegistrations(context.Background(), "1st", "gone", "newest", "alive", "?"))
		require.NoError(f, forgetter.ForgetRegistrations(context.Background()))
		all := f.lookUp("1st", "gone", "2nd", "newest", "alive")
		assert.Nil(f, all[0])
		assert.Nil(f, all[1])
		require.NotNil(f, all[2])
		assert.Equal(f, "newest", all[2].Canonical)
		assert.Equal(f, []string{"2nd", "alive", "newest"}, f.tokens())
		assert.Equal(f, "newest", f.register(classic("again", "3")).Token, "the slot is as it was")
		require.NoError(f, forgetter.ForgetRegistrations(context.Background(), "2nd"))
		assert.Equal(f, []string{"alive", "newest"}, f.tokens())
		f.register(classic("1st", "4")) // a forgotten token is free
		assert.Equal(f, "1st", f.lookUp("newest")[0].Canonical)
	}},
	{"a device lists all its registrations and no other's", func(f fixture) {
		f.register(classic("a", "1"))
		f.register(classic("b", "2"))
		f.register(instanceID("c", "2", "GCM"))
		r := classic("x", "1")
		r.Device = another.ID
		f.register(r)
		f.unregister("b")
		all, err := f.DeviceRegistrations(context.Background(), device.ID)
		require.NoError(f, err)
		tokens := map[string]bool{}
		for _, r := range all {
			tokens[r.Token] = r.Unregistered.IsZero()
		}
		assert.Equal(f, map[string]bool{"a": true, "b": false, "c": true}, tokens)
		none, err := f.DeviceRegistrations(context.Background(), 1)
		require.NoError(f, err)
		assert.Empty(f, none)
	}},
}
