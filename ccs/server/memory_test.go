package server

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMemoryBudget(t *testing.T) {
	assert.EqualValues(t, 64<<20, memoryBudget(Config{MemoryBudget: 64 << 20}))
	assert.GreaterOrEqual(t, memoryBudget(Config{}), int64(MinMemoryBudget), "a part of the machine's")
	for _, row := range []struct {
		budget int64
		ok     bool
	}{{0, true}, {MinMemoryBudget, true}, {MinMemoryBudget - 1, false}, {-1, false}} {
		conf := Default()
		conf.MemoryBudget = row.budget
		if err := conf.Validate(); row.ok {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, "--memory-budget")
		}
	}
}
