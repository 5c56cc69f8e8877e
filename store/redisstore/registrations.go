package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// A registration is a field of its device's hash, under its token, and the hash has a version. So
// decisions about one device are made in Go, written at once, and repeated if another writer was
// faster. Records are kept until they are forgotten, because the peers of an unregistered token are
// told so (CCS 5.7).
//
// A second key, in another hash slot, leads from a token to the device. It is written first and
// never changes. So a crash between the two writes leaves a key that leads to no record, which is
// an unknown token. A copy of the key in memory is never wrong.

var (
	claimToken       = load("claim_token")
	setRegistrations = load("set_registrations")
)

// versionField is the field of a device's hash that counts changes. No token is empty.
const versionField = ""

// maxKnown is the number of tokens whose devices a store remembers.
const maxKnown = 1 << 16

// known is a token with a known device, and its record as last read. It does not change.
type known struct {
	device uint64
	key    string // key of the device's registrations
	raw    string // the record in Redis; while that is unchanged, record is valid
	record *store.Registration
}

type knownTokens = lru.Cache[string, *known]

func newKnownTokens() *knownTokens {
	c, err := lru.New[string, *known](maxKnown)
	if err != nil {
		panic(err) // the only error is a size that is not above zero
	}
	return c
}

func (s *Store) registrationsKey(device uint64) string {
	return s.key("d:"+strconv.FormatUint(device, 10), "reg")
}

func (s *Store) tokenKey(token string) string { return s.key("t:"+token, "dev") }

// Registrations looks tokens up with one batch for each shard, or two if the store does not know
// the devices of some tokens. It always asks Redis, so that it sees when another node has
// unregistered a token.
func (s *Store) Registrations(ctx context.Context, dst []*store.Registration, tokens []string) ([]*store.Registration, error) {
	all, errs, err := s.lookUpEach(ctx, tokens)
	switch {
	case err != nil:
		return dst, fmt.Errorf("look up registrations: %w", err)
	case errs != nil:
		return append(dst, all...), &store.PartialError{Errs: errs}
	}
	return append(dst, all...), nil
}

func (s *Store) lookUp(ctx context.Context, tokens []string) ([]*store.Registration, error) {
	all, errs, err := s.lookUpEach(ctx, tokens)
	if err == nil && errs != nil {
		err = &store.PartialError{Errs: errs}
	}
	return all, err
}

// lookUpEach looks tokens up. errs has the failures if only some fail, and is nil otherwise.
func (s *Store) lookUpEach(ctx context.Context, tokens []string) (all []*store.Registration, errs []error, err error) {
	devices, unknown, err := s.devicesOfEach(ctx, tokens)
	if err != nil {
		return nil, nil, err
	}
	cmds := make([]*redis.StringCmd, len(tokens))
	errs, err = s.transport.ReadEach(ctx, len(tokens), func(i int) string {
		if devices[i] == nil {
			return ""
		}
		return devices[i].key
	}, func(p redis.Pipeliner, i int) redis.Cmder {
		cmds[i] = p.HGet(ctx, devices[i].key, tokens[i])
		return cmds[i]
	})
	if err != nil {
		return nil, nil, err
	}
	if errs == nil {
		errs = unknown
	} else {
		for i, err := range unknown {
			errs[i] = firstOf(errs[i], err)
		}
	}
	all = make([]*store.Registration, len(tokens))
	for i, cmd := range cmds {
		if cmd == nil || cmd.Err() != nil {
			continue // the token is unknown, or its lookup failed
		}
		d := devices[i]
		if raw := cmd.Val(); d.record == nil || d.raw != raw {
			r, err := decodeRegistration(raw, tokens[i], d.device)
			if err != nil {
				return nil, nil, err
			}
			d = &known{device: d.device, key: d.key, raw: raw, record: r}
			s.known.Add(tokens[i], d)
		}
		all[i] = d.record
	}
	return all, errs, nil
}

// devicesOf finds the devices of tokens. It returns nil for an unknown token.
func (s *Store) devicesOf(ctx context.Context, tokens []string) ([]*known, error) {
	devices, errs, err := s.devicesOfEach(ctx, tokens)
	if err == nil && errs != nil {
		err = &store.PartialError{Errs: errs}
	}
	return devices, err
}

