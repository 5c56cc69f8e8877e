package diskstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/openccs/openccs/store"
)

// AddApp stores an app.
func (s *Store) AddApp(ctx context.Context, a *store.App) error {
	return s.changeInOrder(ctx, func(g *group) error {
		if _, err := s.readProject(textKey(prefixProject, a.Sender)); err != nil {
			return fmt.Errorf("app %s: %w", a.ID, err)
		}
		key := textKey(prefixApp, a.ID)
		switch _, found, err := s.get(key); {
		case err != nil:
			return err
		case found:
			return fmt.Errorf("app %s: %w", a.ID, store.ErrExists)
		}
		return errors.Join(g.setJSON(key, a), g.batch.Set(pairKey(prefixAppOf, a.Sender, []byte(a.ID)), nil, nil))
	})
}

// App returns an app.
func (s *Store) App(ctx context.Context, id string) (*store.App, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	return s.readApp(id)
}

func (s *Store) readApp(id string) (*store.App, error) {
	a := &store.App{}
	if err := s.getJSON(textKey(prefixApp, id), a); err != nil {
		return nil, fmt.Errorf("app %s: %w", id, err)
	}
	return a, nil
}

// Apps lists the apps of a sender, by ID.
func (s *Store) Apps(ctx context.Context, sender string) (all []*store.App, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	ids, err := s.listPairs(prefixAppOf, sender)
	if err != nil {
		return nil, fmt.Errorf("apps of %s: %w", sender, err)
	}
	for _, id := range ids {
		a, err := s.readApp(string(id))
		switch {
		case errors.Is(err, store.ErrNotFound): // removed since the list was read
		case err != nil:
			return nil, err
		default:
			all = append(all, a)
		}
	}
	return all, nil
}

// RemoveApp forgets an app.
func (s *Store) RemoveApp(ctx context.Context, sender, id string) error {
	return s.changeInOrder(ctx, func(g *group) error {
		a, err := s.readApp(id)
		if err == nil && a.Sender != sender {
			err = fmt.Errorf("app %s of %s: %w", id, sender, store.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return g.deleteApp(sender, id)
	})
}

func (g *group) deleteApp(sender, id string) error {
	return errors.Join(
		g.batch.Delete(textKey(prefixApp, id), nil),
		g.batch.Delete(pairKey(prefixAppOf, sender, []byte(id)), nil))
}

// deleteApps stages the removal of all apps of a sender.
func (g *group) deleteApps(sender string) error {
	ids, err := g.s.listPairs(prefixAppOf, sender)
	for _, id := range ids {
		err = errors.Join(err, g.deleteApp(sender, string(id)))
	}
	return err
}

// channelPrefix returns the start of the keys of the devices on which a user has an app.
func channelPrefix(user, app string) []byte {
	return append(pairKey(prefixChannel, user, []byte(app)), 0)
}

func channelKey(c *store.Channel) []byte {
	return binary.BigEndian.AppendUint64(channelPrefix(c.User, c.App), c.Device)
}

// channelOfPrefix returns the start of the keys of the instances on a device.
func channelOfPrefix(device uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixChannelOf}, device)
}

func channelOfKey(c *store.Channel) []byte {
	return append(append(append(channelOfPrefix(c.Device), c.User...), 0), c.App...)
}

// parseChannel reads a record under channelKey.
func parseChannel(key, value []byte) (*store.Channel, error) {
	if len(key) < 1+8 || len(value) != 8 {
		return nil, errDamaged
	}
	names, device := key[1:len(key)-8], binary.BigEndian.Uint64(key[len(key)-8:])
	user, app, _ := bytes.Cut(names, []byte{0})
	app, _, ok := bytes.Cut(app, []byte{0})
	if !ok {
		return nil, errDamaged
	}
	return &store.Channel{
		User: string(user), App: string(app), Device: device, Since: time.UnixMicro(int64(binary.BigEndian.Uint64(value))),
	}, nil
}

