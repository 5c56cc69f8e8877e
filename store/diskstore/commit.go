package diskstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/internal/limits"
)

// These are the bounds of the group commit (ccs/docs/design/03-committer.md).
const (
	groupEntries   = 1000                 // in one commit, unless a single batch has more
	groupBytes     = 1 << 20              // the same in bytes
	waitingBytes   = 8 << 20              // queued work without a waiting caller; further callers wait
	groupsUnsynced = 4                    // groups not synced yet; a slow disk syncs several at once
	seqBlock       = 1 << 20              // sequence numbers that are reserved on disk at a time
	lateSync       = 5 * time.Millisecond // how long patient work waits for the sync of other work
)

// work is a task of the committer.
type work interface {
	// stage adds the writes of the work to a group.
	stage(g *group) error
	// size returns the share of the work in the bounds of its group.
	size() (entries, bytes int)
	// durable reports whether a caller waits until the work is on disk.
	durable() bool
	// patient reports whether durable work may wait for the sync of other work, for at most
	// lateSync.
	patient() bool
	// finish is called once, when the work is applied, and on disk if it must be.
	finish(err error)
}

// waiting is the part of work for which a caller waits. It has a capacity of 1.
type waiting chan error

func (w waiting) durable() bool    { return true }
func (w waiting) patient() bool    { return false }
func (w waiting) finish(err error) { w <- err }

// wait returns when the work is done, or can no longer be done.
func (w waiting) wait(s *Store) error {
	select {
	case err := <-w:
		return err
	case <-s.health.broken:
		return s.health.refusal(broken)
	}
}

// committer is the only writer to the database, so nothing that it reads can change under it. It
// gathers waiting work, applies it as one batch, and leaves the wait for the disk to the finisher.
// It gathers the next group during that wait.
type committer struct {
	s    *Store
	room *semaphore.Weighted // for work without a waiting caller

	mu      sync.Mutex
	waiting fairQueue
	ending  bool

	wake     chan struct{} // capacity 1: there is work, or the end
	unsynced chan *group
	done     sync.WaitGroup
	failed   atomic.Pointer[failure]
	sealer   sealer
	durable  atomic.Uint64 // entries up to this one are on disk; later ones are not offered

	// The rest is owned by run.
	seq, reserved uint64
	summaries     summaries
	remembered    remembered
	repeats       repeats
	leaving       []limits.Gone // memory for ackWork
	late          []waiter      // patient work that was applied and waits for the next sync
	lateSince     time.Time
	lateTimer     *time.Timer
}

type failure struct{ err error }

func (c *committer) init(s *Store) {
	c.s = s
	c.room = semaphore.NewWeighted(waitingBytes)
	c.waiting.init()
	c.wake = make(chan struct{}, 1)
	c.lateTimer = time.NewTimer(lateSync)
	c.lateTimer.Stop()
}

// start starts the committer on an opened database, with the first unused sequence number.
func (c *committer) start(seq uint64) error {
	c.ending = false
	c.unsynced = make(chan *group, groupsUnsynced-1)
	c.seq, c.reserved = seq, seq
	c.durable.Store(seq)
	if c.repeats.run != c.s.run {
		c.repeats = repeats{run: c.s.run}
	}
	if err := c.summaries.init(c.s.opts.SummaryBytes); err != nil {
		return err
	}
	if err := c.remembered.start(c.s.db); err != nil {
		return err
	}
	c.sealer.start(c)
	c.done.Add(2)
	go c.run()
	go c.finish()
	return nil
}

// stop ends the committer after all queued work. It returns the failure, if there was one.
func (c *committer) stop() error {
	c.sealer.stop()
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

// fail ends all writing until the database has been reopened.
func (c *committer) fail(err error) error {
	c.s.disk.Load().sever(err)
	return c.failure()
}

// do queues work for which the caller of ctx waits, and waits for it. The wait cannot be cut
// short.
func (c *committer) do(ctx context.Context, w interface {
	work
	wait(*Store) error
}) error {
	if err := c.s.health.refusal(stalled); err != nil {
		return err
	}
	c.push(store.Caller(ctx), w)
	return w.wait(c.s)
}

// push queues work.
func (c *committer) push(caller store.Key, w work) {
	c.mu.Lock()
	first := c.waiting.empty()
	c.waiting.push(caller, w)
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

// run gathers groups and applies them until the committer ends.
func (c *committer) run() {
	defer c.done.Done()
	defer close(c.unsynced)
	var taken []work
	for {
		c.mu.Lock()
		taken = c.waiting.next(taken[:0])
		ending := c.ending
		c.mu.Unlock()
		left := c.lateLeft(ending)
		switch {
		case len(taken) > 0 || left <= 0:
			c.commit(taken, left <= 0)
			clear(taken)
		case ending:
			return
		case len(c.late) == 0:
			<-c.wake
		default:
			c.lateTimer.Reset(left)
			select {
			case <-c.wake:
			case <-c.lateTimer.C:
			}
		}
	}
}

// lateLeft returns how long late work may still wait. It returns lateSync while there is none.
func (c *committer) lateLeft(ending bool) time.Duration {
	switch {
	case len(c.late) == 0:
		return lateSync
	case ending:
		return 0
	}
	return lateSync - time.Since(c.lateSince)
}

// commit applies a group and passes it to the finisher if a caller waits for the disk. If sync is
// set, late work must not wait any longer.
func (c *committer) commit(works []work, sync bool) {
	g := newGroup(c, works)
	g.durable = sync
	if err := g.write(); err != nil {
		err = c.fail(err)
		for _, w := range c.late {
			c.undo(w.work)
			w.finish(err)
		}
		c.late = nil
		for _, w := range works {
			c.undo(w)
			w.finish(err)
		}
		return
	}
	g.last = c.seq
	if c.s.opts.NoSync {
		c.durable.Store(g.last)
	}
	if g.durable && len(c.late) > 0 {
		g.waiters = append(c.late, g.waiters...)
		c.late = nil
	}
	g.finishUnsynced()
	if len(g.waiters) > 0 {
		c.unsynced <- g
	}
}

// finish waits for the disk, group by group, and tells the waiting callers.
func (c *committer) finish() {
	defer c.done.Done()
	for g := range c.unsynced {
		if err := g.sync(); err != nil {
			c.fail(err)
		} else {
			c.durable.Store(g.last)
		}
		for _, w := range g.waiters {
			if err := c.failure(); err != nil {
				w.err = err
				c.undo(w.work)
			}
			w.finish(w.err)
		}
	}
}

// undo tells a store that will be reopened of work that may not be on disk.
func (c *committer) undo(w work) {
	if w, ok := w.(interface{ undo(*Store) }); ok {
		w.undo(c.s)
	}
}

// reserveSeqs reserves sequence numbers up to to. The reservation is on disk before the first of
// them is given out, so that none is given out again after a crash. A crash leaves a gap.
func (c *committer) reserveSeqs(to uint64) error {
	c.reserved = to
	return c.s.db.Set(metaSeq, number(to), c.s.writeOptions())
}

// skipSeqs skips the sequence numbers up to one that another store has given out.
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
