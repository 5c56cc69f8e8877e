package diskstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// A store that has failed waits this long before it tries again to open its database.
const (
	firstRetry = 100 * time.Millisecond
	maxRetry   = 30 * time.Second
)

// fail ends all writing until the database has been reopened, because the state of the disk is
// unknown.
func (s *Store) fail(err error) {
	f := &failure{unavailable("a write failed, and the database must be opened again: %w", err)}
	if !s.committer.failed.CompareAndSwap(nil, f) {
		return
	}
	s.health.begin(failed, f.err)
	select {
	case s.failing <- err:
	default: // it is being opened for the first time
	}
}

// die notes that only a new process can go on. Every waiting call ends.
func (s *Store) die(err error) {
	err = unavailable("the storage engine cannot go on, and the server must be started again: %w", err)
	s.committer.failed.CompareAndSwap(nil, &failure{err})
	if d := s.disk.Load(); d != nil { // nil while the store is opened for the first time
		d.sever(err) // first, so that nothing more reaches the disk
	}
	s.health.begin(broken, err)
}

// mend reopens the database whenever it has failed, until the store closes.
func (s *Store) mend() {
	for {
		select {
		case <-s.stopping:
			return
		case <-s.health.broken:
			return
		case err := <-s.failing:
			s.reopen(err)
		}
	}
}

// reopen closes the database and opens it again. The engine puts all data that it finds in its log
// into tables. So data that was written and not synced is read back and rewritten. Sessions keep
// their leases.
func (s *Store) reopen(cause error) {
	s.opts.Logger("a write failed, opening the database again: %v", cause)
	if fullDisk(cause) && !s.awaitSpace() {
		return
	}
	s.health.begin(down, s.committer.failure())
	ended := make(chan error, 1)
	go func() { ended <- s.endEngine() }()
	select {
	case err := <-ended:
		s.opts.Logger("closed the failed database: %v", err)
	case <-s.health.broken:
		return
	case <-time.After(s.opts.closeTimeout):
		s.die(fmt.Errorf("it does not end after %w", cause))
		return
	}
	for wait := firstRetry; ; wait = min(2*wait, maxRetry) {
		err := s.openAgain()
		var damaged *DamageError
		switch {
		case err == nil:
			s.opts.Logger("opened the database again")
			s.health.end(stalled, failed, down)
			return
		case errors.As(err, &damaged), pebble.IsCorruptionError(err), errors.Is(err, errGone), errors.Is(err, errHangs):
			s.die(err)
			return
		}
		s.opts.Logger("open the database again: %v", err)
		select {
		case <-s.stopping:
			return
		case <-time.After(wait):
		}
	}
}

// awaitSpace waits until the disk has space again. Reads go on during the wait. It returns false
// if the store closes.
func (s *Store) awaitSpace() bool {
	tick := time.NewTicker(s.opts.lookEvery)
	defer tick.Stop()
	for {
		if free, total, known := s.space(); !known || free >= reserveOf(total) {
			return true
		}
		select {
		case <-s.stopping:
			return false
		case <-s.health.broken:
			return false
		case <-tick.C:
		}
	}
}

// endEngine ends all work on the database, and closes it. New calls must be refused already.
func (s *Store) endEngine() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("close: %v", p)
		}
	}()
	s.disk.Load().letGo()
	s.life.Lock() // no call is running any more
	defer s.life.Unlock()
	return s.stop()
}

var errGone = errors.New("it is not the database that was opened before")

// openAgain opens the database and corrects the state in memory.
func (s *Store) openAgain() error {
	s.life.Lock() // no call waits for it: they are refused before
	defer s.life.Unlock()
	if err := s.openDatabase(true); err != nil {
		return err
	}
	s.committer.failed.Store(nil)
	err := s.start(func() (uint64, error) {
		seq, err := s.readSeq()
		return seq, errors.Join(err, s.reconcile())
	})
	if err != nil {
		s.disk.Load().sever(err) // again, so that nothing is acknowledged
		s.disk.Load().letGo()
		db := s.db
		s.db = nil
		return errors.Join(err, db.Close())
	}
	for _, w := range s.leaving {
		s.committer.push(store.Key{}, w)
	}
	s.leaving = nil
	return nil
}

// readSeq returns the sequence number with which to go on.
func (s *Store) readSeq() (uint64, error) {
	run, _, err := s.getNumber(metaRun)
	if err != nil {
		return 0, err
	}
	if run != s.run {
		return 0, errGone
	}
	seq, _, err := s.getNumber(metaSeq)
	return seq, err
}

// reconcile corrects the state in memory by the state on disk.
func (s *Store) reconcile() error {
	s.records.cache.Purge()
	s.leaving = nil
	for i := range s.queues.shards {
		if err := s.reconcileShard(&s.queues.shards[i]); err != nil {
			return err
		}
	}
	return nil
}

// reconcileShard forgets entries that were read ahead, and marks of entries that are not on disk.
// Entries that a peer has acknowledged are still removed. An entry that another one should have
// replaced waits again, because its sender was promised it. No call waits for the shard's lock
// then.
//
// The caller must hold s.life.
func (s *Store) reconcileShard(sh *tableShard) error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for k, q := range sh.queues {
		s.queues.account(q, -q.buffered)
		q.lanes = [laneCount]lane{}
		w := &ackWork{key: k, waiting: make(chan error, 1)}
		var failed error
		q.marks.retain(func(id store.ID, m *mark) bool {
			if failed != nil {
				return true
			}
			var stays bool
			if stays, failed = s.reconcileMark(k, id, m); stays && m.acked {
				w.ids = append(w.ids, id)
			}
			return stays || failed != nil
		})
		if failed != nil {
			return failed
		}
		if len(w.ids) > 0 {
			s.leaving = append(s.leaving, w)
		}
		s.queues.drop(sh, k, q)
	}
	return nil
}

// reconcileMark reports whether a mark stays.
func (s *Store) reconcileMark(k store.Key, id store.ID, m *mark) (stays bool, err error) {
	key := keyOf(k, id)
	value, found, err := s.get(key[:])
	if err != nil {
		return false, err
	}
	if !found || m.lease == 0 && !m.acked {
		return false, nil
	}
	if m.expires, err = expiresOf(value); err != nil {
		return false, fmt.Errorf("entry %d of %s: %w", id, k, err)
	}
	m.removed = false
	return true, nil
}
