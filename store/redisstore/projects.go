package redisstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// Projects, OAuth clients, refresh tokens and secrets are few, seldom change and depend on each
// other. A client's ID is unique among all projects, and a deleted project takes its clients and
// tokens along at once. So they share one hash slot, as JSON in a hash for each kind, and are kept
// until they are deleted. The project of a sender, which routing needs often, is cached for a
// moment.

var (
	createProject = load("create_project")
	createFirst   = load("create_first_project")
	updateProject = load("update_project")
	deleteOwner   = load("delete_owner")
	getSecret     = load("secret")
	indexKeys     = load("index_keys")
)

func (s *Store) projectsKey() string { return s.key("accounts", "projects") }

// keysKey returns the key of the index from the hash of a key to its sender.
func (s *Store) keysKey() string    { return s.key("accounts", "keys") }
func (s *Store) clientsKey() string { return s.key("accounts", "clients") }
func (s *Store) refreshKey() string { return s.key("accounts", "refresh") }
func (s *Store) secretsKey() string { return s.key("accounts", "secrets") }

// ownedKey returns the key of a sorted set of ownership, in the order of bytes: sender, NUL,
// client, NUL, and for a refresh token its hash.
func (s *Store) ownedKey() string { return s.key("accounts", "owned") }

// CreateProject stores a new project.
func (s *Store) CreateProject(ctx context.Context, p *store.Project) error {
	record, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("project %s: %w", p.Sender, err)
	}
	c := &transport.Call{Script: createProject, Keys: []string{s.projectsKey(), s.keysKey()}, Args: []any{p.Sender, record}, Durable: true}
	return s.change(ctx, "project "+p.Sender, store.ErrExists, c)
}

// CreateFirstProject stores a new project in a store that never had one.
func (s *Store) CreateFirstProject(ctx context.Context, p *store.Project) error {
	record, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("project %s: %w", p.Sender, err)
	}
	return s.change(ctx, "first project", store.ErrExists, &transport.Call{
		Script: createFirst, Keys: []string{s.projectsKey(), s.secretsKey(), s.keysKey()},
		Args: []any{p.Sender, record, store.FirstProject, store.FirstProjectValue},
	})
}

// Project returns a project, as it was at most projectcache.Age ago.
func (s *Store) Project(ctx context.Context, sender string) (*store.Project, error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	p, err := s.projects.Get(sender, func() (*store.Project, error) {
		p, _, err := s.readProject(ctx, sender)
		return p, err
	})
	if err != nil {
		return nil, err
	}
	return p.Clone(), nil
}

// ProjectByKey returns the project that has a key with this hash, as it was at most
// projectcache.Age ago.
func (s *Store) ProjectByKey(ctx context.Context, hash [sha256.Size]byte) (*store.Project, error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	p, err := s.projects.ByKey(hash,
		func() (string, error) { return s.senderOf(ctx, hash) },
		func(sender string) (*store.Project, error) {
			p, _, err := s.readProject(ctx, sender)
			return p, err
		})
	if err != nil {
		return nil, err
	}
	return p.Clone(), nil
}

// indexEvery is the shortest time between two rebuilds of the index of keys.
const indexEvery = 10 * time.Second

// senderOf returns the sender of a key by the index. An older version of the server writes no
// index. So a key that is not in it makes senderOf rebuild the index, at most every indexEvery.
func (s *Store) senderOf(ctx context.Context, hash [sha256.Size]byte) (string, error) {
	for {
		var cmd *redis.StringCmd
		err := s.transport.Read(ctx, func(p redis.Pipeliner) { cmd = p.HGet(ctx, s.keysKey(), string(hash[:])) })
		switch {
		case err != nil:
			return "", fmt.Errorf("project by key: %w", err)
		case cmd.Err() == nil:
			return cmd.Val(), nil
		}
		now, last := time.Now().UnixNano(), s.indexed.Load()
		if last != 0 && now-last < int64(indexEvery) || !s.indexed.CompareAndSwap(last, now) {
			return "", fmt.Errorf("project by key: %w", store.ErrNotFound)
		}
		c := &transport.Call{Script: indexKeys, Keys: []string{s.projectsKey(), s.keysKey()}, Safe: true}
		if err := s.transport.Run(ctx, c); err != nil {
			s.indexed.CompareAndSwap(now, last)
			return "", fmt.Errorf("index the keys of projects: %w", err)
		}
	}
}

