package admin_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/store"
)

// CCS 7.3: the operator lists the extension IDs of a project.
func TestAppsComeAndGo(t *testing.T) {
	bothWays(t, func(t *testing.T, w world) {
		ctx := t.Context()
		for _, s := range []string{"1", "2"} {
			_, err := w.Create(ctx, "", s)
			require.NoError(t, err)
		}
		list, err := w.ListApps(ctx, "1")
		require.NoError(t, err)
		assert.Equal(t, []admin.App{}, list, "JSON shows [], not null")
		require.NoError(t, w.AddApp(ctx, "1", "bbbb"))
		require.NoError(t, w.AddApp(ctx, "1", "aaaa"))
		list, err = w.ListApps(ctx, "1")
		require.NoError(t, err)
		assert.Equal(t, []admin.App{{ID: "aaaa", SenderID: "1", Created: created}, {ID: "bbbb", SenderID: "1", Created: created}}, list)

		require.ErrorIs(t, w.AddApp(ctx, "2", "aaaa"), store.ErrExists)
		require.ErrorIs(t, w.AddApp(ctx, "404", "cccc"), store.ErrNotFound)
		for _, bad := range []string{"", "AAAA", "a/b", "é", strings.Repeat("a", 65)} {
			require.ErrorIs(t, w.AddApp(ctx, "1", bad), admin.ErrInvalid)
			require.ErrorIs(t, w.RemoveApp(ctx, "1", bad), store.ErrNotFound)
		}
		require.ErrorIs(t, w.RemoveApp(ctx, "2", "aaaa"), store.ErrNotFound)
		require.NoError(t, w.RemoveApp(ctx, "1", "aaaa"))
		require.NoError(t, w.AddApp(ctx, "2", "aaaa"))
	})
}
