// Package projectcache caches projects for stores in which reading one is slow. Each login and
// each batch of messages reads one.
package projectcache

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/store"
)

// Age is how long a project is cached. A change of which the cache was not told takes effect after
// that.
const Age = time.Second

// The numbers of cached projects and of keys whose senders are cached.
const (
	maxProjects = 4096
	maxKeys     = 4 * maxProjects
)

// Cache holds projects that were read. Any goroutine may call it. It uses the wall clock, because
// no message's life depends on it.
type Cache struct {
	mu      sync.Mutex
	cache   *lru.Cache[string, cached]
	changes uint64 // number of calls of Forget

	// senders has senders by the hashes of keys. The project decides whether an entry is right.
	senders *lru.Cache[[sha256.Size]byte, string]
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
	senders, err := lru.New[[sha256.Size]byte, string](maxKeys)
	if err != nil {
		panic(err) // as above
	}
	return &Cache{cache: cache, senders: senders}
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

// ByKey returns the project that has a key, or store.ErrNotFound. find returns the sender that an
// index has for the hash, which may be wrong. read reads a project.
func (c *Cache) ByKey(hash [sha256.Size]byte, find func() (sender string, err error), read func(sender string) (*store.Project, error)) (*store.Project, error) {
	if sender, ok := c.senders.Get(hash); ok {
		p, err := c.withKey(sender, hash, read)
		if !errors.Is(err, store.ErrNotFound) {
			return p, err
		}
		c.senders.Remove(hash)
	}
	sender, err := find()
	if err != nil {
		return nil, err
	}
	p, err := c.withKey(sender, hash, read)
	if errors.Is(err, store.ErrNotFound) {
		c.Forget(sender) // perhaps it was read before it had the key
		p, err = c.withKey(sender, hash, read)
	}
	if err != nil {
		return nil, err
	}
	c.senders.Add(hash, p.Sender)
	return p, nil
}

// withKey returns the project of a sender if it has the key.
func (c *Cache) withKey(sender string, hash [sha256.Size]byte, read func(sender string) (*store.Project, error)) (*store.Project, error) {
	p, err := c.Get(sender, func() (*store.Project, error) { return read(sender) })
	if err != nil {
		return nil, err
	}
	if p.KeyOf(hash) == nil {
		return nil, fmt.Errorf("project by key: %w", store.ErrNotFound)
	}
	return p, nil
}
