package diskstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// A subscription has two keys: one lists it under its topic, in the order of places, and one
// under its place. The value is the time in microseconds and the token. Under the topic it also
// has what a copy needs of the registration, so that a fan-out reads only keys that are side by
// side. The two change in the same batch as the registration, so a subscription that is there has
// not ended.

// subscribeBatch is the number of registrations that one run of the committer subscribes.
const subscribeBatch = 100

const (
	placeLen = len(store.Place{})
	sinceLen = 8
)

// topicKey returns the key before all subscriptions to a topic.
func topicKey(t store.Topic) []byte {
	return append(pairKey(prefixSubscriber, t.Sender, []byte(t.Name)), 0)
}

func subscriberKey(t store.Topic, p store.Place) []byte { return append(topicKey(t), p[:]...) }

// placeKey returns the key before all subscriptions of a place.
func placeKey(p store.Place) []byte { return append([]byte{prefixSubscribed}, p[:]...) }

func subscribedKey(p store.Place, t store.Topic) []byte {
	return append(append(append(placeKey(p), t.Sender...), 0), t.Name...)
}

func subscriptionValue(token string, since time.Time) []byte {
	return appendText(number(uint64(since.UnixMicro())), token)
}

// appendSubscriber appends what a copy needs of a registration.
func appendSubscriber(b []byte, r *store.Registration) []byte {
	for _, s := range [...]string{r.App, r.Subtype, r.Scope, r.InstanceID} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Senders)))
	for _, s := range r.Senders {
		b = appendText(b, s)
	}
	return b
}

// parseSubscriberValue makes a registration from the value of a subscription under its topic. It
// returns nil if the value has only the token, because the registration was not known yet when the
// subscription was restored.
func parseSubscriberValue(p store.Place, value []byte) (*store.Registration, error) {
	if len(value) < sinceLen {
		return nil, errDamaged
	}
	token, rest, err := cutText(value[sinceLen:])
	if err != nil || len(rest) == 0 {
		return nil, err
	}
	r := &store.Registration{Token: string(token), Device: p.Device()}
	for _, into := range [...]*string{&r.App, &r.Subtype, &r.Scope, &r.InstanceID} {
		var text []byte
		if text, rest, err = cutText(rest); err != nil {
			return nil, err
		}
		*into = string(text)
	}
	n, width := binary.Uvarint(rest)
	if width <= 0 || n > uint64(len(rest)) {
		return nil, errDamaged
	}
	rest = rest[width:]
	r.Senders = make([]string, n)
	for i := range r.Senders {
		var text []byte
		if text, rest, err = cutText(rest); err != nil {
			return nil, err
		}
		r.Senders[i] = string(text)
	}
	return r, nil
}

// subscriptionOf makes a subscription from its value.
func subscriptionOf(t store.Topic, p store.Place, value []byte) (store.Subscription, error) {
	if len(value) < sinceLen {
		return store.Subscription{}, fmt.Errorf("subscription: %w", errDamaged)
	}
	token, _, err := cutText(value[sinceLen:])
	if err != nil {
		return store.Subscription{}, fmt.Errorf("subscription: %w", err)
	}
	return store.Subscription{
		Topic: t, Place: p, Token: string(token), Since: time.UnixMicro(int64(binary.BigEndian.Uint64(value))),
	}, nil
}

// parseSubscriber parses the key of a subscription under its topic.
func parseSubscriber(key []byte) (t store.Topic, p store.Place, err error) {
	sender, rest, ok := bytes.Cut(key[1:], []byte{0})
	at := len(rest) - placeLen - 1
	if !ok || at < 0 || rest[at] != 0 {
		return t, p, fmt.Errorf("subscription: %w", errDamaged)
	}
	return store.Topic{Sender: string(sender), Name: string(rest[:at])}, store.Place(rest[at+1:]), nil
}

