// Package projectcache remembers projects for stores in which a look at one costs more than a moment: each login and
// each batch of messages asks for one.
package projectcache

import (
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/store"
)

// Age is how long a project is remembered: a change that nobody has told the cache of holds after that at the latest.
const Age = time.Second

// maxProjects is how many projects are remembered.
const maxProjects = 4096

// Cache is what was read of projects. Any goroutine may call it. It goes by the wall: this is no message's life.
type Cache struct {
	mu      sync.Mutex
	cache   *lru.Cache[string, cached]
	changes uint64 // how often Forget was called
}

type cached struct {
	project *store.Project // nobody changes it
	read    time.Time      // when reading began
}

// New returns an empty cache.
func New() *Cache {
	cache, err := lru.New[string, cached](maxProjects)
	if err != nil {
		panic(err) // only a size that is not above zero is an error
	}
	return &Cache{cache: cache}
}

// Get returns a project that is remembered, or reads it and remembers it unless something changed meanwhile. The memory
// of sender stays the caller's, who may use it again.
func (c *Cache) Get(sender string, read func() (*store.Project, error)) (*store.Project, error) {
	now := time.Now()
	c.mu.Lock()
	got, ok := c.cache.Get(sender)
	before := c.changes
	c.mu.Unlock()
	if ok && now.Sub(got.read) < Age {
		return got.project, nil
	}
	p, err := read()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == before {
		c.cache.Add(strings.Clone(sender), cached{project: p, read: now})
	}
	return p, nil
}

// Forget has the next Get read. It is to be called once a change can be read.
func (c *Cache) Forget(sender string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.cache.Remove(sender)
}
