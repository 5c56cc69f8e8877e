package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"slices"
	"time"
)

// Project is an account of a sender: a sender ID and its API keys.
type Project struct {
	Sender  string // sender ID: decimal, no leading zero, at most 18 digits
	Name    string
	Created time.Time
	Keys    []APIKey
	Limits  Limits
}

// Limits are the limits of one project where they differ from those of the server. Zero means no
// difference.
type Limits struct {
	Window         int // downstream messages of a connection not yet answered (CCS 4.1)
	UpstreamWindow int // upstream messages of a connection not yet acknowledged (CCS 4.2)
	PerSecond      int // downstream messages a second, over all connections
	ChromePerDay   int `json:",omitempty"` // messages of GCM for Chrome on a UTC day (CCS 7.3)
}

// APIKey is one key of a project. Only the hash of the key is kept. A key has over 200 random bits,
// so nobody can search a plain SHA-256.
type APIKey struct {
	ID      string // name of the key in commands and logs; reveals nothing about it
	Name    string
	Hash    [sha256.Size]byte
	Created time.Time
	// Networks are the only addresses from which the key is accepted; none means every address
	// (CCS 6.2).
	Networks []netip.Prefix `json:",omitempty"`
}

// Allows reports whether the key is accepted from an address.
func (k *APIKey) Allows(from netip.Addr) bool {
	if len(k.Networks) == 0 {
		return true
	}
	from = from.Unmap()
	return slices.ContainsFunc(k.Networks, func(n netip.Prefix) bool { return n.Contains(from) })
}

// HashKey returns the hash of an API key that a project keeps.
func HashKey(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// Key returns the project's key that matches, or nil. It takes the same time for every key that
// does not match.
func (p *Project) Key(key string) *APIKey { return p.KeyOf(HashKey(key)) }

// KeyOf returns the project's key with a hash, or nil. It takes the same time for every hash that
// does not match.
func (p *Project) KeyOf(h [sha256.Size]byte) *APIKey {
	var found *APIKey
	for i := range p.Keys {
		if subtle.ConstantTimeCompare(h[:], p.Keys[i].Hash[:]) == 1 {
			found = &p.Keys[i]
		}
	}
	return found
}

// Clone returns a copy that shares nothing with p.
func (p *Project) Clone() *Project {
	c := *p
	c.Keys = slices.Clone(p.Keys)
	for i := range c.Keys {
		c.Keys[i].Networks = slices.Clone(c.Keys[i].Networks)
	}
	return &c
}

// FirstProject names the secret that says that a store has or had a project. CreateFirstProject
// keeps it, whatever it returns. The value is not secret, but a move of a store includes the
// secrets.
const FirstProject = "first project"

// FirstProjectValue is the value of FirstProject, the same in every store.
var FirstProjectValue = []byte("made")

// Projects keeps the projects, which may log in.
type Projects interface {
	// CreateProject keeps a new project. It returns ErrExists if the sender ID is taken.
	CreateProject(ctx context.Context, p *Project) error
	// CreateFirstProject keeps a new project in a store that never had one. It returns ErrExists if
	// there is a project, or if there was one at an earlier call. Of several callers at once only
	// one succeeds.
	CreateFirstProject(ctx context.Context, p *Project) error
	// Project returns a project, or ErrNotFound.
	Project(ctx context.Context, sender string) (*Project, error)
	// ProjectByKey returns the project that has a key with this hash, or ErrNotFound. A key is
	// known when the call that kept it returns, and unknown when the call that removed it returns.
	ProjectByKey(ctx context.Context, hash [sha256.Size]byte) (*Project, error)
	// Projects lists all projects, by sender ID.
	Projects(ctx context.Context) ([]*Project, error)
	// UpdateProject changes a project with fn, which may run again after a concurrent change. It
	// returns ErrNotFound if there is none. It returns an error of fn as it is, and then changes
	// nothing.
	UpdateProject(ctx context.Context, sender string, fn func(*Project) error) error
	// DeleteProject forgets a project together with its OAuth clients and their refresh tokens, in
	// one step. It returns ErrNotFound if there is none.
	DeleteProject(ctx context.Context, sender string) error
}
