package redisstore

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// The time between two tries to read from a Redis that is not there doubles from the first to the last.
const (
	firstReadPause = 20 * time.Millisecond
	lastReadPause  = 500 * time.Millisecond
)

// read runs commands that change nothing, as one batch for each shard. While Redis is not there it tries
// again, as long as Options.Retry says: then fill is called again.
func (s *Store) read(ctx context.Context, fill func(p redis.Pipeliner)) error {
	giveUp := time.Now().Add(s.opts.Retry)
	for pause := firstReadPause; ; pause = min(2*pause, lastReadPause) {
		if err := s.usable(ctx); err != nil {
			return err
		}
		p := s.rdb.Pipeline()
		fill(p)
		err := firstError(p.Exec(ctx))
		if err == nil || ctx.Err() != nil || s.closed.Load() || !passing(err) || time.Now().Add(pause).After(giveUp) {
			return s.translate(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// firstError is the first error of a pipeline; that there is nothing under a key is none.
func firstError(cmds []redis.Cmder, err error) error {
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

// passing reports whether an error may go away by itself: there is no connection, or the one that answers
// cannot do it now.
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
