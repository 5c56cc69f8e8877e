package redisstore

import (
	"sync"
	"time"

	"openccs/store"
)

// maxOwed bounds the sessions that have ended while Redis could not be told.
const maxOwed = 100_000

// peers is what a node knows of itself and the other nodes.
type peers struct {
	mu   sync.Mutex
	node string                       // what this node is called; another after it was taken for dead
	told store.Node                   // nil before Join
	back time.Duration                // see store.Nodes
	mine map[attachment]struct{}      // sessions of this node
	owed map[attachment]time.Duration // sessions that have ended, to be detached
}

func newPeers() *peers {
	return &peers{
		node: newNode(),
		mine: make(map[attachment]struct{}),
		owed: make(map[attachment]time.Duration),
	}
}

func (p *peers) attached(a attachment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mine[a] = struct{}{}
	delete(p.owed, a)
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
	if len(p.owed) >= maxOwed {
		return false
	}
	p.owed[a] = back
	return true
}

// paid forgets a session that was detached.
func (p *peers) paid(a attachment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.owed, a)
}

// sessions lists what is attached, and what is to be detached.
func (p *peers) sessions() (mine []attachment, owed map[attachment]time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a := range p.mine {
		mine = append(mine, a)
	}
	owed = make(map[attachment]time.Duration, len(p.owed))
	for a, back := range p.owed {
		owed[a] = back
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
