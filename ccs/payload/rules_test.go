package payload_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs/payload"
)

func TestParseTTL(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"0", 0, true},
		{"-0", 0, true},
		{"1", time.Second, true},
		{"0060", time.Minute, true},
		{"2419200", payload.MaxTTL, true},
		{"2419201", 0, false},
		{"99999999999999999999999999", 0, false},
		{"-1", 0, false},
		{"1.5", 0, false},
		{"1e3", 0, false},
	} {
		t.Run(row.text, func(t *testing.T) {
			got, ok := payload.ParseTTL(row.text)
			assert.Equal(t, row.ok, ok)
			assert.Equal(t, row.want, got)
		})
	}
}

func TestParsePriority(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]payload.Priority{
		"normal": payload.PriorityNormal, "NORMAL": payload.PriorityNormal, "5": payload.PriorityNormal,
		"high": payload.PriorityHigh, "High": payload.PriorityHigh, "10": payload.PriorityHigh,
	} {
		got, ok := payload.ParsePriority(text)
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "urgent", "1", "05"} {
		_, ok := payload.ParsePriority(text)
		assert.False(t, ok, text)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	usual := payload.Rules{}
	assert.Equal(t, []int{4096, 2048}, []int{usual.Limit(false), usual.Limit(true)})
	set := payload.Rules{MaxPayload: 10, MaxTopicPayload: 5}
	assert.Equal(t, []int{10, 5}, []int{set.Limit(false), set.Limit(true)})
}

func TestReservedKey(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		key            string
		reserved, gcm3 bool
	}{
		{"from", true, true}, {"message_type", true, true}, {"google", true, true}, {"gcm", true, true},
		{"google.x", true, true}, {"gcm.x", true, true},
		{"googlex", false, true}, {"gcmx", false, true},
		{"", false, false}, {"fromage", false, false}, {"collapse_key", false, false}, {"xgcm", false, false},
	} {
		assert.Equal(t, row.reserved, payload.ReservedKey(row.key, false), row.key)
		assert.Equal(t, row.gcm3, payload.ReservedKey(row.key, true), "%s, strictly", row.key)
	}
}
