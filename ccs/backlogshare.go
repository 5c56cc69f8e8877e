package ccs

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/store"
)

// A device may have only a part of a sender's backlog, so that one device cannot fill it for the
// others (CCS 4.3). Each node counts the messages that it stored itself. It learns of messages that
// left the queue only by asking the store, when a device seems to have its whole share. So a device
// gets a new share when it moves to another node, or when the node restarts.

const (
	minDeviceShare = 100
	shareParts     = 100    // a backlog has this many shares, and a share at most this many groups
	maxShares      = 20_000 // pairs of device and sender to remember; the least recent is evicted
)

// deviceShare returns how many messages of one device may wait for a sender.
func (p *Profile) deviceShare() int {
	return min(p.SenderBacklog, max(minDeviceShare, p.SenderBacklog/shareParts))
}

// shareKey names the device and the sender of a share.
type shareKey struct {
	from DeviceID
	to   store.Key
}

// shares holds the shares of many devices.
type shares struct {
	store     store.Queue
	size      int // messages in each share
	groupSize int // messages that are counted and looked up together
	all       *lru.Cache[shareKey, *share]
}

// share counts the messages of one device that may still wait for one sender.
type share struct {
	mu      sync.Mutex // never held over I/O
	waiting int        // the sum of the groups
	groups  []shareGroup
}

// shareGroup is a number of messages that were stored in a row.
type shareGroup struct {
	last store.ID // once this message has left the queue, the others have too
	n    int
}

func newShares(st store.Queue, size int) *shares {
	all, _ := lru.New[shareKey, *share](maxShares) // fails only for a size below one
	return &shares{store: st, size: size, groupSize: (size + shareParts - 1) / shareParts, all: all}
}

// of returns the share of a device.
func (s *shares) of(from DeviceID, to store.Key) *share {
	k := shareKey{from, to}
	if sh, ok := s.all.Get(k); ok {
		return sh
	}
	sh := &share{}
	if old, ok, _ := s.all.PeekOrAdd(k, sh); ok {
		return old
	}
	return sh
}

// room returns how many more messages of the share may be stored.
func (s *shares) room(ctx context.Context, sh *share, to store.Key) (int, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.waiting < s.size {
		return s.size - sh.waiting, nil // the usual case
	}
	var onStack [shareParts + 1]shareGroup
	groups := append(onStack[:0], sh.groups...)
	sh.mu.Unlock()
	gone, err := s.gone(ctx, to, groups)
	sh.mu.Lock()
	if err != nil {
		return 0, err
	}
	// Another call may have removed groups while the lock was free.
	n := 0
	for n < len(sh.groups) && gone > 0 && sh.groups[n].last <= groups[gone-1].last {
		sh.waiting -= sh.groups[n].n
		n++
	}
	sh.groups = slices.Delete(sh.groups, 0, n) // keep the memory for the next groups
	return max(s.size-sh.waiting, 0), nil
}

// gone returns how many of the groups have left the queue. The oldest leave first; usually all have
// left or none.
func (s *shares) gone(ctx context.Context, to store.Key, groups []shareGroup) (n int, err error) {
	waits := func(i int) bool {
		if err != nil {
			return true
		}
		var has bool
		if has, err = s.store.Has(ctx, to, groups[i].last); err != nil {
			err = fmt.Errorf("look for messages of the device: %w", err)
		}
		return has
	}
	switch last := len(groups) - 1; {
	case !waits(last):
		n = len(groups)
	case waits(0):
	default:
		n = 1 + sort.Search(last-1, func(i int) bool { return waits(i + 1) })
	}
	return n, err
}

// stored counts a message under its share.
func (s *shares) stored(sh *share, id store.ID) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.waiting++
	if last := len(sh.groups) - 1; last >= 0 && sh.groups[last].n < s.groupSize {
		sh.groups[last].n++
		sh.groups[last].last = id
		return
	}
	sh.groups = append(sh.groups, shareGroup{last: id, n: 1})
}
