package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

var (
	addApp       = load("add_app")
	removeApp    = load("remove_app")
	addFields    = load("add_fields")
	removeFields = load("remove_fields")
	countDaily   = load("count_daily")
	putDaily     = load("put_daily")
)

func (s *Store) appsKey() string  { return s.key("accounts", "apps") }
func (s *Store) dailyKey() string { return s.key("accounts", "daily") }

const (
	userTag      = "c:" // of the hash tag of a user's instances
	channelsName = "ch" // of the hash of instances
	userField    = ""   // says that the user is known
)

// userKey is the hash of a user's instances, and channelsKey that of a device's. They are in
// different slots, so a crash may leave an instance in the device's hash only. It is added or
// removed by the next try.
func (s *Store) userKey(user string) string { return s.key(userTag+user, channelsName) }
func (s *Store) channelsKey(device uint64) string {
	return s.key(store.Key{Kind: store.KindDevice, ID: device}.String(), channelsName)
}

// AddApp keeps an app.
func (s *Store) AddApp(ctx context.Context, a *store.App) error {
	record, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("app %s: %w", a.ID, err)
	}
	return s.change(ctx, "app "+a.ID+" of "+a.Sender, store.ErrExists, &transport.Call{
		Script: addApp, Keys: []string{s.projectsKey(), s.appsKey()}, Args: []any{a.Sender, a.ID, record},
	})
}

// App returns an app.
func (s *Store) App(ctx context.Context, id string) (*store.App, error) {
	a := &store.App{}
	if _, err := s.readJSON(ctx, s.appsKey(), id, a); err != nil {
		return nil, fmt.Errorf("app %s: %w", id, err)
	}
	return a, nil
}

// Apps lists the apps of a sender, by ID.
func (s *Store) Apps(ctx context.Context, sender string) ([]*store.App, error) {
	all, err := listJSON[store.App](ctx, s, s.appsKey())
	if err != nil {
		return nil, fmt.Errorf("apps of %s: %w", sender, err)
	}
	all = slices.DeleteFunc(all, func(a *store.App) bool { return a.Sender != sender })
	slices.SortFunc(all, func(a, b *store.App) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// RemoveApp forgets an app.
func (s *Store) RemoveApp(ctx context.Context, sender, id string) error {
	return s.change(ctx, "app "+id+" of "+sender, store.ErrNotFound, &transport.Call{
		Script: removeApp, Keys: []string{s.appsKey()}, Args: []any{sender, id},
	})
}

// fields changes the fields of a hash, with a script that may run twice.
func (s *Store) fields(ctx context.Context, script *transport.Script, key string, args ...any) error {
	return s.transport.Run(ctx, &transport.Call{Script: script, Keys: []string{key}, Args: args, Safe: true, Durable: true})
}

// AddUser makes a user known.
func (s *Store) AddUser(ctx context.Context, user string) error {
	if err := s.fields(ctx, addFields, s.userKey(user), userField, 0); err != nil {
		return fmt.Errorf("user %s: %w", user, err)
	}
	return nil
}

// AddChannel keeps an instance.
func (s *Store) AddChannel(ctx context.Context, c *store.Channel) error {
	since := c.Since.UnixMicro()
	err := s.fields(ctx, addFields, s.channelsKey(c.Device), c.User+"\x00"+c.App, since)
	if err == nil {
		err = s.fields(ctx, addFields, s.userKey(c.User), userField, 0, instanceField(c), since)
	}
	if err != nil {
		return fmt.Errorf("channel %s/%s: %w", c.User, c.App, err)
	}
	return nil
}

// RemoveChannel forgets an instance.
func (s *Store) RemoveChannel(ctx context.Context, c *store.Channel) error {
	err := s.fields(ctx, removeFields, s.userKey(c.User), instanceField(c))
	if err == nil {
		err = s.fields(ctx, removeFields, s.channelsKey(c.Device), c.User+"\x00"+c.App)
	}
	if err != nil {
		return fmt.Errorf("channel %s/%s: %w", c.User, c.App, err)
	}
	return nil
}

// instanceField is the name of an instance in its user's hash.
func instanceField(c *store.Channel) string { return c.App + "\x00" + strconv.FormatUint(c.Device, 10) }

// readUser reads the hash of a user's instances. The user is unknown if it is empty.
func (s *Store) readUser(user string, fields map[string]string) (all []*store.Channel, err error) {
	for name, value := range fields {
		if name == userField {
			continue
		}
		app, number, _ := strings.Cut(name, "\x00")
		device, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", user, errDamaged)
		}
		since, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", user, errDamaged)
		}
		all = append(all, &store.Channel{User: user, App: app, Device: device, Since: time.UnixMicro(since)})
	}
	slices.SortFunc(all, func(a, b *store.Channel) int {
		return cmp.Or(strings.Compare(a.App, b.App), cmp.Compare(a.Device, b.Device))
	})
	return all, nil
}

