package redisstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
)

// stall is how long calls for several shards wait for one of them before they go on without it.
const stall = 2 * time.Second

// shard is a Redis: the only one, or a primary of a cluster.
type shard struct {
	client    redis.UniversalClient
	health    health
	failsFast bool // there are others, which shall not wait for this one
	plain     *pipe
	durable   *pipe         // of calls that replicas have to confirm, for which the others do not wait; plain if none have to
	gone      chan struct{} // closed when it is used no more
}

// pipes is each Redis.
type pipes struct {
	ctx    context.Context // of looks; ends with the store
	cancel context.CancelFunc
	looks  sync.WaitGroup

	mu       sync.RWMutex
	byClient map[redis.UniversalClient]*shard
	closed   bool
}

// replicas is what replicas have to confirm.
func (s *Store) replicas() replicas { return replicas{s.opts.Wait, s.opts.WaitTimeout, s.waitAOF} }

// send sends calls, each to the Redis that has its slot, and returns when all have ended.
func (s *Store) send(ctx context.Context, calls []*call) {
	cluster, ok := s.rdb.(*redis.ClusterClient)
	if !ok {
		s.sendTo(ctx, s.rdb, calls, false)
		return
	}
	shards := map[*redis.Client][]*call{}
	for _, c := range calls {
		client, err := cluster.MasterForKey(ctx, c.keys[0])
		if err != nil {
			c.err = dialError{err} // nothing was sent
			continue
		}
		shards[client] = append(shards[client], c)
	}
	if len(shards) == 1 {
		for client, calls := range shards {
			s.sendTo(ctx, client, calls, false)
		}
	} else {
		var all sync.WaitGroup
		for client, calls := range shards {
			all.Go(func() { s.sendTo(ctx, client, calls, true) })
		}
		all.Wait()
	}
	for _, c := range calls {
		if c.err != nil && untouched(c.err) {
			cluster.ReloadState(ctx)
			return
		}
	}
}

// sendTo sends calls to one Redis. Several says that others wait for these too.
func (s *Store) sendTo(ctx context.Context, client redis.UniversalClient, calls []*call, several bool) {
	sh := s.shardOf(client, calls[0].keys[0])
	if sh == nil {
		for _, c := range calls {
			c.err = store.ErrClosed
		}
		return
	}
	plain, durable := sh.admit(ctx, calls)
	if len(durable) == 0 {
		sh.carry(ctx, sh.plain, plain, stall)
	} else {
		patience := stall
		if !several {
			patience += s.opts.WaitTimeout
		}
		if len(plain) == 0 {
			sh.carry(ctx, sh.durable, durable, patience)
		} else {
			var both sync.WaitGroup
			both.Go(func() { sh.carry(ctx, sh.durable, durable, patience) })
			sh.carry(ctx, sh.plain, plain, stall)
			both.Wait()
		}
	}
	for _, c := range calls {
		if c.err == nil {
			continue
		}
		switch {
		case errors.Is(c.err, redis.ErrClosed) && !s.closed.Load():
			s.pipes.drop(sh)
			c.err = errShardGone
		case trouble(c.err):
			sh.health.found(c.err)
		}
		if c.relaxed && errors.Is(c.err, errReplicas) {
			c.err = nil // Redis has done it
		}
	}
}

// carry has a pipe carry out calls. If all are hasty, they fail with errStalled after the patience.
func (sh *shard) carry(ctx context.Context, p *pipe, calls []*call, patience time.Duration) {
	if len(calls) == 0 {
		return
	}
	if !sh.failsFast || !allHasty(calls) {
		sh.await(ctx, p.send(ctx, calls))
		return
	}
	// What the pipe has in its hands stays its own if nobody waits any more.
	copies, sent := make([]call, len(calls)), make([]*call, len(calls))
	for i, c := range calls {
		copies[i] = *c
		sent[i] = &copies[i]
	}
	if !p.send(ctx, sent).await(ctx, patience) {
		for _, c := range calls {
			c.err = errStalled
		}
		return
	}
	for i, c := range calls {
		c.reply, c.err = copies[i].reply, copies[i].err
	}
}

// await returns when a parcel has ended. A parcel that the pipe has not taken when the Redis falls silent gives up.
func (sh *shard) await(ctx context.Context, l *parcel) {
	select {
	case <-l.done:
		return
	case <-sh.health.falls():
		l.giveUp(errFallen)
	case <-ctx.Done():
	case <-l.pipe.gone:
	}
	l.await(ctx, 0)
}

func allHasty(calls []*call) bool {
	for _, c := range calls {
		if !c.hasty {
			return false
		}
	}
	return true
}

// shardOf returns a Redis, perhaps the only one, which has a key; nil when the store is closed.
func (s *Store) shardOf(client redis.UniversalClient, key string) *shard {
	ps := &s.pipes
	ps.mu.RLock()
	sh := ps.byClient[client]
	ps.mu.RUnlock()
	if sh != nil {
		return sh
	}
	sh, made := s.makeShard(client, key)
	if made && sh.health.unclear.Load() {
		sh.health.begin()
	}
	return sh
}

func (s *Store) makeShard(client redis.UniversalClient, key string) (sh *shard, made bool) {
	ps := &s.pipes
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if sh := ps.byClient[client]; sh != nil || ps.closed {
		return sh, false
	}
	only, wait := client == s.rdb, s.replicas()
	sh = &shard{client: client, failsFast: !only, gone: make(chan struct{})}
	sh.health.fallen = make(chan struct{})
	sh.health.s, sh.health.client, sh.health.key, sh.health.gone, sh.health.only = s, client, s.lookKey(key), sh.gone, only
	sh.plain = newPipe(client, wait, only, sh.gone)
	sh.durable = sh.plain
	if wait.count > 0 {
		sh.durable = newPipe(client, wait, only, sh.gone)
		if sh.failsFast {
			sh.health.unproven() // a replica that was made the primary may have none itself
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
		sh.plain.lanes.Wait()
		sh.durable.lanes.Wait()
	}
	ps.looks.Wait()
}
