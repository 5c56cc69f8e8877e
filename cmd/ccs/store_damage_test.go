package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

func TestStoreVerifyAndRepair(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second opening writes a table
		s, err := diskstore.Open(filepath.Join(dir, "store"), diskstore.Options{})
		require.NoError(t, err)
		now := time.Now()
		for q := range uint64(300) {
			_, err := s.Put(t.Context(), []store.Entry{{
				Key: store.Key{Kind: store.KindDevice, ID: q}, Rank: store.RankNormal, App: "app", Accepted: now,
				Expires: now.Add(time.Hour), Body: fmt.Appendf(nil, "%x", q*q*0x9E3779B97F4A7C15),
			}}, now)
			require.NoError(t, err)
		}
		require.NoError(t, s.Close())
	}
	whole := ccs(t, "store", "verify", "--data", dir)
	assert.Equal(t, exitDone, whole.code, whole.stderr)
	assert.Contains(t, whole.stdout, "whole")

	tables, err := filepath.Glob(filepath.Join(dir, "store", "*.sst"))
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	b, err := os.ReadFile(tables[0])
	require.NoError(t, err)
	b[len(b)/3] ^= 1
	require.NoError(t, os.WriteFile(tables[0], b, 0o600))
	name := filepath.Base(tables[0])

	damaged := ccs(t, "store", "verify", "--data", dir)
	assert.Equal(t, exitFailed, damaged.code)
	assert.Contains(t, damaged.stdout, name)
	assert.Contains(t, damaged.stdout, "queues d:")
	var r diskstore.Report
	require.NoError(t, json.Unmarshal([]byte(ccs(t, "store", "verify", "--data", dir, "--json").stdout), &r))
	require.Len(t, r.Damages, 1)
	assert.Equal(t, name, r.Damages[0].File)

	refused := ccs(t, "serve", "--data", dir, "--xmpp-listen", "127.0.0.1:0", "--mcs-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0")
	assert.Equal(t, exitFailed, refused.code)
	assert.Contains(t, refused.stderr, name)

	assert.Equal(t, exitUsage, ccs(t, "store", "repair", "--data", dir).code, "without a terminal it does not ask")
	repaired := ccs(t, "store", "repair", "--data", dir, "--yes")
	assert.Equal(t, exitDone, repaired.code, repaired.stderr)
	assert.Contains(t, repaired.stdout, "lost: "+name)
	assert.Equal(t, exitDone, ccs(t, "store", "verify", "--data", dir).code)
	assert.FileExists(t, filepath.Join(dir, "store.damaged-1", name))
}
