package diskstore

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/openccs/openccs/store"
)

// sealAfter is the pause in writing after which a sync mark is written for the last batches. Under
// load each batch carries the mark for the batches before it.
const sealAfter = 100 * time.Millisecond

// sizeAfter is the further pause after which the inventory gets the size of the log. From then on
// the end of the log is protected too, where no mark can follow.
const sizeAfter = 900 * time.Millisecond

// sealer writes a sync mark when writing pauses, so that a mark follows every batch that is on
// disk.
type sealer struct {
	synced atomic.Uint64 // batches of the engine below this number are on disk
	wake   chan struct{} // capacity 1
	ending chan struct{}
	done   sync.WaitGroup
}

func (z *sealer) start(c *committer) {
	z.synced.Store(0)
	z.wake, z.ending = make(chan struct{}, 1), make(chan struct{})
	z.done.Go(func() { z.run(c) })
}

// stop stops the sealer. It must be called before the committer ends.
func (z *sealer) stop() {
	close(z.ending)
	z.done.Wait()
}

// note notes that a batch is on disk. The finisher calls it, in order.
func (z *sealer) note(below uint64) {
	if z.synced.Swap(below) == below {
		return // only a mark
	}
	select {
	case z.wake <- struct{}{}:
	default:
	}
}

func (z *sealer) run(c *committer) {
	pause := time.NewTimer(sealAfter)
	defer pause.Stop()
	for marked := uint64(0); ; {
		select {
		case <-z.wake:
		case <-pause.C:
			if marked > 0 && z.synced.Load() == marked {
				c.s.keeper.sealed(c.s.disk.Load())
			}
			continue
		case <-z.ending:
			return
		}
		for synced := z.synced.Load(); synced != marked; {
			pause.Reset(sealAfter)
			select {
			case <-pause.C:
			case <-z.ending:
				return
			}
			now := z.synced.Load()
			if now == synced {
				c.push(store.Key{}, sealWork{})
				marked = now
			}
			synced = now
		}
		pause.Reset(sizeAfter)
	}
}

// sealWork writes a sync mark.
type sealWork struct{}

func (sealWork) stage(g *group) error       { g.seal = true; return nil }
func (sealWork) size() (entries, bytes int) { return 0, 0 }
func (sealWork) durable() bool              { return true }
func (sealWork) patient() bool              { return false }
func (sealWork) finish(error)               {}
