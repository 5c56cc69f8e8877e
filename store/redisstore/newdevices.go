package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

var (
	addNewcomer    = load("add_newcomer")
	removeNewcomer = load("remove_newcomer")
	forgetDevice   = load("forget_device")
)

var _ store.NewDevices = (*Store)(nil)

// newcomersKey returns the key of the sorted set of notes, by time in milliseconds.
func (s *Store) newcomersKey() string { return s.key("newcomers", "since") }

// AddNewDevice implements store.NewDevices.
func (s *Store) AddNewDevice(ctx context.Context, device uint64, since time.Time) error {
	c := &transport.Call{Script: addNewcomer, Keys: []string{s.newcomersKey()}, Args: []any{since.UnixMilli(), device}, Safe: true, Durable: true}
	if err := s.transport.Run(ctx, c); err != nil {
		return fmt.Errorf("note newcomer %d: %w", device, err)
	}
	return nil
}

// RemoveNewDevice implements store.NewDevices. Nearly every device has no note left, and then
// nothing is written.
func (s *Store) RemoveNewDevice(ctx context.Context, device uint64) error {
	if err := s.transport.Usable(ctx); err != nil {
		return err
	}
	var note *redis.FloatCmd
	err := s.transport.Read(ctx, func(p redis.Pipeliner) {
		note = p.ZScore(ctx, s.newcomersKey(), strconv.FormatUint(device, 10))
	})
	if err == nil && note.Err() == nil {
		err = s.removeNewcomers(ctx, device)
	}
	if err != nil {
		return fmt.Errorf("take back the note of newcomer %d: %w", device, err)
	}
	return nil
}

func (s *Store) removeNewcomers(ctx context.Context, devices ...any) error {
	return s.transport.Run(ctx, &transport.Call{Script: removeNewcomer, Keys: []string{s.newcomersKey()}, Args: devices, Safe: true, Durable: true})
}

// ForgetNewDevices implements store.NewDevices. After a crash within it the note is still there, so
// it is done again. Keys that lead to a device without registrations do no harm.
func (s *Store) ForgetNewDevices(ctx context.Context, before time.Time, max int) ([]*store.Registration, error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	var notes *redis.StringSliceCmd
	err := s.transport.Read(ctx, func(p redis.Pipeliner) {
		notes = p.ZRangeByScore(ctx, s.newcomersKey(), &redis.ZRangeBy{
			Min: "-inf", Max: "(" + strconv.FormatInt(before.UnixMilli(), 10), Count: int64(max),
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list newcomers: %w", err)
	}
	var forgotten []*store.Registration
	var done []any
	for _, text := range notes.Val() {
		device, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return forgotten, fmt.Errorf("newcomer %q: %w", text, errDamaged)
		}
		all, settled, err := s.forgetDevice(ctx, device)
		if err != nil {
			return forgotten, fmt.Errorf("forget newcomer %d: %w", device, err)
		}
		forgotten = append(forgotten, all...)
		if settled {
			done = append(done, text)
		}
	}
	if len(done) == 0 {
		return forgotten, nil
	}
	if err := s.removeNewcomers(ctx, done...); err != nil {
		return forgotten, fmt.Errorf("take back the notes of newcomers: %w", err)
	}
	return forgotten, nil
}

// forgetDevice forgets the registrations of a device that has no session, and returns them. It
// reports whether the note of the device is no longer needed.
func (s *Store) forgetDevice(ctx context.Context, device uint64) (forgotten []*store.Registration, settled bool, err error) {
	all, version, err := s.readDevice(ctx, device)
	if err != nil {
		return nil, false, err
	}
	queue := s.queueKeys(store.Key{Kind: store.KindDevice, ID: device})[0]
	c := &transport.Call{Script: forgetDevice, Keys: []string{s.registrationsKey(device), queue}, Args: []any{version}, Safe: true, Durable: true}
	if err := s.transport.Run(ctx, c); err != nil {
		return nil, false, err
	}
	if c.Reply != int64(1) {
		return nil, c.Reply == int64(0), nil
	}
	channels, err := s.DeviceChannels(ctx, device)
	if err != nil {
		return nil, false, err
	}
	for _, channel := range channels {
		if err := s.RemoveChannel(ctx, channel); err != nil {
			return nil, false, err
		}
	}
	if err := s.pass(ctx, all, ""); err != nil {
		return all, false, err
	}
	return all, true, s.forgetTokens(ctx, all)
}

// forgetTokens deletes the keys from tokens to their device.
func (s *Store) forgetTokens(ctx context.Context, all []*store.Registration) error {
	if len(all) == 0 {
		return nil
	}
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, r := range all {
			p.Del(ctx, s.tokenKey(r.Token))
			s.known.Remove(r.Token)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget tokens: %w", s.transport.Translate(err))
	}
	return nil
}
