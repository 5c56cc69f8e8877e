package redisstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/pages"
)

// dumpKeys is about how many keys a dump asks for at once.
const dumpKeys = 100

var _ store.Movable = (*Store)(nil)

// Dump lists accounts, and then the keys of each primary in turn, in the order of Redis.
func (s *Store) Dump(ctx context.Context, from string, now time.Time) iter.Seq2[*store.Page, error] {
	return pages.Of(ctx, func(w *pages.Writer) error {
		if err := s.requireNoOtherNode(ctx); err != nil {
			return err
		}
		shards, topology, err := s.topology(ctx)
		if err != nil {
			return err
		}
		d := &dump{Writer: w, s: s, ctx: ctx, now: now}
		d.Seq = uint64(clock())
		at, err := parseDumpPlace(from, topology)
		if err != nil {
			return err
		}
		if at.shard < 0 {
			if err := d.accounts(); err != nil {
				return err
			}
			at.shard = 0
		}
		return d.keys(shards, at)
	})
}

// dump is a call of Dump.
type dump struct {
	*pages.Writer
	s   *Store
	ctx context.Context
	now time.Time
}

// dumpPlace is the position of a dump.
type dumpPlace struct {
	topology string
	shard    int    // whose keys are listed; -1 before the first
	cursor   uint64 // as returned by Redis; invalid after a restart of Redis
}

func (p dumpPlace) String() string { return fmt.Sprintf("%s %d %d", p.topology, p.shard, p.cursor) }

// parseDumpPlace parses the result of String. If other servers are in use now, or they were
// restarted, their cursors are invalid and the dump begins again.
func parseDumpPlace(from, topology string) (p dumpPlace, err error) {
	beginning := dumpPlace{topology: topology, shard: -1}
	if from == "" {
		return beginning, nil
	}
	if _, err := fmt.Sscanf(from, "%s %d %d", &p.topology, &p.shard, &p.cursor); err != nil {
		return p, fmt.Errorf("%q is no place to go on from: %w", from, err)
	}
	if p.topology != topology {
		return beginning, nil
	}
	return p, nil
}

// topology returns the primaries, in an order that is stable until one is restarted, and a name for
// that.
func (s *Store) topology(ctx context.Context) (shards []redis.UniversalClient, name string, err error) {
	shards, err = s.primaries(ctx)
	if err != nil {
		return nil, "", err
	}
	runs := make(map[redis.UniversalClient]string, len(shards))
	for _, c := range shards {
		info, err := c.Info(ctx, "server").Result()
		if err != nil {
			return nil, "", s.transport.Translate(err)
		}
		_, run, _ := strings.Cut(info, "run_id:")
		runs[c], _, _ = strings.Cut(run, "\r")
	}
	slices.SortFunc(shards, func(a, b redis.UniversalClient) int { return cmp.Compare(runs[a], runs[b]) })
	h := sha256.New()
	for _, c := range shards {
		h.Write([]byte(runs[c]))
	}
	return shards, fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// keys reads the data of all keys of all shards from a position on.
func (d *dump) keys(shards []redis.UniversalClient, at dumpPlace) error {
	for ; at.shard < len(shards); at.shard++ {
		for {
			d.Next = at.String()
			keys, next, err := shards[at.shard].Scan(d.ctx, at.cursor, globEscape(d.s.prefix)+"{[cdsrg]:*", dumpKeys).Result()
			if err != nil {
				return d.s.transport.Translate(err)
			}
			if err := d.under(keys); err != nil {
				return err
			}
			if at.cursor = next; next == 0 {
				break
			}
		}
	}
	d.Next = at.String()
	return nil
}

// under reads the data of some keys.
func (d *dump) under(keys []string) error {
	var queues, devices []store.Key
	var users []string
	var places []store.Place
	var groups []store.GroupID
	var remembered []rememberedKey
	for _, key := range keys {
		tag, what, _ := strings.Cut(strings.TrimPrefix(key, d.s.prefix+"{"), "}:")
		if user, ok := strings.CutPrefix(tag, userTag); ok && what == channelsName {
			users = append(users, user)
			continue
		}
		if strings.HasPrefix(tag, groupTag) {
			id, err := d.s.parseGroupKey(key)
			if err != nil {
				return err
			}
			groups = append(groups, id)
			continue
		}
		k, err := store.ParseKey(tag)
		if err != nil {
			continue
		}
		sum, isDedup := strings.CutPrefix(what, dedupMark)
		slot, isTopics := strings.CutPrefix(what, topicsMark)
		switch {
		case what == "w":
			queues = append(queues, k)
		case what == "reg":
			devices = append(devices, k)
		case isTopics:
			p, err := placeOfKey(k, slot)
			if err != nil {
				return err
			}
			places = append(places, p)
		case isDedup && len(sum) == len(store.DedupSum{}):
			remembered = append(remembered, rememberedKey{key, store.Remembered{Key: k, Sum: store.DedupSum([]byte(sum))}})
		}
	}
	if err := d.users(users); err != nil {
		return err
	}
	if err := d.registrations(devices); err != nil {
		return err
	}
	if err := d.subscriptions(places); err != nil {
		return err
	}
	if err := d.groups(groups); err != nil {
		return err
	}
	if err := d.remembered(remembered); err != nil {
		return err
	}
	return d.queues(queues)
}
