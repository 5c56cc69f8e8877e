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

// Limits of the hints that wait to be sent to a node. Hints beyond them are dropped, because the
// queues are checked anyway.
const (
	maxWaiting = 10_000 // queues
	maxHints   = 1000   // hints of the other kinds
)

// resubscribeAfter is the time before the next try to subscribe.
const resubscribeAfter = 100 * time.Millisecond

// hints holds the hints to other nodes. Hints to a node that arrive while others are sent to it go
// out in the next message. Each node is served for itself: the store may have to wait for the part
// through which it reaches a node.
type hints struct {
	signal chan struct{} // capacity 1: something waits

	mu     sync.Mutex
	byNode map[store.NodeID]*nodeHints // nodes to which something waits or is being sent
}

// nodeHints holds the hints to one node. hints.mu guards it.
type nodeHints struct {
	waiting map[store.Key]struct{}
	others  []store.Hint
	sending bool
}

func (h *hints) init() {
	h.signal = make(chan struct{}, 1)
	h.byNode = make(map[store.NodeID]*nodeHints)
}

// to returns the hints to a node. The caller must hold h.mu.
func (h *hints) to(n store.NodeID) *nodeHints {
	to := h.byNode[n]
	if to == nil {
		to = &nodeHints{waiting: make(map[store.Key]struct{})}
		h.byNode[n] = to
	}
	return to
}

// wake says that a node should look at a queue.
func (h *hints) wake(n store.NodeID, k store.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if to := h.to(n); len(to.waiting) < maxWaiting {
		to.waiting[k] = struct{}{}
	}
	h.wakeUp()
}

// send sends a hint of another kind. It returns false if too many wait already.
func (h *hints) send(hint store.Hint) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	to := h.to(hint.To)
	if len(to.others) >= maxHints {
		return false
	}
	to.others = append(to.others, hint)
	h.wakeUp()
	return true
}

func (h *hints) wakeUp() {
	select {
	case h.signal <- struct{}{}:
	default:
	}
}

// next returns the waiting hints, a message for each node to which nothing is being sent. sent must
// be called for each message.
func (h *hints) next() (messages [][]store.Hint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for node, to := range h.byNode {
		if to.sending || len(to.others)+len(to.waiting) == 0 {
			continue
		}
		message := to.others
		to.others = nil
		if len(to.waiting) > 0 {
			message = append(message, store.Hint{To: node, Kind: store.HintWaiting, Keys: slices.Collect(maps.Keys(to.waiting))})
			clear(to.waiting)
		}
		to.sending = true
		messages = append(messages, message)
	}
	return messages
}

// sent ends the sending of a message to a node.
func (h *hints) sent(n store.NodeID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	to := h.byNode[n]
	if to.sending = false; len(to.others)+len(to.waiting) > 0 {
		h.wakeUp()
	} else {
		delete(h.byNode, n)
	}
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

// publishLoop sends hints until ctx ends. At most one call of the store for each node is under way.
func (c *Cluster) publishLoop(ctx context.Context) {
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		select {
		case <-c.hints.signal:
		case <-ctx.Done():
			return
		}
		for _, message := range c.hints.next() {
			calls.Go(func() {
				if err := c.store.Publish(ctx, message); err != nil && ctx.Err() == nil {
					c.log.Debug("hints to another node lost", zap.String("node", string(message[0].To)), zap.Error(err))
				}
				c.hints.sent(message[0].To)
			})
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
