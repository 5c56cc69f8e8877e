package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
)

// dialError says that there was no connection, so that nothing was sent.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// dialHook makes what a client says of dialling a dialError.
type dialHook struct{}

func (dialHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := next(ctx, network, addr)
		if err != nil {
			return nil, dialError{fmt.Errorf("%s: %w", addr, err)}
		}
		return c, nil
	}
}

func (dialHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (dialHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// errShardGone says that a call waited for a Redis that has left the cluster.
var errShardGone = errors.New("that Redis has left the cluster")

// refusals are the errors by which Redis says that it did not begin with a command, but may do so later. The
// last two are what a part of a batch gets whose slot has moved, or is moving.
var refusals = []string{
	"LOADING", "CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN", "READONLY", "MASTERDOWN", "NOREPLICAS", "BUSY", "NOSCRIPT",
	"max number of clients reached",
	"Script attempted to access a non local key", "Script attempted to execute a",
}

// untouched reports whether a failed call certainly changed nothing, and may succeed later.
func untouched(err error) bool {
	for _, prefix := range refusals {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	var dial dialError
	return errors.As(err, &dial) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) ||
		errors.Is(err, errShardGone)
}

// lost reports whether nobody knows if a failed call was carried out: its reply never came.
func lost(err error) bool {
	var said redis.Error
	return !errors.As(err, &said) && !errors.Is(err, errReplicas) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}
