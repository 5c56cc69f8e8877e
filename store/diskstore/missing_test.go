package diskstore_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// pick returns the last file with a prefix and suffix.
func pick(t *testing.T, all map[string][]byte, prefix, suffix string) string {
	t.Helper()
	found := ""
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix) {
			found = name
		}
	}
	require.NotEmpty(t, found, "%s*%s", prefix, suffix)
	return found
}

// current returns the name of the manifest in use.
func current(t *testing.T, all map[string][]byte) string {
	marker := pick(t, all, "marker.manifest.", "")
	return marker[strings.LastIndex(marker, ".")+1:]
}

func same(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }

func TestMissingFiles(t *testing.T) {
	crashed, closed := fillStore(t)
	for _, test := range []struct {
		name   string
		change func(t *testing.T, all map[string][]byte) (named string)
	}{
		{"the marker of the manifest is missing", func(t *testing.T, all map[string][]byte) string {
			delete(all, pick(t, all, "marker.manifest.", ""))
			return "marker.manifest"
		}},
		{"the marker of the format is missing", func(t *testing.T, all map[string][]byte) string {
			delete(all, pick(t, all, "marker.format-version.", ""))
			return "marker.format-version"
		}},
		{"the manifest is missing", func(t *testing.T, all map[string][]byte) string {
			name := current(t, all)
			delete(all, name)
			return name
		}},
		{"the manifest is empty", func(t *testing.T, all map[string][]byte) string {
			name := current(t, all)
			all[name] = nil
			return name
		}},
		{"the manifest has lost its end", func(t *testing.T, all map[string][]byte) string {
			name := current(t, all)
			all[name] = all[name][:len(all[name])/2]
			return name
		}},
		{"an older manifest is marked", func(t *testing.T, all map[string][]byte) string {
			name, marker := current(t, all), pick(t, all, "marker.manifest.", "")
			delete(all, marker)
			all[strings.TrimSuffix(marker, name)+"MANIFEST-000001"] = nil
			all["MANIFEST-000001"] = all[name]
			return "MANIFEST-000001"
		}},
		{"a table is missing", func(t *testing.T, all map[string][]byte) string {
			name := pick(t, all, "", ".sst")
			delete(all, name)
			return name
		}},
		{"a table has lost its end", func(t *testing.T, all map[string][]byte) string {
			name := pick(t, all, "", ".sst")
			all[name] = all[name][:len(all[name])-1]
			return name
		}},
		{"a log is missing", func(t *testing.T, all map[string][]byte) string {
			name := pick(t, all, "", ".log")
			delete(all, name)
			return name
		}},
		{"everything of the engine is missing", func(t *testing.T, all map[string][]byte) string {
			maps.DeleteFunc(all, func(name string, _ []byte) bool { return name != "INVENTORY" })
			return "INVENTORY"
		}},
		{"only tables are left", func(t *testing.T, all map[string][]byte) string {
			maps.DeleteFunc(all, func(name string, _ []byte) bool { return !strings.HasSuffix(name, ".sst") })
			return pick(t, all, "", ".sst")
		}},
	} {
		t.Run(test.name+": refused and left as it is", func(t *testing.T) {
			for _, state := range []vfs.FS{crashed, closed} {
				all := files(t, state)
				named := test.change(t, all)
				fs := with(t, all)
				_, err := diskstore.Open(memDir, diskstore.Options{}.WithFS(fs))
				require.ErrorContains(t, err, named)
				assert.ErrorContains(t, err, "restore a copy")
				assert.True(t, same(all, files(t, fs)))
			}
		})
	}
	t.Run("a store without an inventory opens if it is whole, and gets one", func(t *testing.T) {
		all := files(t, crashed)
		delete(all, "INVENTORY")
		delete(all, "INVENTORY.manifest")
		fs := with(t, all)
		s, err := diskstore.Open(memDir, diskstore.Options{}.WithFS(fs))
		require.NoError(t, err)
		require.NoError(t, complete(t, s))
		assert.Contains(t, files(t, fs), "INVENTORY")
		require.NoError(t, s.Close())
		all[pick(t, all, "", ".sst")] = nil
		_, err = diskstore.Open(memDir, diskstore.Options{}.WithFS(with(t, all)))
		require.ErrorContains(t, err, ".sst")
	})
	t.Run("a closed log that has lost its last record is refused", func(t *testing.T) {
		all := files(t, closed)
		name := pick(t, all, "", ".log")
		all[name] = all[name][:diskstore.RecordEnds(all[name], name)[10]]
		_, err := diskstore.Open(memDir, diskstore.Options{}.WithFS(with(t, all)))
		require.ErrorContains(t, err, name)
	})
}

