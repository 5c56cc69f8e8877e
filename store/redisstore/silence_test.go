package redisstore_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// A Redis that keeps its connections and answers nothing is detected without any call. Calls fail
// then instead of waiting for it. Earlier calls get its answer.
func TestASilentRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	r := redistest.Single(t)
	s := single(r.Addr, rand.Text()+":", redisstore.Options{Retry: 50 * time.Millisecond})
	defer s.Close()
	put(t, s, message("before"))
	r.Pause()
	given := make(chan error, 1)
	go func() {
		_, err := s.Put(context.Background(), []store.Entry{message("given")}, start)
		given <- err
	}()
	waits := make(chan error, 10)
	require.Eventually(t, func() bool { return s.Health() != nil }, patience/2, 10*time.Millisecond)
	require.ErrorIs(t, s.Health(), store.ErrUnavailable)
	for range cap(waits) {
		go func() {
			_, err := s.Put(context.Background(), []store.Entry{message("refused")}, start)
			waits <- err
		}()
	}
	for range cap(waits) {
		select {
		case err := <-waits:
			assert.ErrorIs(t, err, store.ErrUnavailable)
		case <-time.After(patience):
			require.FailNow(t, "a call waits for a Redis that is known to be silent")
		}
	}
	read := make(chan error, 1)
	go func() {
		_, err := s.Project(context.Background(), "1")
		read <- err
	}()
	select {
	case err := <-read:
		require.ErrorIs(t, err, store.ErrUnavailable)
	case <-time.After(patience):
		require.FailNow(t, "a read waits for a Redis that is known to be silent")
	}

	r.Resume()
	require.NoError(t, <-given)
	require.Eventually(t, func() bool { return s.Health() == nil }, patience, 10*time.Millisecond)
	put(t, s, message("after"))
	assert.Equal(t, []string{"before", "given", "after"}, claim(t, s, device, 1))
}
