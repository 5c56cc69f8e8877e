package redisstore

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"

	"openccs/store"
)

// pipes is the pipe of each Redis: of the only one, or of each primary of a cluster.
type pipes struct {
	mu       sync.RWMutex
	byClient map[redis.UniversalClient]*pipe
	closed   bool
}

// send sends calls, each to the Redis that has its slot, and returns when all have ended.
func (s *Store) send(ctx context.Context, calls []*call) {
	cluster, ok := s.rdb.(*redis.ClusterClient)
	if !ok {
		s.sendTo(ctx, s.rdb, calls)
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
			s.sendTo(ctx, client, calls)
		}
	} else {
		var all sync.WaitGroup
		for client, calls := range shards {
			all.Go(func() { s.sendTo(ctx, client, calls) })
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

func (s *Store) sendTo(ctx context.Context, client redis.UniversalClient, calls []*call) {
	p := s.pipes.of(client, replicas{s.opts.Wait, s.opts.WaitTimeout, s.waitAOF}, client == s.rdb)
	if p == nil {
		for _, c := range calls {
			c.err = store.ErrClosed
		}
		return
	}
	p.send(ctx, calls).await(ctx)
	for _, c := range calls {
		if c.err != nil && errors.Is(c.err, redis.ErrClosed) && !s.closed.Load() {
			s.pipes.drop(p)
			c.err = errShardGone
		}
	}
}

// of returns the pipe of a Redis, perhaps the only one; nil when the store is closed.
func (ps *pipes) of(client redis.UniversalClient, wait replicas, only bool) *pipe {
	ps.mu.RLock()
	p := ps.byClient[client]
	ps.mu.RUnlock()
	if p != nil {
		return p
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.byClient[client]; p != nil || ps.closed {
		return p
	}
	p = newPipe(client, wait, only)
	ps.byClient[client] = p
	return p
}

// drop ends the pipe of a Redis that has left the cluster.
func (ps *pipes) drop(p *pipe) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.byClient[p.client] == p {
		delete(ps.byClient, p.client)
		close(p.gone)
	}
}

// close ends all pipes.
func (ps *pipes) close() {
	ps.mu.Lock()
	ps.closed = true
	all := ps.byClient
	ps.byClient = nil
	for _, p := range all {
		close(p.gone)
	}
	ps.mu.Unlock()
	for _, p := range all {
		p.lanes.Wait()
	}
}
