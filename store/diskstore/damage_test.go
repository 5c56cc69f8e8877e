package diskstore_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// flipStep is an environment variable. It makes the test flip every bit that is a multiple of it.
// By default the test flips a sample.
const flipStep = "OPENCCS_TEST_FLIP_STEP"

const (
	damageMessages = 10_000
	damageQueues   = 50
	damageBatch    = 40
)

// fillStore makes a store with damageMessages acknowledged messages in tables and in a log. It
// returns two copies of its files: as a crash leaves them, some time after the last message was
// acknowledged, and as Close leaves them.
func fillStore(t *testing.T) (crashed, closed vfs.FS) {
	dir := filepath.Join(t.TempDir(), "store")
	o := diskstore.Options{MemTableBytes: 1 << 20}
	n := 0
	for round := range 2 {
		s, err := diskstore.Open(dir, o)
		require.NoError(t, err)
		for ; n < (round+1)*damageMessages/2; n += damageBatch {
			batch := make([]store.Entry, damageBatch)
			for i := range batch {
				batch[i] = entry(device((n+i)%damageQueues), fmt.Sprintf("message %d %s", n+i, strings.Repeat("x", (n+i)%97)))
			}
			_, err := s.Put(t.Context(), batch, start)
			require.NoError(t, err)
		}
		if round == 1 {
			time.Sleep(3 * diskstore.SealAfter)
			crashed = inMemory(t, vfs.Default, dir)
		}
		require.NoError(t, s.Close())
	}
	return crashed, inMemory(t, vfs.Default, dir)
}

const memDir = "/store"

func inMemory(t *testing.T, from vfs.FS, dir string) vfs.FS {
	mem := vfs.NewMem()
	_, err := vfs.Clone(from, mem, dir, memDir)
	require.NoError(t, err)
	return mem
}

// files reads all files of a store.
func files(t *testing.T, fs vfs.FS) map[string][]byte {
	names, err := fs.List(memDir)
	require.NoError(t, err)
	all := map[string][]byte{}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		f, err := fs.Open(fs.PathJoin(memDir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // the engine has just removed it
		}
		require.NoError(t, err)
		info, err := f.Stat()
		require.NoError(t, err)
		b := make([]byte, info.Size())
		if len(b) > 0 {
			_, err = f.ReadAt(b, 0)
			require.NoError(t, err)
		}
		require.NoError(t, f.Close())
		all[name] = b
	}
	return all
}

// with makes a file system with these files.
func with(t *testing.T, all map[string][]byte) vfs.FS {
	fs := vfs.NewMem()
	require.NoError(t, fs.MkdirAll(memDir, 0o700))
	for name, b := range all {
		write(t, fs, name, b)
	}
	return fs
}

func write(t *testing.T, fs vfs.FS, name string, b []byte) {
	f, err := fs.Create(fs.PathJoin(memDir, name), vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write(slices.Clone(b)) // which may change it
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// found returns the messages of a store.
func found(t *testing.T, s *diskstore.Store) map[string]bool {
	all := map[string]bool{}
	for n := range damageQueues {
		entries, err := s.Claim(t.Context(), device(n), 1, 1<<30, start)
		require.NoError(t, err)
		for _, e := range entries {
			text, _, _ := strings.Cut(string(e.Body), " x")
			all[text] = true
		}
	}
	return all
}

func complete(t *testing.T, s *diskstore.Store) error {
	all := found(t, s)
	for n := range damageMessages {
		text := strings.TrimSuffix(fmt.Sprintf("message %d", n), " ")
		if !all[text] && !all[text+" "] {
			return fmt.Errorf("%d of %d messages are there; %q is not", len(all), damageMessages, text)
		}
	}
	return nil
}

// TestFlippedBits flips bits of every file of a store. Each start must end with all messages or
// with a refusal that names the file and leaves all files as they are.
func TestFlippedBits(t *testing.T) {
	crashed, closed := fillStore(t)
	for _, state := range []struct {
		name string
		fs   vfs.FS
	}{{"after a crash", crashed}, {"after Close", closed}} {
		t.Run(state.name, func(t *testing.T) {
			whole := files(t, state.fs)
			type tally struct{ complete, refused int }
			tallies := map[string]*tally{}
			for _, name := range slices.Sorted(maps.Keys(whole)) {
				kind := strings.Trim(strings.Map(func(r rune) rune {
					if r >= '0' && r <= '9' {
						return '0'
					}
					return r
				}, name), "0.-")
				if tallies[kind] == nil {
					tallies[kind] = &tally{}
				}
				for _, bit := range flips(t, len(whole[name])*8) {
					b := slices.Clone(whole[name])
					b[bit/8] ^= 1 << (bit % 8)
					all := maps.Clone(whole)
					all[name] = b
					fs := with(t, all)
					s, err := diskstore.Open(memDir, diskstore.Options{}.WithFS(fs))
					if err != nil {
						tallies[kind].refused++
						require.ErrorContains(t, err, name, "bit %d", bit)
						require.Equal(t, sizes(all), sizes(files(t, fs)), "%s, bit %d: refused and not untouched", name, bit)
						continue
					}
					tallies[kind].complete++
					assert.NoError(t, complete(t, s), "%s, bit %d", name, bit)
					require.NoError(t, s.Close())
				}
			}
			for _, kind := range slices.Sorted(maps.Keys(tallies)) {
				t.Logf("%-20s %5d complete, %5d refused", kind, tallies[kind].complete, tallies[kind].refused)
			}
		})
	}
}

func sizes(all map[string][]byte) map[string]int {
	n := map[string]int{}
	for name, b := range all {
		n[name] = len(b)
	}
	return n
}

// flips returns the bits of a file to flip.
func flips(t *testing.T, bits int) (at []int) {
	step := bits/4 + 1
	if s := os.Getenv(flipStep); s != "" {
		var err error
		step, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	for bit := step / 2; bit < bits; bit += step {
		at = append(at, bit)
	}
	return at
}
