package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// safety is the durability of an acknowledged message, worst first.
type safety int

const (
	unknown safety = iota // Redis does not answer the question
	inMemory
	unsynced
	everySecond
	always
)

// String returns the sentence for operators.
func (s safety) String() string {
	return [...]string{
		unknown:     "Redis does not say how it keeps data, so nobody knows what an acknowledged message survives",
		inMemory:    "an acknowledged message is in Redis' memory only: when Redis ends, it is lost (appendonly no)",
		unsynced:    "an acknowledged message is in Redis' log, synced to disk when the system likes: a crash of the machine loses what was not (appendfsync no)",
		everySecond: "an acknowledged message is in Redis' log, synced to disk each second: a crash of the machine loses up to a second (appendfsync everysec)",
		always:      "an acknowledged message was synced to Redis' disk before (appendfsync always)",
	}[s]
}

// Durability says in one sentence what the acknowledgement of a message guarantees, by the settings
// of Redis when the store was opened.
func (s *Store) Durability() string { return s.durability }

// askDurability asks each primary how it keeps data, and refuses one that discards data.
func (s *Store) askDurability(ctx context.Context) error {
	var mu sync.Mutex
	worst, waitAOF := always, true
	err := s.onPrimaries(ctx, func(ctx context.Context, c *redis.Client) error {
		is, err := s.askPrimary(ctx, c)
		if err != nil {
			return err
		}
		hasWaitAOF := is > inMemory && knows(ctx, c, "WAITAOF")
		mu.Lock()
		defer mu.Unlock()
		worst, waitAOF = min(worst, is), waitAOF && hasWaitAOF
		return nil
	})
	if err != nil {
		return err
	}
	s.transport.WaitForSync(waitAOF)
	s.durability = worst.String()
	switch {
	case s.opts.Wait <= 0:
	case waitAOF:
		s.durability = fmt.Sprintf("an acknowledged message was synced to the disks of Redis and of %d of its replicas before", s.opts.Wait)
	default:
		s.durability += fmt.Sprintf("; before, %d of its replicas have it in memory", s.opts.Wait)
	}
	return nil
}

// askPrimary asks one primary.
func (s *Store) askPrimary(ctx context.Context, c *redis.Client) (safety, error) {
	conf := map[string]string{}
	for _, name := range []string{"appendonly", "appendfsync", "maxmemory", "maxmemory-policy"} {
		value, err := c.ConfigGet(ctx, name).Result()
		if mayNot(err) {
			s.log.Warn("Redis does not let this user ask how it keeps data: allow CONFIG GET, and see to it that maxmemory-policy is noeviction",
				zap.String("redis", c.Options().Addr), zap.Error(err))
			return unknown, s.askReplicas(ctx, c)
		}
		if err != nil {
			return unknown, err
		}
		conf[name] = value[name]
	}
	if err := s.checkEviction(c, conf); err != nil {
		return unknown, err
	}
	is := everySecond
	switch {
	case conf["appendonly"] == "no":
		is = inMemory
	case conf["appendfsync"] == "no":
		is = unsynced
	case conf["appendfsync"] == "always":
		is = always
	}
	return is, s.askReplicas(ctx, c)
}

// checkEviction refuses a Redis that evicts keys when it is full. All keys of queues have an
// expiry, so volatile policies evict them too.
func (s *Store) checkEviction(c *redis.Client, conf map[string]string) error {
	policy, limited := conf["maxmemory-policy"], conf["maxmemory"] != "0"
	switch {
	case strings.HasPrefix(policy, "allkeys-"):
	case strings.HasPrefix(policy, "volatile-") && limited:
	default:
		return nil
	}
	if s.opts.AllowEviction {
		s.log.Warn("Redis throws messages away when it is full", zap.String("redis", c.Options().Addr), zap.String("policy", policy))
		return nil
	}
	return fmt.Errorf("the Redis at %s throws messages away when it is full (maxmemory-policy %s): set it to noeviction, or give --allow-eviction if they may be lost",
		c.Options().Addr, policy)
}

// askReplicas warns of a primary with fewer replicas than must confirm.
func (s *Store) askReplicas(ctx context.Context, c *redis.Client) error {
	if s.opts.Wait <= 0 {
		return nil
	}
	// With a timeout of zero, WAIT counts the replicas that have everything of this connection:
	// those that are connected.
	n, err := c.Wait(ctx, 0, 1).Result()
	if err != nil {
		return err
	}
	if n < int64(s.opts.Wait) {
		s.log.Warn("Redis has fewer replicas than have to answer: nothing is acknowledged until there are enough",
			zap.String("redis", c.Options().Addr), zap.Int64("replicas", n), zap.Int("limit", s.opts.Wait))
	}
	return nil
}

// knows reports whether Redis has a command.
func knows(ctx context.Context, c *redis.Client, command string) bool {
	info, err := c.Do(ctx, "COMMAND", "INFO", command).Slice()
	return err == nil && len(info) == 1 && info[0] != nil
}

// mayNot reports whether an error says that the user may not run a command, or that this Redis
// cannot.
func mayNot(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer) && (strings.HasPrefix(answer.Error(), "NOPERM") || strings.HasPrefix(answer.Error(), "ERR unknown"))
}
