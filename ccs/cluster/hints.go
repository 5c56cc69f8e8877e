package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Limits of the hints that wait to be sent. Hints beyond them are dropped, because the queues are
// checked anyway.
const (
	maxWaiting = 10_000 // queues for each node
	maxHints   = 1000   // hints of the other kinds, for all nodes
)

// resubscribeAfter is the time before the next try to subscribe.
const resubscribeAfter = 100 * time.Millisecond

// hints holds the hints to other nodes. Hints that arrive while one message is sent go out in the
// next.
type hints struct {
	signal chan struct{} // capacity 1: something waits

	mu      sync.Mutex
	waiting map[store.NodeID]map[store.Key]struct{}
	others  []store.Hint
}

func (h *hints) init() {
	h.signal = make(chan struct{}, 1)
	h.waiting = make(map[store.NodeID]map[store.Key]struct{})
}

// wake says that a node should look at a queue.
func (h *hints) wake(n store.NodeID, k store.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiting[n] == nil {
		h.waiting[n] = make(map[store.Key]struct{})
	}
	if len(h.waiting[n]) < maxWaiting {
		h.waiting[n][k] = struct{}{}
	}
	h.wakeUp()
}

// send sends a hint of another kind. It returns false if too many wait already.
func (h *hints) send(hint store.Hint) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.others) >= maxHints {
		return false
	}
	h.others = append(h.others, hint)
	h.wakeUp()
	return true
}

func (h *hints) wakeUp() {
	select {
	case h.signal <- struct{}{}:
	default:
	}
}

// next returns the waiting hints.
func (h *hints) next() []store.Hint {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.others
	h.others = nil
	for node, keys := range h.waiting {
		all = append(all, store.Hint{To: node, Kind: store.HintWaiting, Keys: slices.Collect(maps.Keys(keys))})
	}
	clear(h.waiting)
	return all
}

// waiting is the function that the store calls for each node with a session for a queue that has
// more.
func (c *Cluster) waiting(k store.Key, n store.NodeID) {
	if n != c.self() {
		c.hints.wake(n, k)
	}
}

// Offer sends each message, which is never stored, to another node that has a session for its
// queue. It reports for which messages it found one.
func (c *Cluster) Offer(ctx context.Context, batch []store.Entry) ([]bool, error) {
	keys := make([]store.Key, len(batch))
	for i := range batch {
		keys[i] = batch[i].Key
	}
	owners, err := c.store.Owners(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("look for sessions of other nodes: %w", err)
	}
	taken := make([]bool, len(batch))
	self := c.self()
	for i := range batch {
		for _, node := range owners[i] {
			if node != self {
				taken[i] = c.hints.send(store.Hint{To: node, Kind: store.HintOffer, Entry: cloneEntry(&batch[i])})
				break
			}
		}
	}
	return taken, nil
}

// cloneEntry copies an entry, because the caller may use its memory again.
func cloneEntry(e *store.Entry) store.Entry {
	c := *e
	c.App, c.Collapse, c.Dedup = strings.Clone(e.App), strings.Clone(e.Collapse), strings.Clone(e.Dedup)
	c.Body = slices.Clone(e.Body)
	return c
}

// ProjectChanged tells the other nodes that a project, its keys or its OAuth clients have changed.
func (c *Cluster) ProjectChanged(ctx context.Context, sender string) error {
	m, err := c.store.Members(ctx)
	if err != nil {
		return fmt.Errorf("look for other nodes: %w", err)
	}
	self := c.self()
	for node := range m.Live {
		if node != self {
			c.hints.send(store.Hint{To: node, Kind: store.HintProjectChanged, Project: sender})
		}
	}
	return nil
}

// publishLoop sends hints until ctx ends.
func (c *Cluster) publishLoop(ctx context.Context) {
	for {
		select {
		case <-c.hints.signal:
		case <-ctx.Done():
			return
		}
		if err := c.store.Publish(ctx, c.hints.next()); err != nil && ctx.Err() == nil {
			c.log.Debug("hints to other nodes lost", zap.Error(err))
		}
	}
}

// listenLoop passes on the hints of other nodes until ctx ends.
func (c *Cluster) listenLoop(ctx context.Context) {
	for ctx.Err() == nil {
		subscription, cancel := context.WithCancel(ctx)
		c.mu.Lock()
		self := c.id
		c.unsubscribe = cancel
		c.mu.Unlock()
		if err := c.store.Subscribe(subscription, self, c.heard); err != nil && ctx.Err() == nil {
			c.log.Debug("subscription to hints ended", zap.Error(err))
		}
		cancel()
		select {
		case <-time.After(resubscribeAfter):
		case <-ctx.Done():
		}
	}
}

// heard passes on a hint.
func (c *Cluster) heard(h store.Hint) {
	switch h.Kind {
	case store.HintWaiting:
		for _, k := range h.Keys {
			c.node.Wake(k)
		}
	case store.HintTakeOver:
		c.node.TakenOver(h.Keys[0], h.Lease)
	case store.HintOffer:
		c.node.Offered(h.Entry)
	case store.HintProjectChanged:
		c.node.ProjectChanged(h.Project)
	}
}
