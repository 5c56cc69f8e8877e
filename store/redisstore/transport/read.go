package transport

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
)

// The time between two tries to read from an unreachable Redis doubles from the first to the last.
const (
	firstReadPause = 20 * time.Millisecond
	lastReadPause  = 500 * time.Millisecond
)

// Read runs commands that change nothing, as one batch for each shard. While Redis is unreachable
// it tries again until Options.Retry has passed: then fill is called again.
func (t *Transport) Read(ctx context.Context, fill func(p redis.Pipeliner)) error {
	giveUp := time.Now().Add(t.opts.Retry)
	for pause := firstReadPause; ; pause = min(2*pause, lastReadPause) {
		if err := t.Usable(ctx); err != nil {
			return err
		}
		err := t.readOnce(ctx, fill)
		if err == nil || ctx.Err() != nil || t.closed.Load() || !passing(err) || time.Now().Add(pause).After(giveUp) {
			return t.Translate(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// readTimeoutOnce is how long a read waits for its answers. Giving it up changes nothing.
const readTimeoutOnce = 5 * time.Second

// readOnce reads unless the only Redis is known to be silent.
func (t *Transport) readOnce(ctx context.Context, fill func(p redis.Pipeliner)) error {
	if err := t.onlyRefuses(); err != nil {
		return err
	}
	p := t.rdb.Pipeline()
	fill(p)
	limited, cancel := context.WithTimeout(ctx, readTimeoutOnce)
	defer cancel()
	err := FirstError(p.Exec(limited))
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return errStalled
	}
	return err
}

// onlyRefuses returns why the only Redis takes no calls now, or nil; it is nil in a cluster.
func (t *Transport) onlyRefuses() error {
	t.pipes.mu.RLock()
	sh := t.pipes.byClient[t.rdb]
	t.pipes.mu.RUnlock()
	if sh == nil || !sh.health.unclear.Load() {
		return nil
	}
	return sh.health.refusal()
}

// ReadEach runs one command for each of n keys, as Read does; a key of "" has none. In a cluster it
// does not wait for a Redis in trouble: errs then has the error of each failed command. Without
// failures errs is nil.
func (t *Transport) ReadEach(ctx context.Context, n int, key func(i int) string, add func(p redis.Pipeliner, i int) redis.Cmder) (errs []error, err error) {
	cluster, ok := t.rdb.(*redis.ClusterClient)
	if !ok {
		return nil, t.Read(ctx, func(p redis.Pipeliner) {
			for i := range n {
				if key(i) != "" {
					add(p, i)
				}
			}
		})
	}
	if err := t.Usable(ctx); err != nil {
		return nil, err
	}
	fail := func(i int, err error) {
		if errs == nil {
			errs = make([]error, n)
		}
		errs[i] = t.Translate(err)
	}
	p, cmds := t.rdb.Pipeline(), make([]redis.Cmder, n)
	shards := make([]*shard, n)
	for i := range n {
		if key(i) == "" {
			continue
		}
		client, err := cluster.MasterForKey(ctx, key(i))
		if err != nil {
			fail(i, dialError{err})
			continue
		}
		if shards[i] = t.shardOf(client, key(i)); shards[i] == nil {
			return nil, store.ErrClosed
		}
		if is, cause := shards[i].health.now(ctx); is == down {
			fail(i, &refusedError{is, cause, false})
			continue
		}
		cmds[i] = add(p, i)
	}
	if p.Len() == 0 {
		return errs, nil
	}
	limited, cancel := context.WithTimeout(ctx, stall)
	defer cancel()
	_, _ = p.Exec(limited) // each has its own error
	for i, cmd := range cmds {
		if cmd == nil {
			continue
		}
		err := cmd.Err()
		switch {
		case err == nil, errors.Is(err, redis.Nil):
			continue
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			err = errStalled
		}
		if trouble(err) {
			shards[i].health.found(err)
		}
		if !unavailable(err) {
			return nil, t.Translate(err)
		}
		fail(i, err)
	}
	return errs, nil
}

// FirstError returns the first error of a pipeline. A missing key is no error.
func FirstError(cmds []redis.Cmder, err error) error {
	if len(cmds) == 0 {
		return err
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

// passing reports whether an error may pass by itself: there is no connection, or the Redis that
// answers cannot do it now.
func passing(err error) bool {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return true
	}
	word, _, _ := strings.Cut(answer.Error(), " ")
	switch word {
	case "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY":
		return true
	}
	return false
}
