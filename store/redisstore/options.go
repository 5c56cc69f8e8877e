package redisstore

import (
	"time"

	"go.uber.org/zap"
)

// Options are the options of a Store besides its URL. The zero value works.
type Options struct {
	Logger *zap.Logger // default: none
	// Heartbeat is the interval of the nodes' heartbeats; default 5s. Dump and Restore take a node
	// for dead that is silent for twice as long.
	Heartbeat     time.Duration
	AllowEviction bool // use a Redis that evicts keys when it is full
	// Wait is how many replicas must have a change before it is acknowledged; default none.
	Wait        int
	WaitTimeout time.Duration // time for those to answer; default 1s
	Repeats     bool          // store the marks of entries, but not in a Redis Cluster
	// Retry is how long a call waits for a Redis that is not reachable; default 5s.
	Retry time.Duration
}
