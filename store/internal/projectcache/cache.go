// Package projectcache caches projects for stores in which reading one is slow. Each login and
// each batch of messages reads one.
package projectcache

import (
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/store"
)

// Age is how long a project is cached. A change of which the cache was not told takes effect after
// that.
const Age = time.Second

// maxProjects is the number of cached projects.
const maxProjects = 4096

// Cache holds projects that were read. Any goroutine may call it. It uses the wall clock, because
// no message's life depends on it.
type Cache struct {
	mu      sync.Mutex
	cache   *lru.Cache[string, cached]
	changes uint64 // number of calls of Forget
}

type cached struct {
	project *store.Project // never changed
	read    time.Time      // when reading began
}

// New returns an empty cache.
func New() *Cache {
	cache, err := lru.New[string, cached](maxProjects)
	if err != nil {
		panic(err) // the only error is a size that is not above zero
	}
	return &Cache{cache: cache}
}

// Get returns a cached project. Otherwise it reads the project, and caches it unless something
// changed during the read. The memory of sender stays the caller's, which may use it again.
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

// Forget makes the next Get read. Call it when a read returns the change.
func (c *Cache) Forget(sender string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.cache.Remove(sender)
}
