package memstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/openccs/openccs/store"
)

// chrome holds the records of GCM for Chrome. The lock of accounts protects them.
type chrome struct {
	apps     map[string]store.App
	users    map[string]map[channel]time.Time // the instances of each known user
	byDevice map[uint64]map[userApp]struct{}
	daily    map[string]store.DailyCount
}

type channel struct {
	app    string
	device uint64
}

type userApp struct{ user, app string }

func (c *chrome) init() {
	c.apps = map[string]store.App{}
	c.users = map[string]map[channel]time.Time{}
	c.byDevice = map[uint64]map[userApp]struct{}{}
	c.daily = map[string]store.DailyCount{}
}

// deleteSender forgets the apps and the count of a project.
func (c *chrome) deleteSender(sender string) {
	maps.DeleteFunc(c.apps, func(_ string, a store.App) bool { return a.Sender == sender })
	delete(c.daily, sender)
}

// AddApp keeps an app.
func (s *Store) AddApp(ctx context.Context, a *store.App) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	if s.accounts.projects[a.Sender] == nil {
		return fmt.Errorf("app %s: project %s: %w", a.ID, a.Sender, store.ErrNotFound)
	}
	if _, taken := s.accounts.chrome.apps[a.ID]; taken {
		return fmt.Errorf("app %s: %w", a.ID, store.ErrExists)
	}
	s.accounts.chrome.apps[a.ID] = *a
	return nil
}

// App returns an app.
func (s *Store) App(ctx context.Context, id string) (*store.App, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	a, ok := s.accounts.chrome.apps[id]
	if !ok {
		return nil, fmt.Errorf("app %s: %w", id, store.ErrNotFound)
	}
	return &a, nil
}

// Apps lists the apps of a sender, by ID.
func (s *Store) Apps(ctx context.Context, sender string) (all []*store.App, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	for _, a := range s.accounts.chrome.apps {
		if a.Sender == sender {
			all = append(all, &a)
		}
	}
	slices.SortFunc(all, func(a, b *store.App) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// RemoveApp forgets an app.
func (s *Store) RemoveApp(ctx context.Context, sender, id string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	if a, ok := s.accounts.chrome.apps[id]; !ok || a.Sender != sender {
		return fmt.Errorf("app %s of %s: %w", id, sender, store.ErrNotFound)
	}
	delete(s.accounts.chrome.apps, id)
	return nil
}

// AddUser makes a user known.
func (s *Store) AddUser(ctx context.Context, user string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	s.accounts.chrome.addUser(user)
	return nil
}

func (c *chrome) addUser(user string) map[channel]time.Time {
	if c.users[user] == nil {
		c.users[strings.Clone(user)] = map[channel]time.Time{}
	}
	return c.users[user]
}

// AddChannel keeps an instance.
func (s *Store) AddChannel(ctx context.Context, add *store.Channel) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	c := &s.accounts.chrome
	user, app := strings.Clone(add.User), strings.Clone(add.App)
	instances := c.addUser(user)
	k := channel{app, add.Device}
	if _, there := instances[k]; there {
		return nil
	}
	instances[k] = add.Since.Truncate(time.Microsecond)
	if c.byDevice[add.Device] == nil {
		c.byDevice[add.Device] = map[userApp]struct{}{}
	}
	c.byDevice[add.Device][userApp{user, app}] = struct{}{}
	return nil
}

// RemoveChannel forgets an instance.
func (s *Store) RemoveChannel(ctx context.Context, gone *store.Channel) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	s.accounts.chrome.remove(gone.User, gone.App, gone.Device)
	return nil
}

func (c *chrome) remove(user, app string, device uint64) {
	delete(c.users[user], channel{app, device})
	delete(c.byDevice[device], userApp{user, app})
	if len(c.byDevice[device]) == 0 {
		delete(c.byDevice, device)
	}
}

// forgetDevice forgets the instances on a device.
func (a *accounts) forgetDevice(device uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range a.chrome.byDevice[device] {
		a.chrome.remove(k.user, k.app, device)
	}
}

// ChannelDevices lists the devices on which a user has an app.
func (s *Store) ChannelDevices(ctx context.Context, dst []uint64, user, app string) ([]uint64, error) {
	if err := s.usable(ctx); err != nil {
		return dst, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	instances, known := s.accounts.chrome.users[user]
	if !known {
		return dst, fmt.Errorf("user %s: %w", user, store.ErrNotFound)
	}
	first := len(dst)
	for k := range instances {
		if k.app == app {
			dst = append(dst, k.device)
		}
	}
	slices.Sort(dst[first:])
	return dst, nil
}

// DeviceChannels lists the instances on a device.
func (s *Store) DeviceChannels(ctx context.Context, device uint64) (all []*store.Channel, err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	c := &s.accounts.chrome
	for k := range c.byDevice[device] {
		all = append(all, &store.Channel{User: k.user, App: k.app, Device: device, Since: c.users[k.user][channel{k.app, device}]})
	}
	slices.SortFunc(all, compareChannels)
	return all, nil
}

func compareChannels(a, b *store.Channel) int {
	return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.App, b.App), cmp.Compare(a.Device, b.Device))
}

// CountDaily adds to the count of a sender.
func (s *Store) CountDaily(ctx context.Context, sender string, day int64, n, max int) (ok bool, wait func() error, err error) {
	if err := s.usable(ctx); err != nil {
		return false, nil, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	c, ok := s.accounts.chrome.daily[sender].Advance(day, n, max)
	if !ok {
		return false, nil, nil
	}
	c.Sender = strings.Clone(sender)
	s.accounts.chrome.daily[c.Sender] = c
	return true, func() error { return nil }, nil
}

// DailyCount returns the count of a sender.
func (s *Store) DailyCount(ctx context.Context, sender string) (store.DailyCount, error) {
	if err := s.usable(ctx); err != nil {
		return store.DailyCount{}, err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	return s.accounts.chrome.daily[sender], nil
}

// PutDailyCount sets a count.
func (s *Store) PutDailyCount(ctx context.Context, c store.DailyCount) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.accounts.mu.Lock()
	defer s.accounts.mu.Unlock()
	if s.accounts.chrome.daily[c.Sender].Before(c) {
		s.accounts.chrome.daily[c.Sender] = c
	}
	return nil
}

// list adds everything to a page.
func (c *chrome) list(all *store.Page) {
	for _, a := range c.apps {
		all.Apps = append(all.Apps, &a)
	}
	for user, instances := range c.users {
		all.Users = append(all.Users, user)
		for k, since := range instances {
			all.Channels = append(all.Channels, &store.Channel{User: user, App: k.app, Device: k.device, Since: since})
		}
	}
	for _, d := range c.daily {
		all.DailyCounts = append(all.DailyCounts, d)
	}
	slices.SortFunc(all.Apps, func(a, b *store.App) int { return strings.Compare(a.ID, b.ID) })
	slices.Sort(all.Users)
	slices.SortFunc(all.Channels, compareChannels)
	slices.SortFunc(all.DailyCounts, func(a, b store.DailyCount) int { return strings.Compare(a.Sender, b.Sender) })
}
