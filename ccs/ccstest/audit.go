package ccstest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
)

// audit checks that no message is unaccounted for: in each direction, accepted - ended = waiting.
// It adds up what all servers on a store have counted, restarts included, and compares that with
// the store when the last of them stops.
type audit struct {
	mu      sync.Mutex
	running int
	total   [directions]ccs.Counts // of the servers that have stopped
}

const directions = int(ccs.Receipts) + 1

// Unaudited skips the count of messages at the end. reason must say why the count would be wrong,
// such as a store that loses what it has.
func Unaudited(reason string) Option {
	if reason == "" {
		panic("ccstest: Unaudited without a reason")
	}
	return func(c *server.Config) { c.Audit = func(*ccs.Tally, store.Store) error { return nil } }
}

// Waiting counts the entries of a store by the direction of their messages, expired ones included.
// No other process may use the store.
func Waiting(ctx context.Context, st store.Store) (map[ccs.Direction]int64, error) {
	movable, ok := st.(store.Movable)
	if !ok {
		return nil, fmt.Errorf("%T cannot be dumped", st)
	}
	waiting := map[ccs.Direction]int64{}
	for page, err := range movable.Dump(ctx, "", time.Unix(0, 0)) {
		if err != nil {
			return nil, err
		}
		for i := range page.Entries {
			waiting[ccs.DirectionOf(page.Entries[i].Key)]++
		}
	}
	return waiting, nil
}

// started notes that one more server uses the store.
func (a *audit) started() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running++
}

// auditPatience is how long an audit waits for calls of the store that nobody waits for.
const auditPatience = 5 * time.Second

// stopped adds the counts of a server. If it was the last one, they must match the store.
func (a *audit) stopped(tally *ccs.Tally, st store.Store) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	before := a.total
	ctx, cancel := context.WithTimeout(context.Background(), auditPatience)
	defer cancel()
	for {
		for d := range a.total {
			c, sum := tally.Counts(ccs.Direction(d)), before[d]
			sum.Accepted += c.Accepted
			sum.Ended[ccs.Acknowledged] += c.AllEnded() // whichever way
			sum.AcceptedInDoubt += c.AcceptedInDoubt
			sum.EndedInDoubt += c.EndedInDoubt
			a.total[d] = sum
		}
		if a.running > 0 {
			return nil
		}
		waiting, err := Waiting(ctx, st)
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		var wrong []string
		for d := ccs.Down; d <= ccs.Receipts; d++ {
			if err := Accounted(&a.total[d], waiting[d]); err != nil {
				wrong = append(wrong, fmt.Sprintf("%s: %v", d, err))
			}
		}
		if len(wrong) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("audit: messages are unaccounted for: %s", strings.Join(wrong, "; "))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Accounted checks that the messages of a direction have ended or wait. waiting is how many wait
// now, less those that waited before the first was counted. Messages in doubt may have done either.
func Accounted(c *ccs.Counts, waiting int64) error {
	n := c.Accepted - c.AllEnded() - waiting
	if n >= -c.AcceptedInDoubt && n <= c.EndedInDoubt {
		return nil
	}
	return fmt.Errorf("%d accepted - %d ended - %d waiting = %d, with %d accepted and %d ended in doubt",
		c.Accepted, c.AllEnded(), waiting, n, c.AcceptedInDoubt, c.EndedInDoubt)
}
