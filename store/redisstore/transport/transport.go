package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Options are the options of a Transport.
type Options struct {
	Logger      *zap.Logger
	Scripts     *Scripts // that calls may run
	Retry       time.Duration
	Wait        int // replicas that must confirm what is durable
	WaitTimeout time.Duration

	// LookKey returns the key that is written to find out whether the Redis of another key works.
	// It must be in the same slot.
	LookKey func(key string) string
}

// Transport runs calls on Redis. Any goroutine may use it.
type Transport struct {
	// Static after New, except waitAOF, which is set before the first call.
	rdb     redis.UniversalClient
	log     *zap.Logger
	opts    Options
	waitAOF bool // Redis can wait until what it has is synced to disk

	closed atomic.Bool
	pipes  pipes
}

// New makes a Transport that owns its client from then on.
func New(rdb redis.UniversalClient, o Options) *Transport {
	t := &Transport{rdb: rdb, log: o.Logger, opts: o}
	t.pipes.byClient = map[redis.UniversalClient]*shard{}
	t.pipes.ctx, t.pipes.cancel = context.WithCancel(context.Background())
	t.pipes.looks.Go(t.probeLoop)
	switch c := rdb.(type) {
	case *redis.ClusterClient:
		c.OnNewNode(func(n *redis.Client) { n.AddHook(dialHook{}) })
	default:
		c.AddHook(dialHook{})
	}
	return t
}

// WaitForSync makes replicas confirm a change only after they synced it to disk. It must be called
// before the first call.
func (t *Transport) WaitForSync(synced bool) { t.waitAOF = synced }

// StopTaking makes every method but RunClosing return store.ErrClosed.
func (t *Transport) StopTaking() { t.closed.Store(true) }

// Close waits for running calls and closes the client.
func (t *Transport) Close() error {
	t.closed.Store(true)
	t.pipes.close()
	return t.rdb.Close()
}

// Usable returns why no call can be made now: the Transport is closed, or ctx has ended.
func (t *Transport) Usable(ctx context.Context) error {
	if t.closed.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

// Translate turns a client's error into one of package store where there is one.
func (t *Transport) Translate(err error) error {
	if errors.Is(err, redis.ErrClosed) || t.closed.Load() && errors.Is(err, net.ErrClosed) {
		return store.ErrClosed
	}
	if redis.HasErrorPrefix(err, "TAKENOVER") {
		return store.ErrTakenOver
	}
	if err != nil && !errors.Is(err, store.ErrUnavailable) && unavailable(err) {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}
