package diskstore_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// notedSize returns the size of the newest log in the inventory.
func notedSize(t *testing.T, dir string) int {
	b, err := os.ReadFile(filepath.Join(dir, "INVENTORY"))
	require.NoError(t, err)
	body, _, _ := bytes.Cut(b, []byte("\n"))
	var inv struct {
		Logs []struct{ Size int }
	}
	require.NoError(t, json.Unmarshal(body, &inv))
	require.NotEmpty(t, inv.Logs)
	return inv.Logs[len(inv.Logs)-1].Size
}

// The end of the newest log has no later record that says that it was on disk, so a crash may have
// cut it short. After writing has paused, the inventory says how long it must be.
func TestTheEndOfTheLogIsMissing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := diskstore.Open(dir, diskstore.Options{})
	require.NoError(t, err)
	defer s.Close()
	for round := range 2 { // the second is noted after the first
		var batch []store.Entry
		for i := range 40 {
			batch = append(batch, entry(device(1), fmt.Sprintf("message %d %s", i, strings.Repeat("x", 100))))
		}
		_, err = s.Put(t.Context(), batch, start)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return notedSize(t, dir) > (round+1)*40*100 }, 20*time.Second, 20*time.Millisecond)
	}
	whole := files(t, inMemory(t, vfs.Default, dir))
	name := pick(t, whole, "", ".log")
	ends := diskstore.RecordEnds(whole[name], name)
	size := ends[len(ends)-1]
	opens := func(b []byte) error {
		all := maps.Clone(whole)
		all[name] = b
		fs := with(t, all)
		s, err := diskstore.Open(memDir, diskstore.Options{}.WithFS(fs))
		if err == nil {
			return s.Close()
		}
		assert.True(t, same(all, files(t, fs)), "the refused store was changed")
		return err
	}
	require.NoError(t, opens(whole[name]))
	for _, cut := range []int{size / 10, size / 2, size * 9 / 10, size - 100} {
		assert.ErrorContains(t, opens(whole[name][:cut]), name, "cut to %d of %d bytes", cut, size)
		zeroed := slices.Clone(whole[name])
		clear(zeroed[cut:])
		assert.ErrorContains(t, opens(zeroed), name, "zeros from %d of %d bytes", cut, size)
	}
}

// A first start that is killed leaves a manifest and no log.
func TestAStoreWithoutALogOpens(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := diskstore.Open(dir, diskstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	for name := range files(t, inMemory(t, vfs.Default, dir)) {
		if strings.HasPrefix(name, "INVENTORY") || strings.HasPrefix(name, "OPTIONS") || strings.HasSuffix(name, ".log") {
			require.NoError(t, os.Remove(filepath.Join(dir, name)))
		}
	}
	s, err = diskstore.Open(dir, diskstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}
