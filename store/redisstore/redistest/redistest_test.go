package redistest_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/store/redisstore/redistest"
)

func TestFaults(t *testing.T) {
	s := redistest.Single(t, "--appendfsync", "always")
	require.Equal(t, "OK", s.Do("SET", "k", "v"))
	assert.Positive(t, s.CPU())

	s.Kill()
	_, err := net.Dial("tcp", s.Addr)
	require.Error(t, err, "a server that was killed takes no connection")
	s.Restart()
	assert.Equal(t, "v", s.Do("GET", "k"), "what was synced survives")

	s.Pause()
	answer := make(chan any, 1)
	go func() { answer <- s.Do("GET", "k") }()
	select {
	case <-answer:
		t.Fatal("a server that is paused answers")
	case <-time.After(50 * time.Millisecond):
	}
	s.Resume()
	assert.Equal(t, "v", <-answer)
}

func TestClusterReplicates(t *testing.T) {
	c := redistest.Cluster(t, 1)
	assert.Len(t, c.Primaries, 3)
	assert.Len(t, c.Replicas, 3)
}

func TestSentinelKnowsThePrimary(t *testing.T) {
	primary := redistest.Single(t)
	redistest.Replica(t, primary)
	sentinel := redistest.Sentinel(t, "main", primary)
	got := sentinel.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main").([]any)
	assert.Equal(t, primary.Addr, net.JoinHostPort(got[0].(string), got[1].(string)))
}
