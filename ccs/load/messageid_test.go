package load_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/load"
)

// A message is read back as written, and its payload has exactly the requested size (CCS 2.6).
func TestAMessageCarriesItsStamp(t *testing.T) {
	var c load.Composer
	for _, size := range []int{load.MinPayload, 256, load.MaxPayload} {
		for seq := int64(0); seq < 3; seq++ {
			id, object := load.Compose(&c, 12, 1<<40+seq, 90*time.Hour, size)
			var data map[string]string
			require.NoError(t, json.Unmarshal([]byte(object), &data))
			require.Len(t, data, 1)
			for key, value := range data {
				assert.Len(t, key+value, size)
				run, stream, n, due, ok := load.ReadPayload(value)
				assert.True(t, ok)
				assert.Equal(t, []any{uint32(0xCAFE), 12, 1<<40 + seq, 90 * time.Hour}, []any{run, stream, n, due})
			}
			run, stream, n, ok := load.ReadMessageID(id)
			assert.True(t, ok)
			assert.Equal(t, []any{uint32(0xCAFE), 12, 1<<40 + seq}, []any{run, stream, n})
		}
	}
}

func TestWhatIsNoStamp(t *testing.T) {
	for _, text := range []string{"", "hello", strings.Repeat("g", 100), strings.Repeat("A", 100)} {
		_, _, _, _, ok := load.ReadPayload(text)
		assert.False(t, ok, text)
	}
	for _, text := range []string{"", "m-1", "m-1-", "a-b-c-d", "zzzzzzzzz-1-1", "1--1"} {
		_, _, _, ok := load.ReadMessageID(text)
		assert.False(t, ok, text)
	}
}

// The load tool shares a machine with the server: a message must cost the garbage collector
// nothing.
func TestComposingAllocatesNextToNothing(t *testing.T) {
	var c load.Composer
	seq := int64(0)
	allocs := testing.AllocsPerRun(10_000, func() {
		load.Compose(&c, 1, seq, 0, 256)
		seq++
	})
	assert.Zero(t, allocs, "a chunk for hundreds of messages rounds down to none")
}
