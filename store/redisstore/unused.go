package redisstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/openccs/openccs/store"
)

var aliveScript = load("alive")

// unused makes sure that no other node lives: store.ErrLocked if one does. One that was killed counts as alive
// for two heartbeats.
func (s *Store) unused(ctx context.Context) error {
	c := &call{script: aliveScript, safe: true, keys: []string{s.key(nodesTag, "live")}, args: []any{2 * s.opts.Heartbeat.Milliseconds()}}
	if err := s.run(ctx, c); err != nil {
		return err
	}
	others := slices.DeleteFunc(stringsOf(c.reply), func(node string) bool { return node == s.node() })
	if len(others) > 0 {
		return fmt.Errorf("%w: %d servers use this Redis; stop them, or wait until one that was killed counts as dead", store.ErrLocked, len(others))
	}
	return nil
}