// SubscribeTopic implements store.Topics.
func (s *Store) SubscribeTopic(ctx context.Context, t store.Topic, regs []*store.Registration, now time.Time) error {
	var failed *store.PartialError
	for from := 0; from < len(regs); from += subscribeBatch {
		some := regs[from:min(from+subscribeBatch, len(regs))]
		if err := s.refusesGrowth(); err != nil {
			return fmt.Errorf("subscribe to %s: %w", t, err)
		}
		err := s.changeInOrder(ctx, func(g *group) error {
			for i, r := range some {
				err := g.subscribe(t, r, now)
				if errors.Is(err, store.ErrTooManyTopics) {
					if failed == nil {
						failed = &store.PartialError{Errs: make([]error, len(regs))}
					}
					failed.Errs[from+i] = err
					err = nil
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", t, err)
		}
	}
	if failed != nil {
		return failed
	}
	return nil
}

func (g *group) subscribe(t store.Topic, r *store.Registration, now time.Time) error {
	r, err := g.s.living(r.Token)
	if err != nil || r == nil {
		return err // it has ended since the caller looked it up
	}
	p := r.Place()
	key := subscribedKey(p, t)
	old, found, err := g.s.get(key)
	if err != nil {
		return err
	}
	if found {
		sub, err := subscriptionOf(t, p, old)
		if err != nil || sub.Token == r.Token {
			return err
		}
	}
	if !found {
		n := 0
		if err := g.eachSubscription(p, func(store.Topic, []byte) error { n++; return nil }); err != nil {
			return err
		}
		if n >= store.MaxTopics {
			return store.ErrTooManyTopics
		}
	}
	return g.setSubscription(t, p, subscriptionValue(r.Token, now), r)
}

// setSubscription stages a subscription. r is its registration, or nil if that is not known.
func (g *group) setSubscription(t store.Topic, p store.Place, value []byte, r *store.Registration) error {
	err := g.batch.Set(subscribedKey(p, t), value, nil)
	if r != nil {
		value = appendSubscriber(value, r)
	}
	return errors.Join(err, g.batch.Set(subscriberKey(t, p), value, nil))
}

func (g *group) deleteSubscription(t store.Topic, p store.Place) error {
	return errors.Join(
		g.batch.Delete(subscriberKey(t, p), nil),
		g.batch.Delete(subscribedKey(p, t), nil),
	)
}

// eachSubscription calls fn for each applied subscription of a place, and its value.
func (g *group) eachSubscription(p store.Place, fn func(t store.Topic, value []byte) error) error {
	it, err := g.iter()
	if err != nil {
		return err
	}
	return eachSubscription(it, p, fn)
}

func eachSubscription(it *pebble.Iterator, p store.Place, fn func(t store.Topic, value []byte) error) error {
	first := placeKey(p)
	for ok := it.SeekGE(first); ok && bytes.HasPrefix(it.Key(), first); ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		sender, name, _ := bytes.Cut(it.Key()[len(first):], []byte{0})
		if err := fn(store.Topic{Sender: string(sender), Name: string(name)}, value); err != nil {
			return err
		}
	}
	return it.Error()
}

// pass passes the subscriptions of a registration to the one that supersedes it. It ends them if
// that is nil.
func (g *group) pass(r, to *store.Registration) error {
	p := r.Place()
	return g.eachSubscription(p, func(t store.Topic, value []byte) error {
		sub, err := subscriptionOf(t, p, value)
		switch {
		case err != nil || sub.Token != r.Token:
			return err
		case to == nil:
			return g.deleteSubscription(t, p)
		}
		return g.setSubscription(t, p, subscriptionValue(to.Token, sub.Since), to)
	})
}

// UnsubscribeTopic implements store.Topics.
func (s *Store) UnsubscribeTopic(ctx context.Context, t store.Topic, regs []*store.Registration) error {
	for from := 0; from < len(regs); from += subscribeBatch {
		err := s.changeInOrder(ctx, func(g *group) error {
			for _, r := range regs[from:min(from+subscribeBatch, len(regs))] {
				if err := g.deleteSubscription(t, r.Place()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("unsubscribe from %s: %w", t, err)
		}
	}
	return nil
}

// Subscribers implements store.Topics.
func (s *Store) Subscribers(ctx context.Context, t store.Topic, after store.Place, max int) (page []store.Subscription, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	topic := topicKey(t)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: topic, UpperBound: keyAfter(topic)})
	if err != nil {
		return nil, fmt.Errorf("subscribers of %s: %w", t, err)
	}
	for it.SeekGE(append(subscriberKey(t, after), 0)); it.Valid() && len(page) < max; it.Next() {
		value, err := it.ValueAndErr()
		var sub store.Subscription
		if err == nil && len(it.Key()) != len(topic)+placeLen {
			err = errDamaged
		}
		if err == nil {
			sub, err = subscriptionOf(t, store.Place(it.Key()[len(topic):]), value)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("subscribers of %s: %w", t, err), it.Close())
		}
		page = append(page, sub)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, fmt.Errorf("subscribers of %s: %w", t, err)
	}
	return page, nil
}

// Resolve implements store.Topics.
func (s *Store) Resolve(ctx context.Context, dst []*store.Registration, subs []store.Subscription) ([]*store.Registration, error) {
	if err := s.enter(ctx); err != nil {
		return dst, err
	}
	defer s.life.RUnlock()
	if len(subs) == 0 {
		return dst, nil
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixSubscriber}, UpperBound: []byte{prefixSubscriber + 1}})
	if err != nil {
		return dst, fmt.Errorf("look up subscribers: %w", err)
	}
	for i := range subs {
		r, err := s.subscriber(it, &subs[i])
		if err != nil {
			return dst, errors.Join(fmt.Errorf("look up a subscriber: %w", err), it.Close())
		}
		dst = append(dst, r)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return dst, fmt.Errorf("look up subscribers: %w", err)
	}
	return dst, nil
}