// readHash reads a whole hash.
func (s *Store) readHash(ctx context.Context, key string) (map[string]string, error) {
	var cmd *redis.MapStringStringCmd
	if err := s.transport.Read(ctx, func(p redis.Pipeliner) { cmd = p.HGetAll(ctx, key) }); err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}

// ChannelDevices lists the devices on which a user has an app.
func (s *Store) ChannelDevices(ctx context.Context, dst []uint64, user, app string) ([]uint64, error) {
	if err := s.transport.Usable(ctx); err != nil {
		return dst, err
	}
	fields, err := s.readHash(ctx, s.userKey(user))
	if err == nil && len(fields) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return dst, fmt.Errorf("user %s: %w", user, err)
	}
	all, err := s.readUser(user, fields)
	if err != nil {
		return dst, err
	}
	for _, c := range all {
		if c.App == app {
			dst = append(dst, c.Device)
		}
	}
	return dst, nil
}

// DeviceChannels lists the instances on a device.
func (s *Store) DeviceChannels(ctx context.Context, device uint64) (all []*store.Channel, err error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	fields, err := s.readHash(ctx, s.channelsKey(device))
	if err != nil {
		return nil, fmt.Errorf("channels of device %d: %w", device, err)
	}
	for name, value := range fields {
		user, app, _ := strings.Cut(name, "\x00")
		since, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("channels of device %d: %w", device, errDamaged)
		}
		all = append(all, &store.Channel{User: user, App: app, Device: device, Since: time.UnixMicro(since)})
	}
	slices.SortFunc(all, func(a, b *store.Channel) int {
		return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.App, b.App))
	})
	return all, nil
}

// CountDaily adds to the count of a sender. Redis decides, because the nodes share the count.
func (s *Store) CountDaily(ctx context.Context, sender string, day int64, n, max int) (ok bool, wait func() error, err error) {
	c := &transport.Call{Script: countDaily, Keys: []string{s.dailyKey()}, Args: []any{sender, day, n, max}, Durable: true}
	if err := s.transport.Run(ctx, c); err != nil {
		return false, nil, fmt.Errorf("daily count of %s: %w", sender, err)
	}
	return c.Reply == int64(1), func() error { return nil }, nil
}

// DailyCount returns the count of a sender.
func (s *Store) DailyCount(ctx context.Context, sender string) (store.DailyCount, error) {
	if err := s.transport.Usable(ctx); err != nil {
		return store.DailyCount{}, err
	}
	var cmd *redis.StringCmd
	err := s.transport.Read(ctx, func(p redis.Pipeliner) { cmd = p.HGet(ctx, s.dailyKey(), sender) })
	switch {
	case err != nil:
		return store.DailyCount{}, fmt.Errorf("daily count of %s: %w", sender, err)
	case cmd.Err() != nil:
		return store.DailyCount{}, nil
	}
	return parseDaily(sender, cmd.Val())
}

func parseDaily(sender, text string) (store.DailyCount, error) {
	c := store.DailyCount{Sender: sender}
	if _, err := fmt.Sscanf(text, "%d %d", &c.Day, &c.Count); err != nil {
		return store.DailyCount{}, fmt.Errorf("daily count of %s: %w", sender, errDamaged)
	}
	return c, nil
}

// PutDailyCount sets a count.
func (s *Store) PutDailyCount(ctx context.Context, c store.DailyCount) error {
	if err := s.fields(ctx, putDaily, s.dailyKey(), c.Sender, c.Day, c.Count); err != nil {
		return fmt.Errorf("daily count of %s: %w", c.Sender, err)
	}
	return nil
}

// dailyCounts reads the counts of all senders.
func (d *dump) dailyCounts() error {
	all, err := d.s.readHash(d.ctx, d.s.dailyKey())
	if err != nil {
		return err
	}
	for sender, text := range all {
		c, err := parseDaily(sender, text)
		if err != nil {
			return err
		}
		if err := d.Room(); err != nil {
			return err
		}
		d.DailyCounts = append(d.DailyCounts, c)
	}
	return nil
}

// users reads the instances of some users.
func (d *dump) users(users []string) error {
	cmds := make([]*redis.MapStringStringCmd, len(users))
	err := d.s.transport.Read(d.ctx, func(p redis.Pipeliner) {
		for i, user := range users {
			cmds[i] = p.HGetAll(d.ctx, d.s.userKey(user))
		}
	})
	if err != nil {
		return err
	}
	for i, cmd := range cmds {
		all, err := d.s.readUser(users[i], cmd.Val())
		if err != nil {
			return err
		}
		if err := d.Room(); err != nil {
			return err
		}
		d.Users = append(d.Users, users[i])
		for _, c := range all {
			if err := d.Room(); err != nil {
				return err
			}
			d.Channels = append(d.Channels, c)
		}
	}
	return nil
}
