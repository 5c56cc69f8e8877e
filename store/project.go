package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"time"
)

// Project is an account that sends: a sender ID and its API keys.
type Project struct {
	Sender  string // sender ID: decimal, no leading zero, at most 18 digits
	Name    string
	Created time.Time
	Keys    []APIKey
	Limits  Limits
}

// Limits are what one project may do, where that differs from what the server is set to. Zero means no
// difference.
type Limits struct {
	Window         int // downstream messages of a connection not yet answered (CCS 4.1)
	UpstreamWindow int // upstream messages of a connection not yet acknowledged (CCS 4.2)
	PerSecond      int // downstream messages a second, over all connections
}

// APIKey is one key of a project. The key itself is not kept, only its hash: a key has over 200 random
// bits, so that a plain SHA-256 cannot be searched.
type APIKey struct {
	ID      string // what commands and logs call the key; says nothing about it
	Name    string
	Hash    [sha256.Size]byte
	Created time.Time
}

// HashKey is what a project keeps of an API key.
func HashKey(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// Key returns the project's key that matches, or nil. It takes the same time for every key that does not.
func (p *Project) Key(key string) *APIKey {
	var found *APIKey
	h := HashKey(key)
	for i := range p.Keys {
		if subtle.ConstantTimeCompare(h[:], p.Keys[i].Hash[:]) == 1 {
			found = &p.Keys[i]
		}
	}
	return found
}

// Clone is a copy that shares nothing with p.
func (p *Project) Clone() *Project {
	c := *p
	c.Keys = slices.Clone(p.Keys)
	return &c
}

// FirstProject is the secret that says that a store has or had a project: CreateFirstProject keeps it, whatever it
// returns. It is no secret, but secrets are carried along when a store is moved.
const FirstProject = "first project"

// FirstProjectValue is the value of FirstProject, the same in every store.
var FirstProjectValue = []byte("made")

// Projects remembers who may log in.
type Projects interface {
	// CreateProject keeps a new project; ErrExists if the sender ID is taken.
	CreateProject(ctx context.Context, p *Project) error
	// CreateFirstProject keeps a new project in a store that never had one. ErrExists if there is a project, or if
	// there was one when this was called before. Of several callers at once only one succeeds.
	CreateFirstProject(ctx context.Context, p *Project) error
	// Project returns a project; ErrNotFound if there is none.
	Project(ctx context.Context, sender string) (*Project, error)
	// Projects lists all, by sender ID.
	Projects(ctx context.Context) ([]*Project, error)
	// UpdateProject changes a project with fn, which may run again if another change came between;
	// ErrNotFound if there is none. fn's error is returned as it is, and nothing is changed.
	UpdateProject(ctx context.Context, sender string, fn func(*Project) error) error
	// DeleteProject forgets a project, and with it, at once, its OAuth clients and their refresh tokens;
	// ErrNotFound if there is none.
	DeleteProject(ctx context.Context, sender string) error
}
