package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

var _ store.Repeats = (*Store)(nil)

// repeatSlot is the span of time whose marks share one key. All nodes write to the same keys.
const repeatSlot = 10 * time.Second

// repeats counts the marks of this node, so that a key lives no longer than its marks are among the
// newest.
type repeats struct {
	mu          sync.Mutex
	slot        int64
	count, last int // marks of slot, and of the slot before
}

// add counts n marks. It returns the slot of their key, and how long that must live.
func (r *repeats) add(now time.Time, n int) (slot int64, lasts time.Duration) {
	slot = now.UnixMilli() / repeatSlot.Milliseconds()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case slot == r.slot+1:
		r.last, r.count, r.slot = r.count, 0, slot
	case slot != r.slot:
		r.last, r.count, r.slot = 0, 0, slot
	}
	r.count += n
	slots := 1 + store.MaxRepeats/max(r.count, r.last)
	return slot, min(time.Duration(slots)*repeatSlot, store.RepeatsFor) + repeatSlot
}

func (s *Store) repeatsKey(slot int64) string { return s.key("repeats", strconv.FormatInt(slot, 10)) }

// keepsRepeats reports whether marks are stored. In a cluster the key would be on one primary and
// the queues on all, so that the two could not be written in one step.
func (s *Store) keepsRepeats() bool { return s.opts.Repeats && !s.sharded() }

// appendMarks appends the place and the values of a lot's marks, or that it has none.
func (s *Store) appendMarks(b []byte, l *lot, now time.Time) []byte {
	if !l.marked {
		return transport.AppendText(transport.AppendText(b, ""), "")
	}
	slot, lasts := s.repeats.add(now, len(l.at))
	b = transport.AppendText(b, s.repeatsKey(slot))
	b = binary.LittleEndian.AppendUint32(b, uint32(marksHeader+len(l.marks)))
	return append(transport.AppendNumber(b, lasts.Milliseconds()), l.marks...)
}

// Remembered reads the newest marks of all nodes.
func (s *Store) Remembered(ctx context.Context, now time.Time) ([]store.Mark, error) {
	if !s.keepsRepeats() {
		return nil, fmt.Errorf("marks in this Redis: %w", errors.ErrUnsupported)
	}
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	// The clock of another node may be ahead.
	newest := now.UnixMilli()/repeatSlot.Milliseconds() + 1
	var texts []string
	total := 0
	for slot := newest; slot >= newest-1-int64(store.RepeatsFor/repeatSlot) && total < store.MaxRepeats; slot-- {
		text, err := s.rdb.GetRange(ctx, s.repeatsKey(slot), 0, math.MaxInt32).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("read marks: %w", s.transport.Translate(err))
		}
		texts = append(texts, text)
		total += len(text) / len(store.Mark{})
	}
	var marks []store.Mark
	for i := len(texts) - 1; i >= 0; i-- {
		for text := texts[i]; len(text) >= len(store.Mark{}); text = text[len(store.Mark{}):] {
			if m := store.Mark([]byte(text[:len(store.Mark{})])); m != (store.Mark{}) {
				marks = append(marks, m)
			}
		}
	}
	return marks[max(0, len(marks)-2*store.MaxRepeats):], nil
}
