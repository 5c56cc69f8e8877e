package memstore

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
)

// topics holds the subscriptions. They are guarded by the registry's lock, because they change with
// the registrations.
type topics struct {
	byTopic map[store.Topic]*subscribers
	byPlace map[store.Place]map[store.Topic]*store.Subscription
}

// subscribers are the subscriptions to one topic.
type subscribers struct {
	all   map[store.Place]*store.Subscription
	order []store.Place // nil after a change
}

func (t *topics) init() {
	t.byTopic = map[store.Topic]*subscribers{}
	t.byPlace = map[store.Place]map[store.Topic]*store.Subscription{}
}

// add keeps a subscription.
func (t *topics) add(sub *store.Subscription) {
	s := t.byTopic[sub.Topic]
	if s == nil {
		s = &subscribers{all: map[store.Place]*store.Subscription{}}
		t.byTopic[sub.Topic] = s
	}
	if s.all[sub.Place] == nil {
		s.order = nil
	}
	s.all[sub.Place] = sub
	if t.byPlace[sub.Place] == nil {
		t.byPlace[sub.Place] = map[store.Topic]*store.Subscription{}
	}
	t.byPlace[sub.Place][sub.Topic] = sub
}

func (t *topics) remove(topic store.Topic, p store.Place) {
	s := t.byTopic[topic]
	if s == nil || s.all[p] == nil {
		return
	}
	delete(s.all, p)
	s.order = nil
	if len(s.all) == 0 {
		delete(t.byTopic, topic)
	}
	if delete(t.byPlace[p], topic); len(t.byPlace[p]) == 0 {
		delete(t.byPlace, p)
	}
}

// pass passes the subscriptions of a token to the token that supersedes it. It ends them if that is
// "".
func (t *topics) pass(r *store.Registration, to string) {
	p := r.Place()
	for topic, sub := range maps.Clone(t.byPlace[p]) {
		switch {
		case sub.Token != r.Token:
		case to == "":
			t.remove(topic, p)
		default:
			c := *sub
			c.Token = to
			t.add(&c)
		}
	}
}

// SubscribeTopic subscribes registrations to a topic.
func (s *Store) SubscribeTopic(ctx context.Context, topic store.Topic, regs []*store.Registration, now time.Time) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	g := &s.registry
	g.mu.Lock()
	defer g.mu.Unlock()
	var failed *store.PartialError
	for i, r := range regs {
		if r = g.living(r.Token); r == nil {
			continue // it has ended since the caller looked it up
		}
		p := r.Place()
		old := g.topics.byPlace[p][topic]
		switch {
		case old != nil && old.Token == r.Token:
			continue
		case old == nil && len(g.topics.byPlace[p]) >= store.MaxTopics:
			if failed == nil {
				failed = &store.PartialError{Errs: make([]error, len(regs))}
			}
			failed.Errs[i] = store.ErrTooManyTopics
			continue
		}
		g.topics.add(&store.Subscription{Topic: topic, Place: p, Token: r.Token, Since: now.Truncate(time.Microsecond)})
	}
	if failed != nil {
		return failed
	}
	return nil
}

// living returns the newest registration after a token, nil if there is none. The caller must hold
// g.mu.
func (g *registry) living(token string) *store.Registration {
	r := g.byToken[token]
	if r != nil && r.Canonical != "" && r.Unregistered.IsZero() {
		r = g.byToken[r.Canonical]
	}
	if r == nil || !r.Living() {
		return nil
	}
	return r
}

// UnsubscribeTopic ends subscriptions.
func (s *Store) UnsubscribeTopic(ctx context.Context, topic store.Topic, regs []*store.Registration) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	for _, r := range regs {
		s.registry.topics.remove(topic, r.Place())
	}
	return nil
}

// Subscribers lists subscriptions to a topic.
func (s *Store) Subscribers(ctx context.Context, topic store.Topic, after store.Place, max int) ([]store.Subscription, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.registry.mu.Lock()
	defer s.registry.mu.Unlock()
	of := s.registry.topics.byTopic[topic]
	if of == nil {
		return nil, nil
	}
	if of.order == nil {
		of.order = slices.SortedFunc(maps.Keys(of.all), func(a, b store.Place) int { return bytes.Compare(a[:], b[:]) })
	}
	i, found := slices.BinarySearchFunc(of.order, after, func(a, b store.Place) int { return bytes.Compare(a[:], b[:]) })
	if found {
		i++
	}
	places := of.order[i:min(len(of.order), i+max)]
	page := make([]store.Subscription, len(places))
	for j, p := range places {
		page[j] = *of.all[p]
	}
	return page, nil
}

// Resolve finds who has subscriptions now.
func (s *Store) Resolve(ctx context.Context, dst []*store.Registration, subs []store.Subscription) ([]*store.Registration, error) {
	if err := s.usable(ctx); err != nil {
		return dst, err
	}
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	for i := range subs {
		dst = append(dst, s.registry.living(subs[i].Token))
	}
	return dst, nil
}

// Subscriptions lists the topics of a registration.
func (s *Store) Subscriptions(ctx context.Context, r *store.Registration) (all []store.Subscription, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	for _, sub := range s.registry.topics.byPlace[r.Place()] {
		if sub.Token == r.Token {
			all = append(all, *sub)
		}
	}
	slices.SortFunc(all, func(a, b store.Subscription) int { return compareTopics(a.Topic, b.Topic) })
	return all, nil
}

func compareTopics(a, b store.Topic) int {
	if c := strings.Compare(a.Sender, b.Sender); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// TopicNames lists the topics of a project.
func (s *Store) TopicNames(ctx context.Context, sender, after string, max int) (names []string, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	for t := range s.registry.topics.byTopic {
		if t.Sender == sender && t.Name > after {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names[:min(max, len(names))], nil
}
