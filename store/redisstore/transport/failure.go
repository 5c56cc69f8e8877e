package transport

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/redis/go-redis/v9"
)

// dialError says that there was no connection, so nothing was sent.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// dialHook turns the dial errors of a client into dialErrors.
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

// errFallen says that a call was not sent, because its Redis stopped answering while the call
// waited.
var errFallen = errors.New("the Redis does not answer")

// isSilence reports whether an error says that a Redis did not answer. If a Redis refuses
// connections or reports its state, a call finds that out at once.
func isSilence(err error) bool {
	var dial dialError
	var timeout net.Error
	return !errors.As(err, &dial) && errors.As(err, &timeout) && timeout.Timeout()
}

// refusals are the errors by which Redis says that it did not begin a command, but may do so later.
// A part of a batch gets one of the last two if its slot has moved, or is moving.
var refusals = []string{
	"LOADING", "CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN", "READONLY", "MASTERDOWN", "NOREPLICAS", "BUSY", "NOSCRIPT",
	"max number of clients reached",
	"Script attempted to access a non local key", "Script attempted to execute a",
}

// away are the refusals after which a look at the Redis finds out whether it can do anything.
var away = []string{"LOADING", "CLUSTERDOWN", "READONLY", "MASTERDOWN"}

// isAway reports whether an answer of Redis says that it has no data now, or may not change any.
func isAway(err error) bool { return hasPrefix(err, away) }

func hasPrefix(err error, prefixes []string) bool {
	for _, prefix := range prefixes {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// untouched reports whether a failed call certainly changed nothing, and may succeed later.
func untouched(err error) bool {
	if hasPrefix(err, refusals) {
		return true
	}
	var dial dialError
	var refused *refusedError
	if errors.As(err, &refused) {
		return refused.waits
	}
	return errors.As(err, &dial) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) ||
		errors.Is(err, errShardGone) || errors.Is(err, errFallen)
}

// Lost reports whether the reply of a failed call never came, so that the call may have been
// carried out.
func Lost(err error) bool {
	var said redis.Error
	var refused *refusedError
	return !errors.As(err, &said) && !errors.As(err, &refused) && !errors.Is(err, errFallen) && !errors.Is(err, ErrReplicas) && !errors.Is(err, ErrReply) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// trouble reports whether an error of a call means that a Redis must be looked at.
func trouble(err error) bool {
	var refused *refusedError
	return !errors.As(err, &refused) && !errors.Is(err, errShardGone) && !errors.Is(err, redis.ErrClosed) &&
		(Lost(err) || isAway(err) || errors.Is(err, ErrReplicas) || redis.HasErrorPrefix(err, "OOM"))
}

// unavailable reports whether an error passes once Redis works again.
func unavailable(err error) bool {
	return Lost(err) || untouched(err) || errors.Is(err, ErrReplicas) || hasPrefix(err, []string{"OOM", "MISCONF"}) ||
		errors.As(err, new(*refusedError))
}
