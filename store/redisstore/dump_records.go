package redisstore

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
)

// accounts reads the records that share one hash slot.
func (d *dump) accounts() error {
	var secrets *redis.MapStringStringCmd
	err := d.s.transport.Read(d.ctx, func(p redis.Pipeliner) { secrets = p.HGetAll(d.ctx, d.s.secretsKey()) })
	if err != nil {
		return err
	}
	for name, value := range secrets.Val() {
		d.Secrets = append(d.Secrets, store.Secret{Name: name, Value: []byte(value)})
	}
	if err := addAccounts(d, d.s.projectsKey(), func(p *store.Page, r *store.Project) { p.Projects = append(p.Projects, r) }); err != nil {
		return err
	}
	if err := addAccounts(d, d.s.clientsKey(), func(p *store.Page, r *store.OAuthClient) { p.Clients = append(p.Clients, r) }); err != nil {
		return err
	}
	err = addAccounts(d, d.s.refreshKey(), func(p *store.Page, r *store.RefreshToken) { p.RefreshTokens = append(p.RefreshTokens, r) })
	if err != nil {
		return err
	}
	if err := addAccounts(d, d.s.appsKey(), func(p *store.Page, r *store.App) { p.Apps = append(p.Apps, r) }); err != nil {
		return err
	}
	if err := d.dailyCounts(); err != nil {
		return err
	}
	fanouts, err := d.s.readFanouts(d.ctx, func(*store.Fanout) bool { return true })
	if err != nil {
		return err
	}
	for _, f := range fanouts {
		if err := d.Room(); err != nil {
			return err
		}
		d.Fanouts = append(d.Fanouts, f)
	}
	return nil
}

func addAccounts[T any](d *dump, key string, add func(*store.Page, *T)) error {
	all, err := listJSON[T](d.ctx, d.s, key)
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := d.Room(); err != nil {
			return err
		}
		add(d.Page, r)
	}
	return nil
}

// registrations reads the registrations of some devices.
func (d *dump) registrations(devices []store.Key) error {
	cmds := make([]*redis.MapStringStringCmd, len(devices))
	err := d.s.transport.Read(d.ctx, func(p redis.Pipeliner) {
		for i, k := range devices {
			cmds[i] = p.HGetAll(d.ctx, d.s.registrationsKey(k.ID))
		}
	})
	if err != nil {
		return err
	}
	for i, cmd := range cmds {
		for token, raw := range cmd.Val() {
			if token == versionField {
				continue
			}
			r, err := decodeRegistration(raw, token, devices[i].ID)
			if err != nil {
				return fmt.Errorf("registrations of device %d: %w", devices[i].ID, err)
			}
			if err := d.Room(); err != nil {
				return err
			}
			d.Registrations = append(d.Registrations, r)
		}
	}
	return nil
}

// subscriptions reads the subscriptions of some places.
func (d *dump) subscriptions(places []store.Place) error {
	cmds := make([]*redis.MapStringStringCmd, len(places))
	err := d.s.transport.Read(d.ctx, func(p redis.Pipeliner) {
		for i := range places {
			cmds[i] = p.HGetAll(d.ctx, d.s.topicsKey(places[i]))
		}
	})
	if err != nil {
		return err
	}
	for i, cmd := range cmds {
		for field, record := range cmd.Val() {
			sub, err := parseSubscription(parseTopicField(field), places[i], record)
			if err != nil {
				return err
			}
			if err := d.Room(); err != nil {
				return err
			}
			d.Page.Subscriptions = append(d.Page.Subscriptions, &sub)
		}
	}
	return nil
}

// groups reads device groups, without the members whose tokens have ended.
func (d *dump) groups(ids []store.GroupID) error {
	for _, id := range ids {
		g, err := d.s.Group(d.ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err == nil {
			err = d.Room()
		}
		if err != nil {
			return err
		}
		d.Page.Groups = append(d.Page.Groups, g)
	}
	return nil
}

// placeOfKey returns the place for a device and the rest of its key.
func placeOfKey(k store.Key, slot string) (p store.Place, err error) {
	b, err := hex.DecodeString(slot)
	if err != nil || len(b) != placeLen-devicePartLen {
		return p, fmt.Errorf("topics of %s: %w", k, errDamaged)
	}
	binary.BigEndian.PutUint64(p[:], k.ID)
	copy(p[devicePartLen:], b)
	return p, nil
}

// rememberedKey is a remembered string, and the key that has its expiry.
type rememberedKey struct {
	key string
	store.Remembered
}

func (d *dump) remembered(all []rememberedKey) error {
	cmds := make([]*redis.StringCmd, len(all))
	err := d.s.transport.Read(d.ctx, func(p redis.Pipeliner) {
		for i, r := range all {
			cmds[i] = p.Get(d.ctx, r.key)
		}
	})
	if err != nil {
		return err
	}
	for i, cmd := range cmds {
		if cmd.Err() != nil {
			continue // forgotten after the keys were listed
		}
		until, err := strconv.ParseInt(cmd.Val(), 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", all[i].Key, errDamaged)
		}
		r := all[i].Remembered
		if r.Until = time.UnixMilli(until); !r.Until.After(d.now) {
			continue
		}
		if err := d.Room(); err != nil {
			return err
		}
		d.Page.Remembered = append(d.Page.Remembered, r)
	}
	return nil
}
