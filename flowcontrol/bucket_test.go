package flowcontrol_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/flowcontrol"
)

func TestBucket(t *testing.T) {
	t.Parallel()
	var b flowcontrol.Bucket
	r := flowcontrol.Rate{Every: time.Second, Burst: 3}
	now := time.UnixMilli(1_767_225_600_000)
	assert.False(t, b.Take(r, 4, now), "more than it holds")
	assert.True(t, b.Take(r, 2, now))
	assert.False(t, b.Empty(r, now))
	assert.True(t, b.Take(r, 1, now))
	assert.True(t, b.Empty(r, now))
	assert.False(t, b.Take(r, 1, now.Add(999*time.Millisecond)))
	assert.True(t, b.Take(r, 1, now.Add(time.Second)))
	assert.False(t, b.Take(r, 1, now), "a clock that goes back gives nothing")
	assert.True(t, b.Take(r, 3, now.Add(time.Hour)))
	assert.False(t, b.Take(r, 1, now.Add(time.Hour)), "it never holds more than the burst")
	assert.True(t, b.Take(flowcontrol.Rate{}, 1000, now), "without a rate there is no limit")
}
