package store_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
)

func TestKeysAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for want, k := range map[string]store.Key{
		"d:4611686018427387904":  {Kind: store.KindDevice, ID: 4611686018427387904},
		"s:126200347933":         {Kind: store.KindSender, ID: 126200347933},
		"r:18446744073709551615": {Kind: store.KindReceipts, ID: 1<<64 - 1},
	} {
		assert.Equal(t, want, k.String())
		got, err := store.ParseKey(want)
		require.NoError(t, err)
		assert.Equal(t, k, got)
	}
	for _, bad := range []string{"", "d", "d:", "d:-1", "x:1", "?:1", "ds:1", ":1", "d:1 ", "d:18446744073709551616"} {
		_, err := store.ParseKey(bad)
		assert.Error(t, err, bad)
	}
	assert.Equal(t, "?:1", store.Key{Kind: 9, ID: 1}.String())
}
