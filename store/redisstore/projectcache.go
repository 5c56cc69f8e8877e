package redisstore

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"openccs/store"
)

// projectAge is how long a project is remembered: what another node has changed holds here after that at the
// latest, if nobody says so before.
const projectAge = time.Second

// maxProjects is how many projects are remembered.
const maxProjects = 4096

// projectCache spares Redis the same question for every message. It goes by the wall: this is no message's life.
type projectCache struct {
	mu      sync.Mutex
	cache   *lru.Cache[string, cachedProject]
	changes uint64 // how often forget was called
}

type cachedProject struct {
	project *store.Project // nobody changes it
	read    time.Time      // when reading began
}

func newProjectCache() *projectCache {
	cache, err := lru.New[string, cachedProject](maxProjects)
	if err != nil {
		panic(err) // only a size that is not above zero is an error
	}
	return &projectCache{cache: cache}
}

// get returns a project that is remembered, or reads it and remembers it unless something changed meanwhile.
func (c *projectCache) get(sender string, read func() (*store.Project, error)) (*store.Project, error) {
	now := time.Now()
	c.mu.Lock()
	got, ok := c.cache.Get(sender)
	before := c.changes
	c.mu.Unlock()
	if ok && now.Sub(got.read) < projectAge {
		return got.project, nil
	}
	p, err := read()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == before {
		c.cache.Add(sender, cachedProject{project: p, read: now})
	}
	return p, nil
}

// forgetProject has the next call of Project read what Redis has.
func (s *Store) forgetProject(sender string) {
	c := s.projects
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.cache.Remove(sender)
}
