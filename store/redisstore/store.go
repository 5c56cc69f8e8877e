package redisstore

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"openccs/store"
)

// Store is a store in Redis.
type Store struct {
	// Static after Open.
	rdb    redis.UniversalClient
	prefix string // of every key
	log    *zap.Logger
	opts   Options

	durability string // what an acknowledgement is worth
	waitAOF    bool   // Redis can wait until what it has is synced to disk

	known    *knownTokens
	projects *projectCache

	closed atomic.Bool
}

// key is a key of Redis: the prefix, a hash tag that decides the slot, and what it is.
func (s *Store) key(tag, what string) string { return s.prefix + "{" + tag + "}:" + what }

func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return store.ErrClosed
	}
	return ctx.Err()
}

// translate makes a client's error one of package store's where there is one.
func (s *Store) translate(err error) error {
	if errors.Is(err, redis.ErrClosed) || s.closed.Load() && errors.Is(err, net.ErrClosed) {
		return store.ErrClosed
	}
	return err
}