// TestTornLog cuts the log at every byte of its last records. All messages acknowledged before
// must be there.
func TestTornLog(t *testing.T) {
	const messages, torn = 30, 1
	dir := t.TempDir()
	s, err := diskstore.Open(dir, diskstore.Options{})
	require.NoError(t, err)
	for n := range messages {
		_, err := s.Put(t.Context(), []store.Entry{entry(device(1), fmt.Sprint(n))}, start)
		require.NoError(t, err)
	}
	whole := files(t, inMemory(t, vfs.Default, dir))
	require.NoError(t, s.Close())
	name := pick(t, whole, "", ".log")
	ends := diskstore.RecordEnds(whole[name], name)
	ends = ends[len(ends)-messages:] // the records with messages
	check := func(t *testing.T, fs vfs.FS, want int) {
		s, err := diskstore.Open(memDir, diskstore.Options{}.WithFS(fs))
		require.NoError(t, err)
		entries, err := s.Claim(t.Context(), device(1), 1, messages, start)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(entries), want)
		for n, e := range entries {
			require.Equal(t, fmt.Sprint(n), string(e.Body))
		}
		// Crash again before anything is written.
		again := with(t, files(t, fs))
		s2, err := diskstore.Open(memDir, diskstore.Options{}.WithFS(again))
		require.NoError(t, err)
		require.NoError(t, s2.Close())
		require.NoError(t, s.Close())
	}
	for _, rest := range []struct {
		name string
		fill func(b []byte) []byte
	}{
		{"and nothing follows", func(b []byte) []byte { return nil }},
		{"and zeros follow", func(b []byte) []byte { return make([]byte, len(b)) }},
		{"and an older log follows", func(b []byte) []byte {
			old := make([]byte, 4096)
			for i := range old {
				old[i] = byte(i * i >> 3)
			}
			return old
		}},
	} {
		t.Run("the log is cut "+rest.name, func(t *testing.T) {
			for cut := ends[messages-torn-1]; cut < ends[messages-1]; cut++ {
				all := maps.Clone(whole)
				all[name] = append(slices.Clone(whole[name][:cut]), rest.fill(whole[name][cut:])...)
				want := 0
				for _, end := range ends {
					if end <= cut {
						want++
					}
				}
				check(t, with(t, all), want)
			}
		})
	}
	t.Run("the log is cut in its first record", func(t *testing.T) {
		for cut := 0; cut < ends[0]; cut += 5 {
			all := maps.Clone(whole)
			all[name] = whole[name][:cut]
			delete(all, "INVENTORY") // which was written after the first records were on disk
			check(t, with(t, all), 0)
		}
	})
	t.Run("the log is cut before the inventory was written", func(t *testing.T) {
		all := maps.Clone(whole)
		all[name] = whole[name][:20]
		fs := with(t, all)
		_, err := diskstore.Open(memDir, diskstore.Options{}.WithFS(fs))
		require.ErrorContains(t, err, name)
		require.True(t, same(all, files(t, fs)))
	})
}

// TestZeroedLog zeroes sectors of a log whose last batch was followed by a pause.
func TestZeroedLog(t *testing.T) {
	crashed, _ := fillStore(t)
	whole := files(t, crashed)
	name := pick(t, whole, "", ".log")
	ends := diskstore.RecordEnds(whole[name], name)
	const sector = 512
	step := len(whole[name]) / sector / 40
	for at := 0; at < ends[len(ends)-2]; at += step * sector {
		all := maps.Clone(whole)
		all[name] = slices.Clone(whole[name])
		clear(all[name][at:min(at+sector, len(all[name]))])
		fs := with(t, all)
		_, err := diskstore.Open(memDir, diskstore.Options{}.WithFS(fs))
		require.ErrorContains(t, err, name, "offset %d", at)
		require.True(t, same(all, files(t, fs)))
	}
}
