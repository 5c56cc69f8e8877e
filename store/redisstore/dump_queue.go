package redisstore

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
)

// dumpEntries is how many entries of a queue a dump reads at once.
const dumpEntries = 100

// queues reads some queues: the beginnings of all at once, and then the rests one by one.
func (d *dump) queues(queues []store.Key) error {
	heads := make([]*redis.StringCmd, len(queues))
	err := d.s.transport.Read(d.ctx, func(p redis.Pipeliner) {
		for i, k := range queues {
			heads[i] = p.HGet(d.ctx, d.s.queueKeys(k)[0], "h")
		}
	})
	if err != nil {
		return err
	}
	for _, h := range heads {
		if head := h.Val(); len(head) >= 8 {
			d.Seq = max(d.Seq, uint64(math.Float64frombits(binary.LittleEndian.Uint64([]byte(head)))))
		}
	}
	records, places, err := d.records(queues, 0)
	if err != nil {
		return err
	}
	for i, k := range queues {
		if err := d.entries(k, places[i], records[i]); err != nil {
			return err
		}
		for from, more := dumpEntries, len(places[i]) == dumpEntries; more; from += dumpEntries {
			records, places, err := d.records([]store.Key{k}, from)
			if err != nil {
				return err
			}
			if err := d.entries(k, places[0], records[0]); err != nil {
				return err
			}
			more = len(places[0]) == dumpEntries
		}
	}
	return nil
}

// records reads a part of each queue, in the order in which entries wait or are claimed.
func (d *dump) records(queues []store.Key, from int) (records [][]any, places [][]string, err error) {
	orders := make([]*redis.StringSliceCmd, len(queues))
	err = d.s.transport.Read(d.ctx, func(p redis.Pipeliner) {
		for i, k := range queues {
			orders[i] = p.ZRange(d.ctx, d.s.queueKeys(k)[1], int64(from), int64(from+dumpEntries-1))
		}
	})
	if err != nil {
		return nil, nil, err
	}
	values := make([]*redis.SliceCmd, len(queues))
	err = d.s.transport.Read(d.ctx, func(p redis.Pipeliner) {
		for i, k := range queues {
			if len(orders[i].Val()) > 0 {
				values[i] = p.HMGet(d.ctx, d.s.queueKeys(k)[0], orders[i].Val()...)
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	records, places = make([][]any, len(queues)), make([][]string, len(queues))
	for i, v := range values {
		if places[i] = orders[i].Val(); v != nil {
			records[i] = v.Val()
		}
	}
	return records, places, nil
}

// entries converts the data of a queue into pages.
func (d *dump) entries(k store.Key, places []string, records []any) error {
	for i, place := range places {
		record, ok := records[i].(string)
		if !ok {
			continue // the end of the order, which is no entry
		}
		e, err := decode(k, place, record)
		if err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
		if !e.Expires.After(d.now) {
			continue
		}
		if record[0]&flagAway != 0 {
			e.Limit.Overflow = store.Discard
		}
		if err := d.Room(); err != nil {
			return err
		}
		d.Entries = append(d.Entries, e)
	}
	return nil
}
