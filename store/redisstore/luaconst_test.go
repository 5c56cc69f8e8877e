package redisstore_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
)

// All shared values of scripts and Go are in the table of constants, and a script uses each entry
// of the table.
func TestScriptsNameTheirConstants(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("lua/*.lua")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	used := map[string]bool{}
	layout := regexp.MustCompile(`'<[^']{3,}'`)
	large := regexp.MustCompile(`\b\d{5,}\b`)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(string(b), -1) {
			assert.Contains(t, redisstore.LuaConstants, m[1], file)
			used[m[1]] = true
		}
		for line := range strings.Lines(string(b)) {
			code, _, _ := strings.Cut(line, "--")
			for _, literal := range append(layout.FindAllString(code, -1), large.FindAllString(code, -1)...) {
				assert.Contains(t, []string{"'<i8'", "'<I4'"}, literal, "%s: a number or layout that is not in the table", file)
			}
		}
	}
	for name := range redisstore.LuaConstants {
		assert.True(t, used[name], "no script uses %s", name)
	}
	for name, source := range redisstore.Sources() {
		assert.NotContains(t, source, "${", name)
	}
}

// The offsets and the layout of a record match the records that Go writes.
func TestTheLayoutOfARecordIsWhatGoWrites(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_400_000_000_123)
	record := redisstore.AppendRecord(nil, &store.Entry{
		App: "app", Collapse: "co", Dedup: "d", Expires: at, Accepted: at, Deleted: 7, Body: []byte("body"),
		Limit: store.Limit{Overflow: store.Discard},
	})
	s := single(startRedis(t), "x:", redisstore.Options{})
	defer s.Close()
	script := redisstore.WithConstants("test", `
		local away, expires, accepted, count, app, collapse, dedup = struct.unpack(${RECORD}, ARGV[1])
		return {away, expires, count, app, collapse, dedup, struct.unpack('<i8', ARGV[1], ${EXPIRES}),
			struct.unpack('<I4', ARGV[1], ${APP_LENGTH}), ARGV[1]:sub(${HEADER} + 1), ${AWAY}, ${RANK}, ${ASIDE}}`)
	got, err := s.Client().Eval(t.Context(), script, nil, record).Slice()
	require.NoError(t, err)
	ms := at.UnixMilli()
	assert.Equal(t, []any{int64(0), ms, int64(7), int64(3), int64(2), int64(1), ms, int64(3), "appcodbody", int64(1),
		int64(1) << 50, int64(3) << 50}, got)
}
