package redisstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// run runs calls, each as soon as it can, and returns when all have ended. The error of each is in it; run
// returns the first. The calls of one run are carried out in order for each slot.
func (s *Store) run(ctx context.Context, calls ...*call) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	for _, c := range calls {
		args := []any{"EVALSHA", c.script.sha, len(c.keys)}
		for _, k := range c.keys {
			args = append(args, k)
		}
		args = append(args, c.args...)
		c.reply, c.err = s.rdb.Do(ctx, args...).Result()
		if redis.HasErrorPrefix(c.err, "NOSCRIPT") {
			args[0], args[1] = "EVAL", c.script.source
			c.reply, c.err = s.rdb.Do(ctx, args...).Result()
		}
		if errors.Is(c.err, redis.Nil) {
			c.err = nil
		}
		if c.err != nil {
			c.err = fmt.Errorf("%s: %w", c.script.name, s.translate(c.err))
			return c.err
		}
	}
	return nil
}
