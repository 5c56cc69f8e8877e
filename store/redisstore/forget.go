package redisstore

import (
	"context"
	"fmt"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

var forgetRegistrations = load("forget_registrations")

// ForgetRegistrations implements store.Forgetter. Dead registrations stay dead, so nothing can
// change between the check and the end. The key from token to device goes last: without a record it
// leads to nothing.
func (s *Store) ForgetRegistrations(ctx context.Context, tokens ...string) error {
	all, err := s.lookUp(ctx, tokens)
	if err != nil {
		return fmt.Errorf("forget registrations: %w", err)
	}
	byDevice := make(map[uint64]*transport.Call)
	var calls []*transport.Call
	dead := store.Forgettable(all)
	for _, r := range dead {
		to := r.Canonical
		if !r.Unregistered.IsZero() {
			to = ""
		}
		// An earlier call may have crashed before this.
		if err := s.passOne(ctx, r, to); err != nil {
			return fmt.Errorf("forget registrations: %w", err)
		}
		if err := s.passGroups(ctx, r); err != nil {
			return fmt.Errorf("forget registrations: %w", err)
		}
		c := byDevice[r.Device]
		if c == nil {
			c = &transport.Call{Script: forgetRegistrations, Keys: []string{s.registrationsKey(r.Device)}, Safe: true, Durable: true}
			byDevice[r.Device] = c
			calls = append(calls, c)
		}
		c.Args = append(c.Args, r.Token)
	}
	if len(calls) == 0 {
		return nil
	}
	if err := s.transport.Run(ctx, calls...); err != nil {
		return fmt.Errorf("forget registrations: %w", err)
	}
	return s.forgetTokens(ctx, dead)
}
