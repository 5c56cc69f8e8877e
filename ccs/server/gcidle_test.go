package server

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Memory is given back once after each storm of logins, and not while logins go on.
func TestStorm(t *testing.T) {
	for _, row := range []struct {
		name   string
		logins func(second int) int64
		over   []int // the seconds in which it has ended
	}{
		{"nothing", func(int) int64 { return 0 }, nil},
		{"few", func(second int) int64 { return int64(second % 2) }, nil},
		{"a steady stream", func(int) int64 { return 100 }, nil},
		{"a storm", func(second int) int64 {
			if second < 10 {
				return 500
			}
			return 0
		}, []int{14}},
		{"two storms, with a login now and then", func(second int) int64 {
			if second%50 < 10 {
				return 500
			}
			return int64(second % 3)
		}, []int{14, 64}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var s storm
			var total int64
			var over []int
			for second := range 100 {
				total += row.logins(second)
				if s.over(total) {
					over = append(over, second)
				}
			}
			assert.Equal(t, row.over, over)
		})
	}
}
