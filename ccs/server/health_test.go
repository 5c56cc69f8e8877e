package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/memstore"
)

// ailing is a store with a health check.
type ailing struct {
	*memstore.Store
	why    atomic.Pointer[error]
	broken chan struct{}
}

func (a *ailing) Health() error {
	if why := a.why.Load(); why != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, *why)
	}
	return nil
}

func (a *ailing) Broken() <-chan struct{} { return a.broken }

func (a *ailing) fail(reason string) {
	err := errors.New(reason)
	a.why.Store(&err)
}

// ailingServer starts a server on such a store, and returns a function that asks for its health.
func ailingServer(t *testing.T) (s *server.Server, st *ailing, logs *observer.ObservedLogs, health func() (int, string)) {
	t.Helper()
	st = &ailing{Store: memstore.New(), broken: make(chan struct{})}
	core, logs := observer.New(zap.InfoLevel)
	c := config(t)
	c.OpenDisk = func(string) (store.Store, error) { return st, nil }
	c.Logger = zap.New(core)
	s, err := server.Start(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	return s, st, logs, func() (int, string) {
		t.Helper()
		resp, err := client.Get(s.HTTPURL() + "/healthz")
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
}

func TestHealthz(t *testing.T) {
	s, st, logs, health := ailingServer(t)
	code, body := health()
	assert.Equal(t, 200, code)
	assert.Equal(t, "ok", body)

	st.fail("the disk is full")
	code, body = health()
	assert.Equal(t, 503, code)
	assert.Equal(t, "store unavailable", body)
	line := func(message string) func() bool {
		return func() bool { return logs.FilterMessage(message).Len() > 0 }
	}
	require.Eventually(t, line("store unavailable"), 5*time.Second, time.Millisecond)
	assert.Contains(t, logs.FilterMessage("store unavailable").All()[0].ContextMap()["error"], "the disk is full")
	st.why.Store(nil)
	code, _ = health()
	assert.Equal(t, 200, code)
	require.Eventually(t, line("store available again"), 5*time.Second, time.Millisecond)
	assert.Equal(t, 1, logs.FilterMessage("store unavailable").Len())

	require.NoError(t, s.Drain(t.Context()))
	code, body = health()
	assert.Equal(t, 503, code)
	assert.Equal(t, "draining", body)
	require.NoError(t, s.Shutdown(context.Background()))
}

// A store that only a new process can repair ends the server in order.
func TestABrokenStoreEndsTheServer(t *testing.T) {
	s, st, _, _ := ailingServer(t)
	st.fail("the engine cannot go on; start the server again")
	close(st.broken)
	require.ErrorContains(t, s.Wait(), "the engine cannot go on; start the server again")
	require.ErrorContains(t, s.Shutdown(context.Background()), "start the server again")
}
