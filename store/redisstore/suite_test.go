package redisstore_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore"
	"github.com/openccs/openccs/store/redisstore/redistest"
	"github.com/openccs/openccs/store/storetest"
)

// prefixes counts the stores of this test binary, each of which has its own prefix.
var prefixes atomic.Int64

func nextPrefix() string { return "test" + strconv.FormatInt(prefixes.Add(1), 10) + ":" }

// topologies are the ways to set up Redis. Each returns the store URL for a prefix.
var topologies = []struct {
	name  string
	start func(t *testing.T) (url func(prefix string) string)
}{
	{"single", func(t *testing.T) func(string) string { return redistest.Single(t).URL }},
	{"cluster", func(t *testing.T) func(string) string { return redistest.Cluster(t, 0).URL }},
}

func TestSuite(t *testing.T) {
	for _, topology := range topologies {
		t.Run(topology.name, func(t *testing.T) {
			url := topology.start(t)
			storetest.Run(t, func(t *testing.T) store.Store {
				s := opened(t, url(nextPrefix()))
				t.Cleanup(func() { expiring(t, s) })
				return s
			})
		})
	}
}

func TestReopen(t *testing.T) {
	for _, topology := range topologies {
		t.Run(topology.name, func(t *testing.T) {
			url, prefixOf := topology.start(t), map[string]string{}
			storetest.RunDurable(t, func(t *testing.T, dir string) store.Store {
				if prefixOf[dir] == "" {
					prefixOf[dir] = nextPrefix()
				}
				return opened(t, url(prefixOf[dir]))
			})
		})
	}
}

// opened returns a store that the suite closes.
func opened(t *testing.T, url string) store.Store {
	t.Helper()
	s, err := redisstore.Open(t.Context(), url, redisstore.Options{Repeats: true})
	require.NoError(t, err)
	return any(s).(store.Store)
}

func TestSharedByNodes(t *testing.T) {
	for _, topology := range topologies {
		t.Run(topology.name, func(t *testing.T) {
			url := topology.start(t)
			storetest.RunNodes(t, func(t *testing.T) func() storetest.Shared {
				prefix := nextPrefix()
				return func() storetest.Shared { return opened(t, url(prefix)).(*redisstore.Store) }
			})
		})
	}
}
