package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

func TestRedisKeepsWhatTheServerMustKnow(t *testing.T) {
	t.Parallel()
	r := redistest.Single(t)
	core, logs := observer.New(zap.InfoLevel)
	c := config(t)
	c.Store, c.Logger = r.URL("a:"), zap.New(core)
	s := start(t, c)
	sender := s.Card().SenderID
	assert.Equal(t, 1, logs.FilterFieldKey("durability").Len(), "it says aloud what an acknowledgement means")
	require.NoError(t, s.Shutdown(context.Background()))

	st, err := server.OpenStore(t.Context(), c)
	require.NoError(t, err)
	defer st.Close()
	p, err := st.Project(t.Context(), sender)
	require.NoError(t, err)
	assert.Equal(t, sender, p.Sender)
	assert.NoDirExists(t, c.DataDir+"/store")
}

func TestServersOnOneRedisShareIt(t *testing.T) {
	t.Parallel()
	r := redistest.Single(t)
	a, b := config(t), config(t)
	a.Store, b.Store = r.URL("a:"), r.URL("a:")
	start(t, a)
	start(t, b)
	st, err := server.OpenStore(t.Context(), a)
	require.NoError(t, err, "a store that servers use can be opened beside them")
	require.NoError(t, st.Close())
}

func TestRedisThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(c *server.Config)
		want   string
	}{
		{"a URL without a host", func(c *server.Config) { c.Store = "redis://" }, `--store "redis://": no host`},
		{"a wrong URL with a password", func(c *server.Config) { c.Store = "redis://:secret@host/db" }, `--store "redis://...": the database is not a number; write redis://`},
		{"a wait that is no number", func(c *server.Config) { c.RedisWait = "one" }, `--redis-wait "one": not a number of replicas; write how many`},
		{"a wait for no time", func(c *server.Config) { c.RedisWait = "1:0" }, `--redis-wait "1:0": not a number of milliseconds`},
		{"a wait without Redis", func(c *server.Config) { c.Store, c.RedisWait = "disk:", "1" }, `--redis-wait "1": the store is not in Redis`},
		{"a heart that hardly beats", func(c *server.Config) { c.NodeHeartbeat = time.Hour }, `--node-heartbeat "1h0m0s": must be from 100ms to 1m0s`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config(t)
			c.Store = "redis://localhost"
			tt.change(&c)
			err := c.Validate()
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
	c := config(t)
	c.Store, c.RedisWait = "redis://127.0.0.1:1", "2:500"
	require.NoError(t, c.Validate())
	_, err := server.Start(t.Context(), c)
	assert.ErrorContains(t, err, "is Redis running there?")
}
