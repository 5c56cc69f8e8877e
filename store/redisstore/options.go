package redisstore

import (
	"time"

	"go.uber.org/zap"
)

// Options are what a Store may be told beside its URL. The zero value works.
type Options struct {
	Logger        *zap.Logger   // default: none
	Heartbeat     time.Duration // of the nodes: Dump and Restore take a node that is silent for twice this for dead; default 5s
	AllowEviction bool          // use a Redis that throws keys away when it is full
	Wait          int           // replicas that have what is acknowledged before it is; default none
	WaitTimeout   time.Duration // for them to answer; default 1s
	Repeats       bool          // keep the marks of entries, but not in a Redis Cluster
	Retry         time.Duration // for how long a call waits for a Redis that is not there; default 5s
}
