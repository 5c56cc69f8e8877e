package oauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/store"
)

const (
	// cacheAge is how long the issuer trusts a record that it has read. A revocation on another
	// node takes effect after that, which is within a second.
	cacheAge = 500 * time.Millisecond
	// maxCached bounds the cached records. A busy server has far fewer OAuth clients.
	maxCached = 4096
)

// subject names the records that an access token depends on: its client and its refresh token.
// grant is zero for a token that was not made from a refresh token.
type subject struct {
	client string
	grant  [sha256.Size]byte
}

// record is what the store knows of a subject.
type record struct {
	sender string
	epoch  uint32
	live   bool // the client exists, and the refresh token if there was one
	read   time.Time
}

// cache keeps records that were read a moment ago. It uses the wall clock.
type cache struct {
	mu      sync.Mutex
	records *lru.Cache[subject, record]
	changes uint64 // number of calls of clear
}

func newCache() *cache {
	records, err := lru.New[subject, record](maxCached)
	if err != nil {
		panic(err) // the only error is a size that is not above zero
	}
	return &cache{records: records}
}

// get returns a record that was read within cacheAge, or reads it.
func (c *cache) get(s subject, read func() (record, error)) (record, error) {
	now := time.Now()
	c.mu.Lock()
	got, ok := c.records.Get(s)
	before := c.changes
	c.mu.Unlock()
	if ok && now.Sub(got.read) < cacheAge {
		return got, nil
	}
	r, err := read()
	if err != nil {
		return record{}, err
	}
	r.read = now
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes == before {
		c.records.Add(s, r)
	}
	return r, nil
}

// clear drops everything, because something was revoked.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.records.Purge()
}

// lookUp returns what the store knows of a subject, as it was at most cacheAge ago.
func (i *Issuer) lookUp(ctx context.Context, s subject) (record, error) {
	return i.cache.get(s, func() (record, error) {
		c, err := i.store.OAuthClient(ctx, s.client)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return record{}, nil
		case err != nil:
			return record{}, err
		}
		r := record{sender: c.Sender, epoch: c.TokenEpoch, live: true}
		if s.grant != ([sha256.Size]byte{}) {
			_, err := i.store.RefreshToken(ctx, s.grant)
			if r.live = err == nil; err != nil && !errors.Is(err, store.ErrNotFound) {
				return record{}, err
			}
		}
		return r, nil
	})
}
