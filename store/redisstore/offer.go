package redisstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
)

// offerNote is a message that is never stored, on its way to another node.
func offerNote(e *store.Entry) string {
	b := append([]byte{noteOffer}, e.Key.String()...)
	return string(appendRecord(append(b, 0), e))
}

// offered reads what offerNote has written behind the queue.
func offered(k store.Key, record string) (store.Entry, error) { return decode(k, "0", record) }

// Offer implements store.Nodes. A message is taken once a node is known that has a session for its queue.
func (s *Store) Offer(ctx context.Context, batch []store.Entry) ([]bool, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	taken := make([]bool, len(batch))
	owners := make([]*redis.StringCmd, len(batch))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range batch {
			owners[i] = p.HGet(ctx, s.key(batch[i].Key.String(), "q"), "o")
		}
		return nil
	})
	if err != nil && err != redis.Nil {
		return nil, fmt.Errorf("look for sessions of other nodes: %w", s.translate(err))
	}
	self := s.node()
	for i := range batch {
		for owner := range strings.FieldsSeq(owners[i].Val()) {
			if node := nodeOf(owner); node != self {
				taken[i] = s.news.tell(node, offerNote(&batch[i]))
				break
			}
		}
	}
	return taken, nil
}

// ProjectChanged implements store.Nodes.
func (s *Store) ProjectChanged(ctx context.Context, sender string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	live, err := s.rdb.HKeys(ctx, s.key(nodesTag, "live")).Result()
	if err != nil {
		return fmt.Errorf("look for other nodes: %w", s.translate(err))
	}
	for _, node := range live {
		if node != s.node() {
			s.news.tell(node, string(rune(noteProject))+sender)
		}
	}
	return nil
}