// readProject reads a project, and its raw form in Redis.
func (s *Store) readProject(ctx context.Context, sender string) (*store.Project, string, error) {
	p := &store.Project{}
	record, err := s.readJSON(ctx, s.projectsKey(), sender, p)
	if err != nil {
		return nil, "", fmt.Errorf("project %s: %w", sender, err)
	}
	return p, record, nil
}

// Projects lists all projects, by sender ID.
func (s *Store) Projects(ctx context.Context) ([]*store.Project, error) {
	all, err := listJSON[store.Project](ctx, s, s.projectsKey())
	if err != nil {
		return nil, fmt.Errorf("projects: %w", err)
	}
	slices.SortFunc(all, func(a, b *store.Project) int {
		return cmp.Or(cmp.Compare(len(a.Sender), len(b.Sender)), strings.Compare(a.Sender, b.Sender))
	})
	return all, nil
}

// UpdateProject changes a project.
func (s *Store) UpdateProject(ctx context.Context, sender string, fn func(*store.Project) error) error {
	for {
		p, before, err := s.readProject(ctx, sender)
		if err != nil {
			return err
		}
		if err := fn(p); err != nil {
			return err
		}
		p.Sender = sender
		after, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("project %s: %w", sender, err)
		}
		c := &transport.Call{Script: updateProject, Keys: []string{s.projectsKey(), s.keysKey()}, Args: []any{sender, before, after}, Durable: true}
		err = s.transport.Run(ctx, c)
		s.projects.Forget(sender)
		if err != nil {
			return fmt.Errorf("project %s: %w", sender, err)
		}
		if c.Reply == int64(1) {
			return nil
		}
	}
}

// DeleteProject forgets a project, its OAuth clients and their refresh tokens, all at once.
func (s *Store) DeleteProject(ctx context.Context, sender string) error {
	defer s.projects.Forget(sender)
	return s.change(ctx, "project "+sender, store.ErrNotFound, &transport.Call{
		Script: deleteOwner,
		Keys: []string{
			s.projectsKey(), s.clientsKey(), s.refreshKey(), s.ownedKey(), s.keysKey(), s.appsKey(), s.dailyKey(),
		},
		Args: []any{sender, ""},
	})
}

// Secret returns the secret with a name. If there is none, it becomes fresh.
func (s *Store) Secret(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	c := &transport.Call{Script: getSecret, Keys: []string{s.secretsKey()}, Args: []any{name, fresh}, Safe: true, Durable: true}
	if err := s.transport.Run(ctx, c); err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	secret, _ := c.Reply.(string)
	return []byte(secret), nil
}

// change runs a script that returns 1 for done, 0 for refused, and -1 if the owner is missing.
func (s *Store) change(ctx context.Context, what string, refused error, c *transport.Call) error {
	c.Durable = true
	err := s.transport.Run(ctx, c)
	switch {
	case err != nil:
	case c.Reply == int64(0):
		err = refused
	case c.Reply == int64(-1):
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// readJSON reads a record of a hash into v, and returns its raw form, or store.ErrNotFound.
func (s *Store) readJSON(ctx context.Context, key, name string, v any) (record string, err error) {
	var cmd *redis.StringCmd
	err = s.transport.Read(ctx, func(p redis.Pipeliner) { cmd = p.HGet(ctx, key, name) })
	switch {
	case err != nil:
		return "", err
	case cmd.Err() != nil:
		return "", store.ErrNotFound
	}
	return cmd.Val(), json.Unmarshal([]byte(cmd.Val()), v)
}

// listJSON reads all records of a hash.
func listJSON[T any](ctx context.Context, s *Store, key string) ([]*T, error) {
	var cmd *redis.StringSliceCmd
	if err := s.transport.Read(ctx, func(p redis.Pipeliner) { cmd = p.HVals(ctx, key) }); err != nil {
		return nil, err
	}
	var all []*T
	for _, record := range cmd.Val() {
		v := new(T)
		if err := json.Unmarshal([]byte(record), v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
