package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrReplicas says that too few replicas have the changes of a call. The changes may be lost, or
// not.
var ErrReplicas = errors.New("too few replicas have it")

// replicas says how many replicas must have a durable change, and how long they may take.
type replicas struct {
	count   int
	timeout time.Duration
	synced  bool // to disk, and Redis itself too: by WAITAOF
}

func (r replicas) command() []any {
	if r.synced {
		return []any{"WAITAOF", 1, r.count, r.timeout.Milliseconds()}
	}
	return []any{"WAIT", r.count, r.timeout.Milliseconds()}
}

// answer returns how many replicas have it. WAITAOF counts Redis itself first.
func (r replicas) answer(cmd *redis.Cmd) (n int, err error) {
	if !r.synced {
		return cmd.Int()
	}
	counts, err := cmd.Int64Slice()
	if err != nil || len(counts) != 2 || counts[0] < 1 {
		return 0, err
	}
	return int(counts[1]), nil
}

// ask adds a request for confirmation by replicas to a pipeline, if any of its calls needs that.
// The caller must call the returned function afterwards: it fails those calls if too few replicas
// have confirmed.
func (r replicas) ask(ctx context.Context, batch redis.Pipeliner, calls []*Call) (confirm func()) {
	var durable []*Call
	for _, c := range calls {
		if c.Durable && r.count > 0 {
			durable = append(durable, c)
		}
	}
	if len(durable) == 0 {
		return func() {}
	}
	cmd := batch.Do(ctx, r.command()...)
	return func() {
		n, err := r.answer(cmd)
		if err == nil && n >= r.count {
			return
		}
		for _, c := range durable {
			if c.Err != nil {
				continue
			}
			c.Err = err
			if err == nil {
				c.Err = fmt.Errorf("%w: %d of %d within %s", ErrReplicas, n, r.count, r.timeout)
			}
		}
	}
}
