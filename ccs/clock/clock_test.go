package clock_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/clock"
)

var _ ccs.Jumper = (*clock.Manual)(nil)

func TestManualTellsOfJumps(t *testing.T) {
	start := time.Date(2015, 6, 1, 9, 0, 0, 0, time.UTC)
	c := clock.NewManual(start)
	var jumps []time.Duration
	stop := c.OnJump(func(from, to time.Time) {
		assert.Equal(t, to, c.Now(), "the clock shows the new time already")
		jumps = append(jumps, to.Sub(from))
	})
	c.Advance(time.Hour)
	c.Set(start)
	stop()
	c.Advance(time.Minute)
	assert.Equal(t, []time.Duration{time.Hour, -time.Hour}, jumps)
	assert.Equal(t, start.Add(time.Minute), c.Now())
}

func ExampleManual() {
	c := clock.NewManual(time.Date(2015, 6, 1, 9, 0, 0, 0, time.UTC))
	c.Advance(4 * 7 * 24 * time.Hour) // 4 weeks, the longest TTL
	fmt.Println(c.Now().Format(time.DateTime))
	// Output: 2015-06-29 09:00:00
}
