package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

func TestGroupKey(t *testing.T) {
	for _, id := range []store.GroupID{
		store.GroupIDOf("1", "user-7"), store.GroupIDOf("999999999999999999", "Ünal"), store.GroupIDOf("126200347933", strings.Repeat("n", 900)),
	} {
		key, err := store.NewGroupKey(id)
		require.NoError(t, err)
		assert.Regexp(t, "^APA91b[A-Za-z0-9_-]{134}$", key)
		assert.True(t, store.IsGroupKey(key))
		assert.NotContains(t, key, "Error")
		parsed, ok := store.ParseGroupKey(key)
		assert.True(t, ok)
		assert.Equal(t, id, parsed)
		other, err := store.NewGroupKey(id)
		require.NoError(t, err)
		assert.NotEqual(t, key, other)
		for _, bad := range []string{key[1:], key[:139], key + "a", strings.Replace(key, "-", "-z", 1)[:140]} {
			_, ok := store.ParseGroupKey(bad)
			assert.False(t, ok, bad)
		}
		text, err := store.ParseGroupID(id.String())
		require.NoError(t, err)
		assert.Equal(t, id, text)
	}
	_, err := store.NewGroupKey(store.GroupID{Sender: "x"})
	require.Error(t, err)
	for _, bad := range []string{"", "1", "1/", "1/zz", "1/00"} {
		_, err := store.ParseGroupID(bad)
		assert.Error(t, err, bad)
	}
}
