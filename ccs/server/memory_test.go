package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/flowcontrol"
)

// The log says once that the memory for messages is used up, and once that there is room again.
func TestTheLogSaysWhenMemoryIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 64 << 20
		core, logs := observer.New(zap.InfoLevel)
		memory := flowcontrol.NewBudget(limit)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- watchMemory(ctx, zap.New(core), memory) }()
		lines := func() (all []string) {
			synctest.Wait()
			for _, l := range logs.All() {
				all = append(all, l.Message)
			}
			return all
		}
		memory.Add(limit * 3 / 4)
		time.Sleep(time.Minute)
		assert.Empty(t, lines(), "each connection may still hold all that it ever may")
		for range 1000 { // one message more or less
			memory.Add(limit / 8)
			time.Sleep(time.Second)
			memory.Add(-limit / 8)
			time.Sleep(time.Second)
		}
		begins, ends := "memory for messages is used up: reading pauses for the connections that hold most", "memory for messages is free again"
		require.Equal(t, []string{begins}, lines())
		assert.Equal(t, map[string]any{"bytes": int64(limit * 7 / 8), "limit": int64(limit)}, logs.All()[0].ContextMap())
		memory.Add(-limit / 2)
		time.Sleep(time.Minute)
		require.Equal(t, []string{begins, ends}, lines())
		assert.Equal(t, int64(limit*7/8), logs.All()[1].ContextMap()["max_bytes"])
		cancel()
		assert.ErrorIs(t, <-done, context.Canceled)
	})
}

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
