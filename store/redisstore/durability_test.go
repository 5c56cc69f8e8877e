package redisstore_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

func TestDurabilityIsSaidAloud(t *testing.T) {
	s := redistest.Single(t)
	for _, tt := range []struct{ appendonly, appendfsync, want string }{
		{"yes", "everysec", "loses up to a second"},
		{"yes", "always", "was synced to Redis' disk before"},
		{"yes", "no", "when the system likes"},
		{"no", "everysec", "in Redis' memory only"},
	} {
		s.Do("CONFIG", "SET", "appendonly", tt.appendonly, "appendfsync", tt.appendfsync)
		core, logs := observer.New(zap.InfoLevel)
		st := open(t, s.URL("a:"), redisstore.Options{Logger: zap.New(core)})
		assert.Contains(t, st.Durability(), tt.want)
		lines := logs.FilterField(zap.String("durability", st.Durability())).All()
		require.Len(t, lines, 1)
		assert.Equal(t, zap.InfoLevel, lines[0].Level)
	}
}

func TestRedisThatMayNotBeAsked(t *testing.T) {
	s := redistest.Single(t)
	s.Do("ACL", "SETUSER", "push", "on", ">pw", "~*", "+@all", "-config")
	core, logs := observer.New(zap.InfoLevel)
	st := open(t, "redis://push:pw@"+s.Addr, redisstore.Options{Logger: zap.New(core)})
	assert.Contains(t, st.Durability(), "nobody knows")
	assert.Equal(t, 1, logs.FilterMessageSnippet("allow CONFIG GET").Len())
}

func TestEviction(t *testing.T) {
	s := redistest.Single(t)
	for _, tt := range []struct {
		policy, maxmemory string
		refused           bool
	}{
		{"noeviction", "100mb", false},
		{"allkeys-lru", "0", true},
		{"allkeys-lfu", "100mb", true},
		{"volatile-ttl", "100mb", true},
		{"volatile-ttl", "0", false},
	} {
		s.Do("CONFIG", "SET", "maxmemory-policy", tt.policy, "maxmemory", tt.maxmemory)
		if tt.refused {
			err := refused(t, s.URL("a:"), redisstore.Options{})
			assert.ErrorContains(t, err, "(maxmemory-policy "+tt.policy+"): set it to noeviction, or give --allow-eviction")
		} else {
			open(t, s.URL("a:"), redisstore.Options{})
		}
		open(t, s.URL("a:"), redisstore.Options{AllowEviction: true})
	}
}

func TestTooFewReplicas(t *testing.T) {
	s := redistest.Single(t)
	warnings := func() int {
		core, logs := observer.New(zap.WarnLevel)
		st := open(t, s.URL("a:"), redisstore.Options{Logger: zap.New(core), Wait: 1})
		assert.Contains(t, st.Durability(), "1 of its replicas")
		return logs.FilterMessageSnippet("fewer replicas").Len()
	}
	assert.Equal(t, 1, warnings())
	redistest.Replica(t, s)
	assert.Zero(t, warnings())
}