// AddUser makes a user known.
func (s *Store) AddUser(ctx context.Context, user string) error {
	return s.changeInOrder(ctx, func(g *group) error { return g.batch.Set(textKey(prefixUser, user), nil, nil) })
}

// AddChannel stores an instance.
func (s *Store) AddChannel(ctx context.Context, c *store.Channel) error {
	return s.changeInOrder(ctx, func(g *group) error {
		key := channelKey(c)
		if _, found, err := s.get(key); err != nil || found {
			return err
		}
		since := number(uint64(c.Since.UnixMicro()))
		return errors.Join(
			g.batch.Set(textKey(prefixUser, c.User), nil, nil),
			g.batch.Set(key, since, nil),
			g.batch.Set(channelOfKey(c), since, nil))
	})
}

// RemoveChannel forgets an instance.
func (s *Store) RemoveChannel(ctx context.Context, c *store.Channel) error {
	return s.changeInOrder(ctx, func(g *group) error { return g.deleteChannel(c) })
}

func (g *group) deleteChannel(c *store.Channel) error {
	return errors.Join(g.batch.Delete(channelKey(c), nil), g.batch.Delete(channelOfKey(c), nil))
}

// deleteChannels stages the removal of all instances on a device.
func (g *group) deleteChannels(device uint64) error {
	all, err := g.s.readChannels(device)
	for _, c := range all {
		err = errors.Join(err, g.deleteChannel(c))
	}
	return err
}

// ChannelDevices lists the devices on which a user has an app.
func (s *Store) ChannelDevices(ctx context.Context, dst []uint64, user, app string) ([]uint64, error) {
	if err := s.enter(ctx); err != nil {
		return dst, err
	}
	defer s.life.RUnlock()
	first, from := len(dst), channelPrefix(user, app)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: keyAfter(from)})
	if err != nil {
		return dst, fmt.Errorf("channel %s/%s: %w", user, app, err)
	}
	for it.First(); it.Valid(); it.Next() {
		if key := it.Key(); len(key) == len(from)+8 {
			dst = append(dst, binary.BigEndian.Uint64(key[len(from):]))
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return dst, fmt.Errorf("channel %s/%s: %w", user, app, err)
	}
	if len(dst) > first {
		return dst, nil
	}
	_, found, err := s.get(textKey(prefixUser, user))
	if err == nil && !found {
		err = store.ErrNotFound
	}
	if err != nil {
		return dst, fmt.Errorf("user %s: %w", user, err)
	}
	return dst, nil
}

// DeviceChannels lists the instances on a device.
func (s *Store) DeviceChannels(ctx context.Context, device uint64) ([]*store.Channel, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.life.RUnlock()
	return s.readChannels(device)
}

func (s *Store) readChannels(device uint64) (all []*store.Channel, err error) {
	from := channelOfPrefix(device)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: keyAfter(from)})
	if err != nil {
		return nil, fmt.Errorf("channels of device %d: %w", device, err)
	}
	for it.First(); it.Valid(); it.Next() {
		user, app, ok := bytes.Cut(it.Key()[len(from):], []byte{0})
		value, valueErr := it.ValueAndErr()
		if !ok || valueErr != nil || len(value) != 8 {
			err = errors.Join(valueErr, errDamaged)
			break
		}
		all = append(all, &store.Channel{
			User: string(user), App: string(app), Device: device, Since: time.UnixMicro(int64(binary.BigEndian.Uint64(value))),
		})
	}
	if err := errors.Join(err, it.Error(), it.Close()); err != nil {
		return nil, fmt.Errorf("channels of device %d: %w", device, err)
	}
	return all, nil
}

// daily holds the counts of the senders that were counted since the start. They are ahead of the
// disk while a count is being written.
type daily struct {
	mu     sync.Mutex // taken by the committer too; not held over I/O
	counts map[string]store.DailyCount
}

