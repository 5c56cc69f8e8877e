package redistest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	primaries   = 3
	slots       = 16384
	nodeTimeout = time.Second // a server that is silent for so long counts as failed
)

// Shards is a cluster.
type Shards struct {
	Primaries []*Server
	Replicas  []*Server // those of the first primary first; a failover changes the roles
}

// Cluster starts a cluster of three primaries, each with the given number of replicas, and waits
// until it works. The cluster notices a lost server within a second or two.
func Cluster(t testing.TB, replicas int, flags ...string) *Shards {
	t.Helper()
	flags = append([]string{
		"--cluster-enabled", "yes", "--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10),
	}, flags...)
	c := &Shards{}
	for range primaries {
		c.Primaries = append(c.Primaries, Single(t, flags...))
	}
	for range primaries * replicas {
		c.Replicas = append(c.Replicas, Single(t, flags...))
	}
	all := append(append([]*Server{}, c.Primaries...), c.Replicas...)
	for i, s := range c.Primaries {
		s.Do("CLUSTER", "ADDSLOTSRANGE", slots*i/primaries, slots*(i+1)/primaries-1)
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for i, s := range all {
		for _, other := range all[:i] {
			s.Do("CLUSTER", "MEET", host, strings.TrimPrefix(other.Addr, host+":"))
		}
	}
	for _, s := range all {
		s.waitFor("CLUSTER INFO", "cluster_state:ok", "cluster_known_nodes:"+strconv.Itoa(len(all)))
	}
	for i, s := range c.Replicas {
		primary := c.Primaries[i/replicas].Do("CLUSTER", "MYID").(string)
		s.waitFor("CLUSTER NODES", primary)
		s.Do("CLUSTER", "REPLICATE", primary)
	}
	for i, s := range c.Replicas {
		s.follows(c.Primaries[i/replicas])
	}
	return c
}

// URL returns the store URL for a prefix.
func (c *Shards) URL(prefix string) string {
	var addrs []string
	for _, s := range c.Primaries {
		addrs = append(addrs, s.Addr)
	}
	return "redis-cluster://" + strings.Join(addrs, ",") + "?prefix=" + prefix
}

// waitFor waits until the answer to a command contains every part.
func (s *Server) waitFor(command string, parts ...string) {
	s.t.Helper()
	var args []any
	for word := range strings.FieldsSeq(command) {
		args = append(args, word)
	}
	require.Eventually(s.t, func() bool {
		answer := s.Do(args...).(string)
		for _, part := range parts {
			if !strings.Contains(answer, part) {
				return false
			}
		}
		return true
	}, patience, 10*time.Millisecond, "%s: %q", command, parts)
}
