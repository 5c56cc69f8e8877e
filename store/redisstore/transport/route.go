package transport

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
)

// stall is how long calls for several shards wait for one of them before they continue without it.
const stall = 2 * time.Second

// shard is a Redis: the only one, or a primary of a cluster.
type shard struct {
	client redis.UniversalClient
	health health
	// failsFast says that there are other shards, which must not wait for this one.
	failsFast bool
	plain     *pipeline
	// durable has the calls that replicas must confirm, so that the others do not wait for those.
	// It is plain if no call needs replicas.
	durable *pipeline
	gone    chan struct{} // closed when it is no longer used
}

// pipelines holds each Redis.
type pipes struct {
	ctx    context.Context // of looks; ends with the store
	cancel context.CancelFunc
	looks  sync.WaitGroup

	mu       sync.RWMutex
	byClient map[redis.UniversalClient]*shard
	closed   bool
}

// replicas returns the replicas that must confirm a change.
func (t *Transport) replicas() replicas { return replicas{t.opts.Wait, t.opts.WaitTimeout, t.waitAOF} }

// send sends calls, each to the Redis that has its slot, and returns when all have ended.
func (t *Transport) send(ctx context.Context, calls []*Call) {
	cluster, ok := t.rdb.(*redis.ClusterClient)
	if !ok {
		t.sendTo(ctx, t.rdb, calls, false)
		return
	}
	shards := map[*redis.Client][]*Call{}
	for _, c := range calls {
		client, err := cluster.MasterForKey(ctx, c.Keys[0])
		if err != nil {
			c.Err = dialError{err} // nothing was sent
			continue
		}
		shards[client] = append(shards[client], c)
	}
	if len(shards) == 1 {
		for client, calls := range shards {
			t.sendTo(ctx, client, calls, false)
		}
	} else {
		var all sync.WaitGroup
		for client, calls := range shards {
			all.Go(func() { t.sendTo(ctx, client, calls, true) })
		}
		all.Wait()
	}
	for _, c := range calls {
		if c.Err != nil && untouched(c.Err) {
			cluster.ReloadState(ctx)
			return
		}
	}
}

// sendTo sends calls to one Redis. If several is true, calls for other shards wait for these too.
func (t *Transport) sendTo(ctx context.Context, client redis.UniversalClient, calls []*Call, several bool) {
	sh := t.shardOf(client, calls[0].Keys[0])
	if sh == nil {
		for _, c := range calls {
			c.Err = store.ErrClosed
		}
		return
	}
	plain, durable := sh.admit(ctx, calls)
	if len(durable) == 0 {
		sh.runOn(ctx, sh.plain, plain, stall)
	} else {
		patience := stall
		if !several {
			patience += t.opts.WaitTimeout
		}
		if len(plain) == 0 {
			sh.runOn(ctx, sh.durable, durable, patience)
		} else {
			var both sync.WaitGroup
			both.Go(func() { sh.runOn(ctx, sh.durable, durable, patience) })
			sh.runOn(ctx, sh.plain, plain, stall)
			both.Wait()
		}
	}
	for _, c := range calls {
		if c.Err == nil {
			continue
		}
		switch {
		case errors.Is(c.Err, redis.ErrClosed) && !t.closed.Load():
			t.pipes.drop(sh)
			c.Err = errShardGone
		case trouble(c.Err):
			sh.health.found(c.Err)
		}
		if c.Relaxed && errors.Is(c.Err, ErrReplicas) {
			c.Err = nil // Redis has done it
		}
	}
}

// runOn passes calls to a pipeline. If all are hasty, they fail with errStalled after the patience.
func (sh *shard) runOn(ctx context.Context, p *pipeline, calls []*Call, patience time.Duration) {
	if len(calls) == 0 {
		return
	}
	if !sh.failsFast || !allHasty(calls) {
		sh.await(ctx, p.send(ctx, calls))
		return
	}
	// A call that the pipeline has taken stays the pipeline's, even if its caller no longer waits.
	copies, sent := make([]Call, len(calls)), make([]*Call, len(calls))
	for i, c := range calls {
		copies[i] = *c
		sent[i] = &copies[i]
	}
	if !p.send(ctx, sent).await(ctx, patience) {
		for _, c := range calls {
			c.Err = errStalled
		}
		return
	}
	for i, c := range calls {
		c.Reply, c.Err = copies[i].Reply, copies[i].Err
	}
}

// await returns when a request has ended. A request that the pipeline has not taken when the Redis
// falls silent gives up.
func (sh *shard) await(ctx context.Context, l *request) {
	select {
	case <-l.done:
		return
	case <-sh.health.falls():
		l.cancel(errFallen)
	case <-ctx.Done():
	case <-l.pipe.gone:
	}
	l.await(ctx, 0)
}

func allHasty(calls []*Call) bool {
	for _, c := range calls {
		if !c.Hasty {
			return false
		}
	}
	return true
}

// shardOf returns the Redis that has a key, perhaps the only one; nil when the store is closed.
func (t *Transport) shardOf(client redis.UniversalClient, key string) *shard {
	ps := &t.pipes
	ps.mu.RLock()
	sh := ps.byClient[client]
	ps.mu.RUnlock()
	if sh != nil {
		return sh
	}
	sh, made := t.makeShard(client, key)
	if made && sh.health.unclear.Load() {
		sh.health.begin()
	}
	return sh
}

func (t *Transport) makeShard(client redis.UniversalClient, key string) (sh *shard, made bool) {
	ps := &t.pipes
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if sh := ps.byClient[client]; sh != nil || ps.closed {
		return sh, false
	}
	only, wait := client == t.rdb, t.replicas()
	sh = &shard{client: client, failsFast: !only, gone: make(chan struct{})}
	sh.health.fallen = make(chan struct{})
	sh.health.t, sh.health.client, sh.health.key, sh.health.gone, sh.health.only = t, client, t.opts.LookKey(key), sh.gone, only
	sh.plain = newPipeline(client, t.opts.Scripts, wait, sh.gone)
	sh.durable = sh.plain
	if wait.count > 0 {
		sh.durable = newPipeline(client, t.opts.Scripts, wait, sh.gone)
		if sh.failsFast {
			sh.health.unproven() // a promoted replica may have no replicas itself
		}
	}
	ps.byClient[client] = sh
	return sh, true
}

// drop ends the use of a Redis that has left the cluster.
func (ps *pipes) drop(sh *shard) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.byClient[sh.client] == sh {
		delete(ps.byClient, sh.client)
		close(sh.gone)
	}
}

// close ends all use.
func (ps *pipes) close() {
	ps.mu.Lock()
	ps.closed = true
	all := ps.byClient
	ps.byClient = nil
	for _, sh := range all {
		close(sh.gone)
	}
	ps.mu.Unlock()
	ps.cancel()
	for _, sh := range all {
		sh.plain.working.Wait()
		sh.durable.working.Wait()
	}
	ps.looks.Wait()
}
