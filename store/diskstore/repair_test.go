package diskstore_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store/diskstore"
)

func agree(diskstore.Repaired) (bool, error) { return true, nil }

// TestRepair damages a file, repairs the store, and checks the remaining data.
func TestRepair(t *testing.T) {
	crashed, _ := fillStore(t)
	flipAt := func(name string, at float64, all map[string][]byte) string {
		b := slices.Clone(all[name])
		b[int(float64(len(b))*at)] ^= 4
		all[name] = b
		return name
	}
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, all map[string][]byte) (named string)
		lost   int // upper bound of the lost messages
	}{
		{"a bit of a table", func(t *testing.T, all map[string][]byte) string {
			return flipAt(pick(t, all, "", ".sst"), 0.5, all)
		}, 600},
		{"a bit of a log", func(t *testing.T, all map[string][]byte) string {
			return flipAt(pick(t, all, "", ".log"), 0.5, all)
		}, damageBatch},
		{"a bit of the manifest", func(t *testing.T, all map[string][]byte) string {
			return flipAt(current(t, all), 0.5, all)
		}, 0},
		{"the manifest", func(t *testing.T, all map[string][]byte) string {
			name := current(t, all)
			delete(all, name)
			return name
		}, 0},
		{"the marker of the manifest", func(t *testing.T, all map[string][]byte) string {
			delete(all, pick(t, all, "marker.manifest", ""))
			return "marker.manifest"
		}, 0},
		{"the marker of the format", func(t *testing.T, all map[string][]byte) string {
			delete(all, pick(t, all, "marker.format-version", ""))
			return "marker.format-version"
		}, 0},
		{"a bit of the inventory", func(t *testing.T, all map[string][]byte) string {
			return flipAt("INVENTORY", 0.5, all)
		}, 0},
		{"a table", func(t *testing.T, all map[string][]byte) string {
			name := pick(t, all, "", ".sst")
			delete(all, name)
			return name
		}, damageMessages / 2},
		{"a log", func(t *testing.T, all map[string][]byte) string {
			name := pick(t, all, "", ".log")
			delete(all, name)
			return name
		}, damageMessages / 2},
		{"the manifest and its copy", func(t *testing.T, all map[string][]byte) string {
			flipAt("INVENTORY.manifest", 0.9, all)
			return flipAt(current(t, all), 0.9, all)
		}, damageMessages / 2},
	} {
		t.Run("damage to "+test.name, func(t *testing.T) {
			all := files(t, crashed)
			named := test.damage(t, all)
			fs := with(t, all)
			o := diskstore.Options{}.WithFS(fs)

			report, err := diskstore.Verify(t.Context(), memDir, o)
			require.NoError(t, err)
			require.NotEmpty(t, report.Damages)
			assert.Contains(t, report.Damages[0].String(), named)

			_, err = diskstore.Repair(t.Context(), memDir, o, func(diskstore.Repaired) (bool, error) { return false, nil })
			require.ErrorIs(t, err, diskstore.ErrDeclined)
			require.True(t, same(all, files(t, fs)), "nothing is changed without consent")

			done, err := diskstore.Repair(t.Context(), memDir, o, agree)
			require.NoError(t, err)
			t.Log(done.Lost)
			report, err = diskstore.Verify(t.Context(), memDir, o)
			require.NoError(t, err)
			require.Empty(t, report.Damages, "repaired")
			if b, ok := all[named]; ok {
				kept, err := fs.Open(fs.PathJoin(done.Aside, named))
				require.NoError(t, err, "the damaged file is kept")
				info, err := kept.Stat()
				require.NoError(t, err)
				assert.Equal(t, int64(len(b)), info.Size())
				require.NoError(t, kept.Close())
			}
			s, err := diskstore.Open(memDir, o)
			require.NoError(t, err)
			left := len(found(t, s))
			assert.GreaterOrEqual(t, left, damageMessages-test.lost)
			if left < damageMessages {
				assert.NotEmpty(t, done.Lost)
			}
			t.Logf("%d of %d messages are left", left, damageMessages)
			require.NoError(t, s.Close())
			s, err = diskstore.Open(memDir, o)
			require.NoError(t, err)
			require.NoError(t, s.Close())
		})
	}
	t.Run("a whole store is left as it is", func(t *testing.T) {
		all := maps.Clone(files(t, crashed))
		fs := with(t, all)
		done, err := diskstore.Repair(t.Context(), memDir, diskstore.Options{}.WithFS(fs), agree)
		require.NoError(t, err)
		assert.Empty(t, done.Damages)
		assert.True(t, same(all, files(t, fs)))
	})
}
