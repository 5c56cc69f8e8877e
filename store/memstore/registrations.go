package memstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openccs/openccs/store"
)

// registry holds the registrations by token and by device.
type registry struct {
	mu       sync.RWMutex
	byToken  map[string]*store.Registration
	byDevice map[uint64][]string

	// newcomers has the devices that have never had a session, and the time of their first
	// registration.
	newcomers map[uint64]time.Time

	topics topics
	groups groups
}

func (g *registry) init() {
	g.byToken = map[string]*store.Registration{}
	g.byDevice = map[uint64][]string{}
	g.newcomers = map[uint64]time.Time{}
	g.topics.init()
	g.groups.init()
}

// Register returns the living registration that is the same, or keeps a new one.
func (s *Store) Register(ctx context.Context, r store.Registration, now time.Time) (*store.Registration, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	g := &s.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	fresh := r.Fresh(now)
	kept, changed, err := store.Register(g.ofDevice(r.Device), fresh, now)
	if err == nil && kept == fresh && g.byToken[fresh.Token] != nil {
		err = fmt.Errorf("token: %w", store.ErrExists)
	}
	if err != nil {
		return nil, fmt.Errorf("register device %d: %w", r.Device, err)
	}
	for _, r := range changed {
		g.byToken[r.Token] = r
		if r != fresh {
			g.topics.pass(r, fresh.Token)
			g.groups.pass(r, fresh.Token)
		}
	}
	if kept == fresh {
		g.byDevice[fresh.Device] = append(g.byDevice[fresh.Device], fresh.Token)
	}
	return kept, nil
}

// ofDevice returns the registrations of a device. The caller must hold g.mu.
func (g *registry) ofDevice(device uint64) (all []*store.Registration) {
	for _, token := range g.byDevice[device] {
		all = append(all, g.byToken[token])
	}
	return all
}

// ofTokens returns the registrations of tokens, nil for an unknown one. The caller must hold g.mu.
func (g *registry) ofTokens(tokens []string) []*store.Registration {
	all := make([]*store.Registration, len(tokens))
	for i, token := range tokens {
		all[i] = g.byToken[token]
	}
	return all
}

// Registrations looks tokens up.
func (s *Store) Registrations(ctx context.Context, dst []*store.Registration, tokens []string) ([]*store.Registration, error) {
	if err := s.usable(ctx); err != nil {
		return dst, err
	}
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	for _, token := range tokens {
		dst = append(dst, s.registry.byToken[token])
	}
	return dst, nil
}

// DeviceRegistrations lists every registration of a device.
func (s *Store) DeviceRegistrations(ctx context.Context, device uint64) ([]*store.Registration, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	return s.registry.ofDevice(device), nil
}

// Unregister marks tokens as unregistered.
func (s *Store) Unregister(ctx context.Context, now time.Time, tokens ...string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	g := &s.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range store.Unregister(g.ofTokens(tokens), now, tokens...) {
		g.byToken[r.Token] = r
		g.topics.pass(r, "")
		g.groups.pass(r, "")
	}
	return nil
}

// ForgetRegistrations implements store.Forgetter.
func (s *Store) ForgetRegistrations(ctx context.Context, tokens ...string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	g := &s.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, old := range store.Forgettable(g.ofTokens(tokens)) {
		delete(g.byToken, old.Token)
		left := slices.DeleteFunc(g.byDevice[old.Device], func(t string) bool { return t == old.Token })
		if g.byDevice[old.Device] = left; len(left) == 0 {
			delete(g.byDevice, old.Device)
		}
	}
	return nil
}

// accounts holds the projects, their OAuth clients and refresh tokens, and the secrets.
type accounts struct {
	mu       sync.Mutex
	projects map[string]*store.Project
	byKey    map[[sha256.Size]byte]string // senders by the hashes of their keys
	grants   grants
	chrome   chrome
	secrets  map[string][]byte
}