// CountDaily adds to the count of a sender. The new count is staged by the committer, in the same
// group as the messages that the caller puts next.
func (s *Store) CountDaily(ctx context.Context, sender string, day int64, n, max int) (ok bool, wait func() error, err error) {
	if err := s.enter(ctx); err != nil {
		return false, nil, err
	}
	defer s.life.RUnlock()
	if err := s.health.refusal(stalled); err != nil {
		return false, nil, err
	}
	ok, err = s.changeDaily(sender, func(c store.DailyCount) (store.DailyCount, bool) { return c.Advance(day, n, max) })
	if err != nil || !ok {
		return false, nil, err
	}
	w := s.writeDaily(sender)
	s.committer.push(store.Caller(ctx), w)
	return true, func() error { return w.wait(s) }, nil
}

// changeDaily changes a count in memory, unless fn returns false.
func (s *Store) changeDaily(sender string, fn func(store.DailyCount) (store.DailyCount, bool)) (bool, error) {
	d := &s.daily
	d.mu.Lock()
	defer d.mu.Unlock()
	c, known := d.counts[sender]
	if !known {
		d.mu.Unlock()
		stored, err := s.readDaily(sender)
		d.mu.Lock()
		if err != nil {
			return false, err
		}
		if c, known = d.counts[sender]; !known {
			c = stored
		}
	}
	c, ok := fn(c)
	if !ok {
		return false, nil
	}
	c.Sender = sender
	if !known {
		c.Sender = string([]byte(sender)) // the caller may use its memory again
		if d.counts == nil {
			d.counts = map[string]store.DailyCount{}
		}
	}
	d.counts[c.Sender] = c
	return true, nil
}

// writeDaily returns the work that writes the count in memory. Of several in one group the last
// write has the highest count.
func (s *Store) writeDaily(sender string) *change {
	sender = string([]byte(sender))
	return newChange(func(g *group) error {
		s.daily.mu.Lock()
		c, known := s.daily.counts[sender]
		s.daily.mu.Unlock()
		if !known { // the project was deleted
			return nil
		}
		value := binary.BigEndian.AppendUint64(number(uint64(c.Day)), uint64(c.Count))
		return g.batch.Set(textKey(prefixDaily, sender), value, nil)
	})
}

func (g *group) deleteDaily(sender string) error {
	g.s.daily.mu.Lock()
	delete(g.s.daily.counts, sender)
	g.s.daily.mu.Unlock()
	return g.batch.Delete(textKey(prefixDaily, sender), nil)
}

// DailyCount returns the count of a sender.
func (s *Store) DailyCount(ctx context.Context, sender string) (c store.DailyCount, err error) {
	if err := s.enter(ctx); err != nil {
		return c, err
	}
	defer s.life.RUnlock()
	_, err = s.changeDaily(sender, func(now store.DailyCount) (store.DailyCount, bool) { c = now; return c, false })
	return c, err
}

// PutDailyCount sets a count.
func (s *Store) PutDailyCount(ctx context.Context, c store.DailyCount) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.life.RUnlock()
	ok, err := s.changeDaily(c.Sender, func(now store.DailyCount) (store.DailyCount, bool) { return c, now.Before(c) })
	if err != nil || !ok {
		return err
	}
	return s.committer.do(ctx, s.writeDaily(c.Sender))
}

// readDaily reads a count from disk; a zero one if there is none.
func (s *Store) readDaily(sender string) (store.DailyCount, error) {
	value, found, err := s.get(textKey(prefixDaily, sender))
	if err != nil || !found {
		return store.DailyCount{}, err
	}
	return parseDaily(sender, value)
}

func parseDaily(sender string, value []byte) (store.DailyCount, error) {
	if len(value) != 16 {
		return store.DailyCount{}, fmt.Errorf("daily count of %s: %w", sender, errDamaged)
	}
	return store.DailyCount{
		Sender: sender, Day: int64(binary.BigEndian.Uint64(value)), Count: int(binary.BigEndian.Uint64(value[8:])),
	}, nil
}
