package diskstore

import (
	"errors"
	"fmt"
	"time"
)

// A nearly full disk is reserved for work that frees space, acknowledgements and expiry, and for
// the engine. The engine needs space to write tables before it can remove logs. The store refuses
// new data until a little more than the reserve is free.
const (
	maxReserve      = 64 << 20
	reserveFraction = 16 // the reserve is at most one part in so many of the disk
)

// stallOver is the time without a failed write after which writes are accepted again.
const stallOver = 2 * time.Second

func reserveOf(total uint64) uint64 { return min(maxReserve, total/reserveFraction) }

// watchSpace checks the disk regularly until the store closes. A check of a disk that hangs blocks
// no other goroutine.
func (s *Store) watchSpace() {
	tick := time.NewTicker(s.opts.lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stopping:
			return
		case <-tick.C:
			s.lookAtSpace()
		}
	}
}

// lookAtSpace begins and ends the conditions that depend on free space.
func (s *Store) lookAtSpace() {
	free, total, known := s.space()
	reserve := reserveOf(total)
	switch {
	case !known:
	case free < reserve:
		s.health.begin(low, unavailable("the disk of %s is full but for %s, and %s are needed; free some space", s.dir, inMiB(free), inMiB(resumeAt(reserve))))
	case free >= resumeAt(reserve):
		s.health.end(low)
	}
	if d := s.disk.Load(); d != nil && d.slowest(time.Now()) > s.opts.patience {
		s.stall(errSlow)
	}
	if waits := s.stalledAt.Load(); waits != 0 && time.Since(time.Unix(0, waits)) > stallOver && (!known || free >= reserve) {
		s.stalledAt.Store(0)
		s.health.end(stalled)
	}
}

// The engine keeps as many logs for later use as a store may have memtables, and one more. It
// allots each of them somewhat more than a memtable. On a small disk these would take most of the
// space, and it would look full for ever.
const (
	memTableFraction = 32 // part of a disk that a memtable may take
	minMemTableBytes = 1 << 20
)

// memTableBytes returns a size of a memtable that suits the disk.
func (s *Store) memTableBytes() uint64 {
	size := uint64(s.opts.MemTableBytes)
	if _, total, known := s.space(); known {
		size = min(size, max(total/memTableFraction, minMemTableBytes))
	}
	return size
}

// resumeAt returns the free space at which a store that was low on space accepts messages again.
func resumeAt(reserve uint64) uint64 { return reserve + reserve/4 }

// space returns the free space and the size of the disk, if the system reports them.
func (s *Store) space() (free, total uint64, known bool) {
	usage, err := s.opts.fs.GetDiskUsage(s.dir)
	return usage.AvailBytes, usage.TotalBytes, err == nil && usage.TotalBytes > 0
}

func inMiB(bytes uint64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

// stall notes that a write waits for the disk.
func (s *Store) stall(err error) {
	s.stalledAt.Store(time.Now().UnixNano())
	if s.health.refusal(stalled) != nil {
		return
	}
	if fullDisk(err) {
		err = fmt.Errorf("the disk of %s is full: %w; free some space", s.dir, err)
	}
	s.health.begin(stalled, unavailable("%w", err))
}

var errSlow = errors.New("the disk does not answer")