// subscriber reads who has a subscription, or returns nil if it has ended. The registration has
// only what a copy needs.
func (s *Store) subscriber(it *pebble.Iterator, sub *store.Subscription) (*store.Registration, error) {
	key := subscriberKey(sub.Topic, sub.Place)
	if !it.SeekGE(key) || !bytes.Equal(it.Key(), key) {
		return nil, nil
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, err
	}
	r, err := parseSubscriberValue(sub.Place, value)
	if r != nil || err != nil {
		return r, err
	}
	return s.living(sub.Token)
}

// living returns the newest registration after a token, or nil if there is none. It adds nothing to
// the cache.
func (s *Store) living(token string) (r *store.Registration, err error) {
	for range 2 {
		var ok bool
		if r, ok = s.records.cache.Peek(token); !ok {
			if r, err = s.readRegistration(token); err != nil {
				return nil, err
			}
		}
		switch {
		case r == nil || !r.Unregistered.IsZero():
			return nil, nil
		case r.Canonical == "":
			return r, nil
		}
		token = r.Canonical
	}
	return nil, nil // superseded again between the two reads; the caller has an old list
}

// Subscriptions implements store.Topics.
func (s *Store) Subscriptions(ctx context.Context, r *store.Registration) (all []store.Subscription, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	p := r.Place()
	first := placeKey(p)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: keyAfter(first)})
	if err != nil {
		return nil, fmt.Errorf("topics of a registration: %w", err)
	}
	err = eachSubscription(it, p, func(t store.Topic, value []byte) error {
		sub, err := subscriptionOf(t, p, value)
		if err == nil && sub.Token == r.Token {
			all = append(all, sub)
		}
		return err
	})
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, fmt.Errorf("topics of a registration: %w", err)
	}
	return all, nil
}

// TopicNames implements store.Topics. It seeks from topic to topic.
func (s *Store) TopicNames(ctx context.Context, sender, after string, max int) (names []string, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	first := pairKey(prefixSubscriber, sender, nil)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: first, UpperBound: keyAfter(first)})
	if err != nil {
		return nil, fmt.Errorf("topics of %s: %w", sender, err)
	}
	next := first
	if after != "" {
		next = keyAfter(topicKey(store.Topic{Sender: sender, Name: after}))
	}
	for ok := it.SeekGE(next); ok && len(names) < max; ok = it.SeekGE(next) {
		t, _, err := parseSubscriber(it.Key())
		if err != nil {
			return nil, errors.Join(err, it.Close())
		}
		names = append(names, t.Name)
		next = keyAfter(topicKey(t))
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, fmt.Errorf("topics of %s: %w", sender, err)
	}
	return names, nil
}

// restoreSubscription stages a subscription, unless there is one in its place.
func (g *group) restoreSubscription(sub *store.Subscription) error {
	_, found, err := g.s.get(subscribedKey(sub.Place, sub.Topic))
	if err != nil || found {
		return err
	}
	r, err := g.s.living(sub.Token)
	if err != nil {
		return err
	}
	if r != nil && r.Token != sub.Token {
		r = nil
	}
	return g.setSubscription(sub.Topic, sub.Place, subscriptionValue(sub.Token, sub.Since), r)
}
