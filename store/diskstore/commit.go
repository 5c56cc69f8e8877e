package diskstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// The bounds of the group commit (engineering notes §6).
const (
	groupEntries   = 1000    // in one commit, unless a single batch has more
	groupBytes     = 1 << 20 // the same
	waitingBytes   = 8 << 20 // of work that waits for the committer; callers wait beyond
	groupsUnsynced = 4       // groups whose sync is under way: on a slow disk several share one
	seqBlock       = 1 << 20 // sequence numbers that are reserved on disk at a time
)

// work is something to be done by the committer.
type work interface {
	// stage adds what is to be written to a group.
	stage(g *group) error
	// size is what the work counts towards the bounds of its group.
	size() (entries, bytes int)
	// durable reports whether somebody waits until the work is on disk.
	durable() bool
	// finish is called once, when the work is done as far as it has to be.
	finish(err error)
}

// waiting is the part of work that somebody waits for. It has a capacity of 1.
type waiting chan error

func (w waiting) durable() bool    { return true }
func (w waiting) finish(err error) { w <- err }
func (w waiting) wait() error      { return <-w }

// committer writes to the database, alone: what it decides on can change under nobody's hands. It gathers
// what has arrived, applies it as one batch, and leaves the waiting for the disk to the finisher, so that
// the next group gathers meanwhile.
type committer struct {
	s    *Store
	room *semaphore.Weighted

	mu      sync.Mutex
	waiting []work
	ending  bool

	wake     chan struct{} // capacity 1: there is work, or the end
	unsynced chan *group
	done     sync.WaitGroup
	failed   atomic.Pointer[failure]

	// Owned by run.
	seq, reserved uint64
	summaries     summaries
	remembered    remembered
}

type failure struct{ err error }

func (c *committer) start(s *Store, seq uint64) error {
	c.s = s
	c.room = semaphore.NewWeighted(waitingBytes)
	c.wake = make(chan struct{}, 1)
	c.unsynced = make(chan *group, groupsUnsynced-1)
	c.seq, c.reserved = seq, seq
	if err := c.summaries.init(s.opts.SummaryBytes); err != nil {
		return err
	}
	if err := c.remembered.start(s.db); err != nil {
		return err
	}
	c.done.Add(2)
	go c.run()
	go c.finish()
	return nil
}

// stop ends the committer after all that waits for it. It returns the failure, if there was one.
func (c *committer) stop() error {
	c.mu.Lock()
	c.ending = true
	c.mu.Unlock()
	c.signal()
	c.done.Wait()
	c.remembered.stop()
	return c.failure()
}

func (c *committer) failure() error {
	if f := c.failed.Load(); f != nil {
		return f.err
	}
	return nil
}

// fail ends all writing for good: what is on disk is known no more.
func (c *committer) fail(err error) error {
	c.failed.CompareAndSwap(nil, &failure{fmt.Errorf("the store has failed and must be opened anew: %w", err)})
	return c.failure()
}

// reserve waits until there is room for work of that many bytes, and returns what is to be given back.
func (c *committer) reserve(ctx context.Context, bytes int) (int64, error) {
	weight := min(int64(bytes), waitingBytes)
	return weight, c.room.Acquire(ctx, weight)
}

// do hands over work that somebody waits for, and waits.
func (c *committer) do(ctx context.Context, w interface {
	work
	wait() error
}) error {
	_, bytes := w.size()
	weight, err := c.reserve(ctx, bytes)
	if err != nil {
		return err
	}
	defer c.release(weight)
	c.push(w)
	return w.wait()
}

func (c *committer) release(weight int64) { c.room.Release(weight) }

// push hands work over. Room must have been reserved for it.
func (c *committer) push(w work) {
	c.mu.Lock()
	c.waiting = append(c.waiting, w)
	first := len(c.waiting) == 1
	c.mu.Unlock()
	if first {
		c.signal()
	}
}

func (c *committer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run gathers groups and applies them until the end.
func (c *committer) run() {
	defer c.done.Done()
	defer close(c.unsynced)
	var taken, spare []work
	for {
		c.mu.Lock()
		taken, c.waiting = c.waiting, spare
		ending := c.ending
		c.mu.Unlock()
		if len(taken) == 0 {
			if ending {
				return
			}
			spare = taken
			<-c.wake
			continue
		}
		for rest := taken; len(rest) > 0; {
			n := groupLen(rest)
			c.commit(rest[:n])
			rest = rest[n:]
		}
		clear(taken)
		spare = taken[:0]
	}
}

// groupLen is how much of the waiting work fits into one group.
func groupLen(works []work) int {
	entries, bytes := 0, 0
	for i, w := range works {
		e, b := w.size()
		entries, bytes = entries+e, bytes+b
		if i > 0 && (entries > groupEntries || bytes > groupBytes) {
			return i
		}
	}
	return len(works)
}

// commit applies a group and hands it to the finisher if somebody waits for the disk.
func (c *committer) commit(works []work) {
	g := newGroup(c, works)
	if err := g.write(); err != nil {
		err = c.fail(err)
		for _, w := range works {
			w.finish(err)
		}
		return
	}
	g.settle()
	if len(g.waiters) > 0 {
		c.unsynced <- g
	}
}

// finish waits for the disk, group by group, and tells those who wait.
func (c *committer) finish() {
	defer c.done.Done()
	for g := range c.unsynced {
		if err := g.sync(); err != nil {
			c.fail(err)
		}
		for _, w := range g.waiters {
			if err := c.failure(); err != nil {
				w.err = err
			}
			w.finish(w.err)
		}
	}
}

// reserveSeqs makes room for sequence numbers up to one. They are on disk as reserved before the first is
// given out, so that none is given out again after a crash. A crash leaves a gap.
func (c *committer) reserveSeqs(to uint64) error {
	c.reserved = to
	return c.s.db.Set(metaSeq, number(to), c.s.writeOptions())
}

// skipSeqs gives none out again up to one that another store has given out.
func (c *committer) skipSeqs(to uint64) error {
	if to <= c.seq {
		return nil
	}
	c.seq = to
	if to <= c.reserved {
		return nil
	}
	return c.reserveSeqs(to)
}

func (c *committer) nextSeq() (uint64, error) {
	if c.seq == c.reserved {
		if err := c.reserveSeqs(c.seq + seqBlock); err != nil {
			return 0, err
		}
	}
	c.seq++
	return c.seq, nil
}
