package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

func registration(token string, senders ...string) *store.Registration {
	return &store.Registration{Token: token, Device: 42, App: "com.example.app", Senders: senders}
}

func TestRegister(t *testing.T) {
	now := time.UnixMilli(1_400_000_000_000)
	oldest, old, gone, other := registration("oldest", "1"), registration("old", "2"), registration("gone", "1"), registration("other", "1")
	oldest = oldest.SupersededBy("old", now.Add(-time.Hour))
	gone.Unregistered = now.Add(-time.Hour)
	other.App = "com.example.other"
	all := []*store.Registration{oldest, old, gone, other}

	t.Run("a registration that is the same is kept", func(t *testing.T) {
		kept, changed, err := store.Register(all, registration("new", "2"), now)
		require.NoError(t, err)
		assert.Same(t, old, kept)
		assert.Empty(t, changed)
	})
	t.Run("a new one supersedes those of its slot that have not gone", func(t *testing.T) {
		fresh := registration("new", "3")
		kept, changed, err := store.Register(all, fresh, now)
		require.NoError(t, err)
		assert.Same(t, fresh, kept)
		require.Len(t, changed, 3)
		assert.Equal(t, []string{"oldest", "old", "new"}, []string{changed[0].Token, changed[1].Token, changed[2].Token})
		assert.Equal(t, []string{"new", "new", ""}, []string{changed[0].Canonical, changed[1].Canonical, changed[2].Canonical})
		assert.Equal(t, now.Add(-time.Hour), changed[0].Superseded, "it was superseded before")
		assert.Equal(t, now, changed[1].Superseded)
		assert.Empty(t, old.Canonical, "a record does not change")
	})
	t.Run("a superseded one is not kept, though it is the same", func(t *testing.T) {
		kept, _, err := store.Register(all, registration("new", "1"), now)
		require.NoError(t, err)
		assert.Equal(t, "new", kept.Token)
	})
	t.Run("a token is given out once", func(t *testing.T) {
		_, _, err := store.Register(all, registration("gone", "3"), now)
		assert.ErrorIs(t, err, store.ErrExists)
	})
}

func TestUnregister(t *testing.T) {
	now := time.UnixMilli(1_400_000_000_000)
	a, b := registration("a", "1"), registration("b", "2")
	b.Unregistered = now.Add(-time.Hour)
	changed := store.Unregister([]*store.Registration{a, b, nil}, now, "a", "b", "unknown")
	require.Len(t, changed, 1)
	assert.Equal(t, "a", changed[0].Token)
	assert.Equal(t, now, changed[0].Unregistered)
	assert.True(t, a.Unregistered.IsZero(), "a record does not change")
}

func TestForgettable(t *testing.T) {
	living, superseded, gone := registration("a", "1"), registration("b", "1"), registration("c", "1")
	superseded.Canonical, gone.Unregistered = "a", time.UnixMilli(1)
	assert.Equal(t, []*store.Registration{superseded, gone}, store.Forgettable([]*store.Registration{living, nil, superseded, gone}))
}
