package server_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/server"
)

// contents reads all files below a directory.
func contents(t *testing.T, dir string) map[string]string {
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	}))
	return all
}

// A server whose store is damaged must not start with an empty one: not even a project is made.
func TestADamagedStoreIsRefusedAndLeftAsItIs(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string) (named string){
		"a flipped bit in the manifest": func(t *testing.T, dir string) string {
			found, err := filepath.Glob(filepath.Join(dir, "MANIFEST-*"))
			require.NoError(t, err)
			path := found[len(found)-1]
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			b[len(b)/2] ^= 1
			require.NoError(t, os.WriteFile(path, b, 0o600))
			return filepath.Base(path)
		},
		"no marker of the manifest": func(t *testing.T, dir string) string {
			found, err := filepath.Glob(filepath.Join(dir, "marker.manifest.*"))
			require.NoError(t, err)
			for _, path := range found {
				require.NoError(t, os.Remove(path))
			}
			return "marker.manifest"
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t)
			s, err := server.Start(context.Background(), c)
			require.NoError(t, err)
			require.NoError(t, s.Shutdown(context.Background()))
			named := damage(t, filepath.Join(c.DataDir, "store"))
			before := contents(t, c.DataDir)
			_, err = server.Start(context.Background(), c)
			require.ErrorContains(t, err, named)
			assert.ErrorContains(t, err, "ccs store repair")
			assert.Equal(t, before, contents(t, c.DataDir))
		})
	}
}
