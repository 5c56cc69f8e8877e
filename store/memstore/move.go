package memstore

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
)

var _ store.Movable = (*Store)(nil)

// Dump lists everything at once and cuts it into pages. A page's Next is the number of records
// before it.
func (s *Store) Dump(ctx context.Context, from string, now time.Time) iter.Seq2[*store.Page, error] {
	return func(yield func(*store.Page, error) bool) {
		if err := s.dump(ctx, from, now, yield); err != nil {
			yield(nil, fmt.Errorf("dump: %w", err))
		}
	}
}

func (s *Store) dump(ctx context.Context, from string, now time.Time, yield func(*store.Page, error) bool) error {
	at, err := strconv.ParseUint(cmp.Or(from, "0"), 10, 31)
	if err != nil {
		return fmt.Errorf("%q is no place to go on from: %w", from, err)
	}
	all := s.all()
	for at := int(at); ; at += store.PageSize {
		if err := s.usable(ctx); err != nil {
			return err
		}
		if !yield(cut(all, at, now), nil) || at+store.PageSize >= all.Len() {
			return nil
		}
	}
}

// all returns one page with everything, in an order that does not change.
func (s *Store) all() *store.Page {
	all := &store.Page{}
	s.accounts.list(all)
	s.registry.list(all)
	s.fanouts.list(all)
	for i := range s.shards {
		s.shards[i].list(all)
	}
	return all
}

// cut makes a page of the records that start at from.
func cut(all *store.Page, from int, now time.Time) *store.Page {
	c := cutter{skip: from, room: store.PageSize}
	p := &store.Page{
		Seq: all.Seq, Next: strconv.Itoa(min(from+store.PageSize, all.Len())),
		Secrets: cutOf(&c, all.Secrets), Projects: cutOf(&c, all.Projects), Clients: cutOf(&c, all.Clients),
		RefreshTokens: cutOf(&c, all.RefreshTokens), Apps: cutOf(&c, all.Apps), Users: cutOf(&c, all.Users),
		Channels: cutOf(&c, all.Channels), DailyCounts: cutOf(&c, all.DailyCounts), Registrations: cutOf(&c, all.Registrations),
		Subscriptions: cutOf(&c, all.Subscriptions), Groups: cutOf(&c, all.Groups), Fanouts: cutOf(&c, all.Fanouts),
		Remembered: cutOf(&c, all.Remembered), Entries: cutOf(&c, all.Entries),
	}
	p.Remembered = slices.DeleteFunc(slices.Clone(p.Remembered), func(r store.Remembered) bool { return !r.Until.After(now) })
	p.Entries = slices.DeleteFunc(slices.Clone(p.Entries), func(e store.Entry) bool { return !e.Expires.After(now) })
	return p
}

// cutter holds the number of records that are still skipped, and the room that is left in a page.
type cutter struct{ skip, room int }

func cutOf[T any](c *cutter, records []T) []T {
	n := min(c.skip, len(records))
	c.skip -= n
	records = records[n:]
	n = min(c.room, len(records))
	c.room -= n
	return records[:n]
}

func (a *accounts) list(all *store.Page) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, value := range a.secrets {
		all.Secrets = append(all.Secrets, store.Secret{Name: name, Value: slices.Clone(value)})
	}
	for _, p := range a.projects {
		all.Projects = append(all.Projects, p.Clone())
	}
	for _, c := range a.grants.clients {
		all.Clients = append(all.Clients, &c)
	}
	for _, t := range a.grants.tokens {
		all.RefreshTokens = append(all.RefreshTokens, &t)
	}
	a.chrome.list(all)
	slices.SortFunc(all.Secrets, func(a, b store.Secret) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(all.Projects, func(a, b *store.Project) int { return strings.Compare(a.Sender, b.Sender) })
	slices.SortFunc(all.Clients, func(a, b *store.OAuthClient) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(all.RefreshTokens, func(a, b *store.RefreshToken) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
}

func (g *registry) list(all *store.Page) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, reg := range g.byToken {
		all.Registrations = append(all.Registrations, reg)
	}
	slices.SortFunc(all.Registrations, func(a, b *store.Registration) int { return strings.Compare(a.Token, b.Token) })
	for _, of := range g.topics.byTopic {
		for _, sub := range of.all {
			all.Subscriptions = append(all.Subscriptions, sub)
		}
	}
	slices.SortFunc(all.Subscriptions, func(a, b *store.Subscription) int {
		return cmp.Or(compareTopics(a.Topic, b.Topic), slices.Compare(a.Place[:], b.Place[:]))
	})
	for _, group := range g.groups.byID {
		all.Groups = append(all.Groups, group)
	}
	slices.SortFunc(all.Groups, func(a, b *store.Group) int { return a.ID().Compare(b.ID()) })
}

func (sh *shard) list(all *store.Page) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	all.Seq = max(all.Seq, sh.seq)
	first := len(all.Remembered)
	for k, until := range sh.dedup.until {
		all.Remembered = append(all.Remembered, store.Remembered{Key: k.queue, Sum: k.sum, Until: time.UnixMilli(until)})
	}
	slices.SortFunc(all.Remembered[first:], func(a, b store.Remembered) int {
		return cmp.Or(compareKeys(a.Key, b.Key), slices.Compare(a.Sum[:], b.Sum[:]))
	})
	first = len(all.Entries)
	for _, q := range sh.queues {
		for _, it := range q.items {
			e := it.Entry
			e.Body = slices.Clone(e.Body)
			if it.away {
				e.Limit.Overflow = store.Discard
			}
			all.Entries = append(all.Entries, e)
		}
	}
	slices.SortFunc(all.Entries[first:], func(a, b store.Entry) int {
		return cmp.Or(compareKeys(a.Key, b.Key), cmp.Compare(a.ID, b.ID))
	})
}

func compareKeys(a, b store.Key) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID))
}