// devicesOfEach is devicesOf, but errs has the failures if only some fail, and is nil otherwise.
func (s *Store) devicesOfEach(ctx context.Context, tokens []string) (devices []*known, errs []error, err error) {
	devices = make([]*known, len(tokens))
	var missing []int
	for i, token := range tokens {
		d, ok := s.known.Get(token)
		if !ok {
			missing = append(missing, i)
		}
		devices[i] = d
	}
	if len(missing) == 0 {
		return devices, nil, nil
	}
	cmds := make([]*redis.StringCmd, len(missing))
	failed, err := s.transport.ReadEach(ctx, len(missing), func(j int) string { return s.tokenKey(tokens[missing[j]]) },
		func(p redis.Pipeliner, j int) redis.Cmder {
			cmds[j] = p.Get(ctx, s.tokenKey(tokens[missing[j]]))
			return cmds[j]
		})
	if err != nil {
		return nil, nil, err
	}
	for j, i := range missing {
		if failed != nil && failed[j] != nil {
			if errs == nil {
				errs = make([]error, len(tokens))
			}
			errs[i] = failed[j]
		}
		if cmds[j] == nil || cmds[j].Err() != nil {
			continue
		}
		device, err := strconv.ParseUint(cmds[j].Val(), 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("device of a token: %w", err)
		}
		devices[i] = &known{device: device, key: s.registrationsKey(device)}
		s.known.Add(tokens[i], devices[i])
	}
	return devices, errs, nil
}

// DeviceRegistrations lists every registration of a device.
func (s *Store) DeviceRegistrations(ctx context.Context, device uint64) ([]*store.Registration, error) {
	all, _, err := s.readDevice(ctx, device)
	if err != nil {
		return nil, fmt.Errorf("registrations of device %d: %w", device, err)
	}
	return all, nil
}

func (s *Store) readDevice(ctx context.Context, device uint64) (all []*store.Registration, version string, err error) {
	var cmd *redis.MapStringStringCmd
	err = s.transport.Read(ctx, func(p redis.Pipeliner) { cmd = p.HGetAll(ctx, s.registrationsKey(device)) })
	if err != nil {
		return nil, "", err
	}
	version = "0"
	for token, raw := range cmd.Val() {
		if token == versionField {
			version = raw
			continue
		}
		r, err := decodeRegistration(raw, token, device)
		if err != nil {
			return nil, "", err
		}
		all = append(all, r)
	}
	return all, version, nil
}

// changeDevice writes the result of fn for the registrations of a device. It calls fn again if
// another writer changed them first. If it was unknown whether a write had arrived, fn may see its
// own change.
func (s *Store) changeDevice(ctx context.Context, device uint64, fn func(all []*store.Registration) (changed []*store.Registration, err error)) error {
	for {
		all, version, err := s.readDevice(ctx, device)
		if err != nil {
			return err
		}
		changed, err := fn(all)
		if err != nil || len(changed) == 0 {
			return err
		}
		c := &transport.Call{Script: setRegistrations, Keys: []string{s.registrationsKey(device)}, Args: []any{version}, Safe: true, Durable: true}
		for _, r := range changed {
			c.Args = append(c.Args, r.Token, encodeRegistration(r))
		}
		if err := s.transport.Run(ctx, c); err != nil || c.Reply == int64(1) {
			return err
		}
	}
}

// Register returns the living registration that is the same, or stores a new one.
func (s *Store) Register(ctx context.Context, r store.Registration, now time.Time) (*store.Registration, error) {
	fresh := r.Fresh(now)
	var kept *store.Registration
	var superseded []*store.Registration
	err := s.changeDevice(ctx, r.Device, func(all []*store.Registration) (changed []*store.Registration, err error) {
		kept, changed, err = store.Register(all, fresh, now)
		if err != nil || kept != fresh {
			return nil, err
		}
		superseded = changed[:len(changed)-1]
		return changed, s.reserve(ctx, fresh)
	})
	if err == nil && kept == fresh {
		err = s.pass(ctx, superseded, fresh.Token)
	}
	if err != nil {
		return nil, fmt.Errorf("register device %d: %w", r.Device, err)
	}
	return kept, nil
}

// reserve writes the key from a token to its device.
func (s *Store) reserve(ctx context.Context, r *store.Registration) error {
	device := strconv.FormatUint(r.Device, 10)
	c := &transport.Call{Script: claimToken, Keys: []string{s.tokenKey(r.Token)}, Args: []any{device}, Safe: true, Durable: true}
	if err := s.transport.Run(ctx, c); err != nil {
		return err
	}
	if c.Reply != device {
		return fmt.Errorf("token: %w", store.ErrExists)
	}
	return nil
}

// Unregister marks tokens as unregistered.
func (s *Store) Unregister(ctx context.Context, now time.Time, tokens ...string) error {
	devices, err := s.devicesOf(ctx, tokens)
	if err != nil {
		return fmt.Errorf("unregister: %w", err)
	}
	gone := map[uint64][]string{}
	for i, d := range devices {
		if d != nil {
			gone[d.device] = append(gone[d.device], tokens[i])
		}
	}
	for device, tokens := range gone {
		var ended []*store.Registration
		err := s.changeDevice(ctx, device, func(all []*store.Registration) ([]*store.Registration, error) {
			changed := store.Unregister(all, now, tokens...)
			if len(changed) > 0 {
				ended = changed
			}
			return changed, nil
		})
		if err == nil {
			err = s.pass(ctx, ended, "")
		}
		if err != nil {
			return fmt.Errorf("unregister: %w", err)
		}
	}
	return nil
}
