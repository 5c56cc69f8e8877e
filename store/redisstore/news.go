package redisstore

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// What nodes tell each other goes through a channel for each of them. A note's first letter says what it is.
const (
	noteWake     = 'w' // queues, separated by spaces
	noteTakeover = 't' // queue and lease
	noteOffer    = 'o' // queue, NUL, entry
	noteProject  = 'p' // sender
)

func takeoverNote(k store.Key, owner string) string {
	_, lease, _ := strings.Cut(owner, "/")
	return string(rune(noteTakeover)) + k.String() + " " + lease
}

// Limits of the news that waits to be published: beyond them it is dropped, for the queues are looked at anyway.
const (
	maxWakes = 10_000 // queues for each node
	maxNotes = 1000   // of the other kinds, in all
)

// news publishes what other nodes may want to know, and listens to what they tell. What has come together while
// one message was being published goes out in the next.
type news struct {
	s      *Store
	signal chan struct{} // capacity 1

	mu    sync.Mutex
	wakes map[string]map[store.Key]struct{} // by node
	notes []note
	sub   *redis.PubSub
}

type note struct{ node, text string }

func newNews(s *Store) *news {
	return &news{s: s, signal: make(chan struct{}, 1), wakes: make(map[string]map[store.Key]struct{})}
}

// hint has the owners of a queue, as Redis lists them, look at it.
func (n *news) hint(k store.Key, owners string) {
	self := n.s.node()
	n.mu.Lock()
	for owner := range strings.FieldsSeq(owners) {
		node := nodeOf(owner)
		if node == self {
			continue
		}
		if n.wakes[node] == nil {
			n.wakes[node] = make(map[store.Key]struct{})
		}
		if len(n.wakes[node]) < maxWakes {
			n.wakes[node][k] = struct{}{}
		}
	}
	waiting := len(n.wakes) > 0
	n.mu.Unlock()
	if waiting {
		n.wakeUp()
	}
}

// tell sends a node a note; false if too many wait already.
func (n *news) tell(node, text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.notes) >= maxNotes {
		return false
	}
	n.notes = append(n.notes, note{node, text})
	n.wakeUp()
	return true
}

func (n *news) wakeUp() {
	select {
	case n.signal <- struct{}{}:
	default:
	}
}

func (n *news) take() []note {
	n.mu.Lock()
	defer n.mu.Unlock()
	notes := n.notes
	n.notes = nil
	for node, keys := range n.wakes {
		b := []byte{noteWake}
		for k := range keys {
			b = append(append(b, k.String()...), ' ')
		}
		notes = append(notes, note{node, string(b)})
	}
	clear(n.wakes)
	return notes
}

// publishLoop publishes until ctx ends.
func (n *news) publishLoop(ctx context.Context) {
	for {
		select {
		case <-n.signal:
		case <-ctx.Done():
			return
		}
		notes := n.take()
		if _, err := n.s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, m := range notes {
				n.publish(ctx, p, m)
			}
			return nil
		}); err != nil && ctx.Err() == nil {
			n.s.log.Debug("hints to other nodes lost", zap.Error(err))
		}
	}
}

func (n *news) publish(ctx context.Context, p redis.Pipeliner, m note) {
	if n.s.sharded() {
		p.SPublish(ctx, n.channel(m.node), m.text)
	} else {
		p.Publish(ctx, n.channel(m.node), m.text)
	}
}

func (n *news) channel(node string) string { return n.s.key(nodeTag(node), "news") }

// nodeTag is the hash tag of what belongs to one node.
func nodeTag(node string) string { return "n:" + node }

// sharded reports whether Redis is a cluster, in which plain messages would go to every node of it.
func (s *Store) sharded() bool {
	_, ok := s.rdb.(*redis.ClusterClient)
	return ok
}

// moved has the node listen under its new name.
func (n *news) moved() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sub != nil {
		n.sub.Close() // listenLoop opens another
	}
}

func (n *news) subscribe(ctx context.Context) *redis.PubSub {
	channel := n.channel(n.s.node())
	var sub *redis.PubSub
	if n.s.sharded() {
		sub = n.s.rdb.SSubscribe(ctx, channel)
	} else {
		sub = n.s.rdb.Subscribe(ctx, channel)
	}
	n.mu.Lock()
	n.sub = sub
	n.mu.Unlock()
	if n.channel(n.s.node()) != channel {
		sub.Close() // it has moved meanwhile
	}
	return sub
}

const resubscribeAfter = 100 * time.Millisecond

// listenLoop takes in what other nodes tell, until ctx ends.
func (n *news) listenLoop(ctx context.Context) {
	for ctx.Err() == nil {
		sub := n.subscribe(ctx)
		stop := context.AfterFunc(ctx, func() { sub.Close() })
		for {
			m, err := sub.ReceiveMessage(ctx)
			if err != nil {
				break
			}
			if told := n.s.peers.listener(); told != nil && m.Payload != "" {
				n.hear(told, m.Payload[0], m.Payload[1:])
			}
		}
		stop()
		sub.Close()
		select {
		case <-time.After(resubscribeAfter):
		case <-ctx.Done():
		}
	}
}

// hear passes a note on. One that is not understood is of a newer kind of node, and a hint anyway.
func (n *news) hear(told store.Node, kind byte, text string) {
	switch kind {
	case noteWake:
		for tag := range strings.FieldsSeq(text) {
			if k, err := store.ParseKey(tag); err == nil {
				told.Wake(k)
			}
		}
	case noteTakeover:
		tag, lease, _ := strings.Cut(text, " ")
		k, err := store.ParseKey(tag)
		l, err2 := strconv.ParseUint(lease, 10, 64)
		if err == nil && err2 == nil {
			told.TakenOver(k, store.Lease(l))
		}
	case noteOffer:
		tag, blob, _ := strings.Cut(text, "\x00")
		if k, err := store.ParseKey(tag); err == nil {
			if e, err := offered(k, blob); err == nil {
				told.Offered(e)
			}
		}
	case noteProject:
		n.s.projects.Forget(text)
		told.ProjectChanged(text)
	}
}