func (a *accounts) init() {
	a.projects = map[string]*store.Project{}
	a.byKey = map[[sha256.Size]byte]string{}
	a.grants.init()
	a.chrome.init()
	a.secrets = map[string][]byte{}
}

// set keeps a project, or forgets it if p is nil. The caller must hold a.mu.
func (a *accounts) set(sender string, p *store.Project) {
	if old := a.projects[sender]; old != nil {
		for i := range old.Keys {
			delete(a.byKey, old.Keys[i].Hash)
		}
	}
	if p == nil {
		delete(a.projects, sender)
		return
	}
	p = p.Clone()
	a.projects[sender] = p
	for i := range p.Keys {
		a.byKey[p.Keys[i].Hash] = sender
	}
}

// CreateProject keeps a new project.
func (s *Store) CreateProject(ctx context.Context, p *store.Project) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	if s.accounts.projects[p.Sender] != nil {
		return fmt.Errorf("project %s: %w", p.Sender, store.ErrExists)
	}
	s.accounts.set(p.Sender, p)
	return nil
}

// CreateFirstProject keeps a new project in a store that never had one.
func (s *Store) CreateFirstProject(ctx context.Context, p *store.Project) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	a := &s.accounts
	a.mu.Lock()
	defer a.mu.Unlock()
	_, had := a.secrets[store.FirstProject]
	a.secrets[store.FirstProject] = store.FirstProjectValue
	if had || len(a.projects) > 0 {
		return fmt.Errorf("first project: %w", store.ErrExists)
	}
	a.set(p.Sender, p)
	return nil
}

// Project returns a project.
func (s *Store) Project(ctx context.Context, sender string) (*store.Project, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	p := s.accounts.projects[sender]
	if p == nil {
		return nil, fmt.Errorf("project %s: %w", sender, store.ErrNotFound)
	}
	return p.Clone(), nil
}

// ProjectByKey returns the project that has a key with this hash.
func (s *Store) ProjectByKey(ctx context.Context, hash [sha256.Size]byte) (*store.Project, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	p := s.accounts.projects[s.accounts.byKey[hash]]
	if p == nil {
		return nil, fmt.Errorf("project by key: %w", store.ErrNotFound)
	}
	return p.Clone(), nil
}

// Projects lists all projects, by sender ID.
func (s *Store) Projects(ctx context.Context) ([]*store.Project, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	all := make([]*store.Project, 0, len(s.accounts.projects))
	for _, p := range s.accounts.projects {
		all = append(all, p.Clone())
	}
	slices.SortFunc(all, func(a, b *store.Project) int {
		return cmp.Or(cmp.Compare(len(a.Sender), len(b.Sender)), strings.Compare(a.Sender, b.Sender))
	})
	return all, nil
}

// UpdateProject changes a project.
func (s *Store) UpdateProject(ctx context.Context, sender string, fn func(*store.Project) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	p := s.accounts.projects[sender]
	if p == nil {
		return fmt.Errorf("project %s: %w", sender, store.ErrNotFound)
	}
	p = p.Clone()
	if err := fn(p); err != nil {
		return err
	}
	p.Sender = sender
	s.accounts.set(sender, p)
	return nil
}

// DeleteProject forgets a project, its OAuth clients and their refresh tokens.
func (s *Store) DeleteProject(ctx context.Context, sender string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	if s.accounts.projects[sender] == nil {
		return fmt.Errorf("project %s: %w", sender, store.ErrNotFound)
	}
	s.accounts.set(sender, nil)
	s.accounts.grants.deleteSender(sender)
	s.accounts.chrome.deleteSender(sender)
	return nil
}

// Secret returns the secret of that name. It keeps fresh as the secret if there was none.
func (s *Store) Secret(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	if s.accounts.secrets[name] == nil {
		s.accounts.secrets[name] = append([]byte{}, fresh...)
	}
	return slices.Clone(s.accounts.secrets[name]), nil
}
