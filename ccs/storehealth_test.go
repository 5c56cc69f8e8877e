package ccs_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// The log has one line at the beginning and one at the end, however many calls fail.
func TestTroubleOfTheStoreIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		log := zap.New(core)
		r, err := ccs.New(t.Context(), memstore.New(), ccs.Options{Logger: log})
		require.NoError(t, err)
		go r.WatchStore(t.Context())
		full := fmt.Errorf("put: %w: the disk is full", store.ErrUnavailable)
		for range 40 {
			for range 1000 {
				r.StoreFailed(log, "store messages", full)
			}
			time.Sleep(time.Second / 4)
		}
		require.Equal(t, 1, logs.Len())
		assert.Equal(t, "store unavailable", logs.All()[0].Message)
		time.Sleep(3 * time.Second)
		require.Equal(t, 2, logs.Len())
		over := logs.All()[1]
		assert.Equal(t, "store available again", over.Message)
		assert.EqualValues(t, 40_000, over.ContextMap()["calls"])

		for range 1000 {
			r.StoreFailed(log, "claim", errors.New("damaged"))
		}
		time.Sleep(2 * time.Second)
		r.StoreFailed(log, "claim", errors.New("damaged"))
		require.Equal(t, 4, logs.Len(), "failures of other kinds: one line a second")
		assert.EqualValues(t, 999, logs.All()[3].ContextMap()["hidden"])
	})
}

// ailing is a store with a health check.
type ailing struct {
	*memstore.Store
	health atomic.Pointer[error]
}

func (a *ailing) Health() error {
	if err := a.health.Load(); err != nil {
		return *err
	}
	return nil
}

// A store with a health check is asked before the log says that it is unavailable, because only one
// queue may be affected.
func TestAStoreThatIsUnavailableForOneQueueIsNotInTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		log, st := zap.New(core), &ailing{Store: memstore.New()}
		r, err := ccs.New(t.Context(), st, ccs.Options{Logger: log})
		require.NoError(t, err)
		go r.WatchStore(t.Context())
		r.StoreFailed(log, "claim", fmt.Errorf("claim: %w: one shard is down", store.ErrUnavailable))
		time.Sleep(3 * time.Second)
		assert.Zero(t, logs.Len())

		whole := fmt.Errorf("%w: the server is down", store.ErrUnavailable)
		st.health.Store(&whole)
		time.Sleep(3 * time.Second)
		require.Equal(t, 1, logs.Len(), "nobody called, and still it is in the log")
		assert.Equal(t, "store unavailable", logs.All()[0].Message)
		assert.ErrorIs(t, r.StoreHealth(), store.ErrUnavailable)
		st.health.Store(nil)
		time.Sleep(3 * time.Second)
		require.Equal(t, 2, logs.Len())
		assert.Equal(t, "store available again", logs.All()[1].Message)
	})
}
