package redisstore

import (
	"maps"
	"sync"
	"time"

	"github.com/openccs/openccs/store"
)

// maxOwed bounds the sessions that have ended while Redis could not be told.
const maxOwed = 100_000

// peers is what a node knows of itself and the other nodes.
type peers struct {
	mu   sync.Mutex
	node string                                      // what this node is called; another after it was taken for dead
	told store.Node                                  // nil before Join
	back time.Duration                               // see store.Nodes
	mine map[attachment]struct{}                     // sessions of this node
	owed map[store.Key]map[store.Lease]time.Duration // sessions that have ended, to be detached, by their queues
	owes int                                         // how many those are
}

func newPeers() *peers {
	return &peers{
		node: newNode(),
		mine: make(map[attachment]struct{}),
		owed: make(map[store.Key]map[store.Lease]time.Duration),
	}
}

func (p *peers) attached(a attachment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mine[a] = struct{}{}
	p.settle(a)
}

func (p *peers) detached(a attachment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mine, a)
}

// owe remembers a session to be detached later; false if there are too many.
func (p *peers) owe(a attachment, back time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owes >= maxOwed {
		return false
	}
	p.settle(a)
	if p.owed[a.key] == nil {
		p.owed[a.key] = make(map[store.Lease]time.Duration)
	}
	p.owed[a.key][a.lease] = back
	p.owes++
	return true
}

// settle forgets a session that was detached. The caller must hold p.mu.
func (p *peers) settle(a attachment) {
	of := p.owed[a.key]
	if _, ok := of[a.lease]; !ok {
		return
	}
	p.owes--
	if delete(of, a.lease); len(of) == 0 {
		delete(p.owed, a.key)
	}
}

// paid forgets a session that was detached.
func (p *peers) paid(a attachment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle(a)
}

// owedOf lists the sessions of a queue that are to be detached.
func (p *peers) owedOf(k store.Key) map[store.Lease]time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.owed[k])
}

// sessions lists what is attached, and what is to be detached.
func (p *peers) sessions() (mine []attachment, owed map[attachment]time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a := range p.mine {
		mine = append(mine, a)
	}
	owed = make(map[attachment]time.Duration, p.owes)
	for k, of := range p.owed {
		for l, back := range of {
			owed[attachment{k, l}] = back
		}
	}
	return mine, owed
}

func (p *peers) has(a attachment) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.mine[a]
	return ok
}

// listener is whom to tell, nil for nobody.
func (p *peers) listener() store.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told
}
