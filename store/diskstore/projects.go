package diskstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// CreateProject stores a new project.
func (s *Store) CreateProject(ctx context.Context, p *store.Project) error {
	return s.changeProject(ctx, p.Sender, func(g *group, key []byte) error {
		_, found, err := s.get(key)
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("project %s: %w", p.Sender, store.ErrExists)
		}
		s.keys.change(nil, p)
		return g.setJSON(key, p)
	})
}

// CreateFirstProject stores a new project in a store that never had one.
func (s *Store) CreateFirstProject(ctx context.Context, p *store.Project) error {
	exists := false
	err := s.changeProject(ctx, p.Sender, func(g *group, key []byte) error {
		mark := textKey(prefixSecret, store.FirstProject)
		_, had, err := s.get(mark)
		if err != nil {
			return err
		}
		some, err := s.anyProject()
		if err != nil {
			return err
		}
		if err := g.batch.Set(mark, store.FirstProjectValue, nil); err != nil {
			return err
		}
		if exists = had || some; exists {
			return nil
		}
		s.keys.change(nil, p)
		return g.setJSON(key, p)
	})
	if err == nil && exists {
		err = fmt.Errorf("first project: %w", store.ErrExists)
	}
	return err
}

// anyProject reports whether there is a project.
func (s *Store) anyProject() (bool, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixProject}, UpperBound: []byte{prefixProject + 1}})
	if err != nil {
		return false, fmt.Errorf("projects: %w", err)
	}
	found := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return false, fmt.Errorf("projects: %w", err)
	}
	return found, nil
}

// Project returns a project.
func (s *Store) Project(ctx context.Context, sender string) (*store.Project, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	return s.projects.Get(sender, func() (*store.Project, error) { return s.readProject(textKey(prefixProject, sender)) })
}

// projectNow is Project without the cache.
func (s *Store) projectNow(ctx context.Context, sender string) (*store.Project, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	return s.readProject(textKey(prefixProject, sender))
}

// Projects lists all projects, by sender ID.
func (s *Store) Projects(ctx context.Context) (all []*store.Project, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	if all, err = s.allProjects(); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *store.Project) int {
		return cmp.Or(cmp.Compare(len(a.Sender), len(b.Sender)), strings.Compare(a.Sender, b.Sender))
	})
	return all, nil
}

// allProjects returns all projects in no order that means anything.
func (s *Store) allProjects() (all []*store.Project, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixProject}, UpperBound: []byte{prefixProject + 1}})
	if err != nil {
		return nil, fmt.Errorf("projects: %w", err)
	}
	for it.First(); it.Valid(); it.Next() {
		p, err := s.readProject(it.Key())
		if err != nil {
			return nil, errors.Join(err, it.Close())
		}
		all = append(all, p)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, fmt.Errorf("projects: %w", err)
	}
	return all, nil
}

// UpdateProject changes a project. It calls fn in the caller's goroutine, not the committer's, and
// calls it again if the project has changed since.
func (s *Store) UpdateProject(ctx context.Context, sender string, fn func(*store.Project) error) error {
	for {
		before, err := s.projectNow(ctx, sender)
		if err != nil {
			return err
		}
		p := before.Clone()
		if err := fn(p); err != nil {
			return err
		}
		p.Sender = sender
		err = s.changeProject(ctx, sender, func(g *group, key []byte) error {
			now, err := s.readProject(key)
			switch {
			case err != nil:
				return err
			case !reflect.DeepEqual(now, before):
				return errOvertaken
			}
			s.keys.change(now, p)
			return g.setJSON(key, p)
		})
		if !errors.Is(err, errOvertaken) {
			return err
		}
	}
}

var errOvertaken = errors.New("changed meanwhile")

// DeleteProject forgets a project, its OAuth clients and their refresh tokens, all in one batch.
func (s *Store) DeleteProject(ctx context.Context, sender string) error {
	return s.changeProject(ctx, sender, func(g *group, key []byte) error {
		p, err := s.readProject(key)
		if err != nil {
			return err
		}
		s.keys.change(p, nil)
		return errors.Join(g.deleteClients(sender), g.deleteApps(sender), g.deleteDaily(sender), g.batch.Delete(key, nil))
	})
}

// changeProject lets the committer change a project, after all earlier changes.
func (s *Store) changeProject(ctx context.Context, sender string, fn func(g *group, key []byte) error) error {
	defer s.projects.Forget(sender) // if ctx ends first, the cache expires by itself
	return s.changeInOrder(ctx, func(g *group) error { return fn(g, textKey(prefixProject, sender)) })
}

// changeInOrder lets the committer run fn, which sees all earlier changes.
func (s *Store) changeInOrder(ctx context.Context, fn func(g *group) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	return s.committer.do(ctx, newChange(func(g *group) error {
		if err := g.flush(); err != nil {
			return err
		}
		return fn(g)
	}))
}

func (s *Store) readProject(key []byte) (*store.Project, error) {
	sender := string(key[1:])
	p := &store.Project{}
	if err := s.getJSON(key, p); err != nil {
		return nil, fmt.Errorf("project %s: %w", sender, err)
	}
	return p, nil
}

// Secret returns the secret of that name. It stores fresh if there was none.
func (s *Store) Secret(ctx context.Context, name string, fresh []byte) (secret []byte, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	err = s.committer.do(ctx, newChange(func(g *group) error {
		if err := g.flush(); err != nil {
			return err
		}
		key := textKey(prefixSecret, name)
		old, found, err := s.get(key)
		if err != nil || found {
			secret = old
			return err
		}
		secret = slices.Clone(fresh)
		return g.batch.Set(key, fresh, nil)
	}))
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	return secret, nil
}
