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

// claimEntries is how many entries one run of a script looks at, at most.
const claimEntries = 500

// callNumbers is how many numbers the calls of a lease can have. All have as many digits as the
// scripts expect.
const callNumbers = 10_000_000

// Leases that may claim.
const (
	fencedNever    byte = 0 // any lease
	fencedByOthers byte = 1 // any lease, unless another owns the queue
	fencedAlways   byte = 2 // a lease that owns the queue
)

// ackEntries is how many entries one run of the script forgets at most.
const ackEntries = 1000

var (
	claimScript   = loadBatch("claim")
	ackScript     = loadBatch("ack")
	releaseScript = load("release")
	purgeScript   = load("purge")
)

// Has reports whether an entry is in its queue.
func (s *Store) Has(ctx context.Context, k store.Key, id store.ID) (has bool, err error) {
	place := placeOf(id)
	if place == "" {
		return false, s.transport.Usable(ctx)
	}
	var cmd *redis.BoolCmd
	if err := s.transport.Read(ctx, func(p redis.Pipeliner) { cmd = p.HExists(ctx, s.queueKeys(k)[0], place) }); err != nil {
		return false, fmt.Errorf("look for an entry of %s: %w", k, err)
	}
	return cmd.Val(), nil
}

// Claim gives entries to a lease. The first claim of a lease first notes the queue in Redis, so
// that other nodes find the claims if this node dies.
func (s *Store) Claim(ctx context.Context, k store.Key, l store.Lease, max int, now time.Time) ([]store.Entry, error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	if err := s.noteLease(ctx, k, l); err != nil {
		return nil, fmt.Errorf("claim %s: %w", k, err)
	}
	var claimed []store.Entry
	for from := "0"; from != "" && len(claimed) < max; {
		var some []store.Entry
		var err error
		if some, from, err = s.claim(ctx, k, l, from, min(max-len(claimed), claimEntries), now); err != nil {
			if len(claimed) > 0 {
				return claimed, nil // no other lease could claim them now
			}
			return nil, fmt.Errorf("claim %s: %w", k, err)
		}
		claimed = append(claimed, some...)
	}
	return claimed, nil
}

// claim claims the unexpired entries among the next ones. It returns the place where the rest
// begins, or "".
func (s *Store) claim(
	ctx context.Context, k store.Key, l store.Lease, from string, count int, now time.Time,
) (claimed []store.Entry, next string, err error) {
	// If the reply to a claim was lost, the next claim must give its entries back and claim them
	// again. Otherwise later entries of the queue would overtake them.
	number, again := s.leases.lostCall(k, l), byte(1)
	if number == "" {
		number, again = callDigits(s.number.Add(1)%callNumbers), 0
	}
	fenced := fencedNever
	switch {
	case s.entered():
		fenced = fencedAlways
	case k.Kind == store.KindDevice:
		fenced = fencedByOthers
	}
	c := &transport.Call{Script: claimScript, Keys: s.queueKeys(k), Safe: true, Hasty: isShared(k)}
	b := transport.AppendNumber(make([]byte, 0, 256), now.UnixMilli())
	b = append(b, fenced)
	b = transport.AppendKeys(b, c.Keys)
	b = transport.AppendText(b, s.owner(l))
	b = transport.AppendText(b, number)
	b = transport.AppendText(b, strconv.Itoa(count))
	b = transport.AppendText(b, from)
	c.Part = append(b, again)
	c.Again = func() { c.Part[len(c.Part)-1] = 1 }
	if err := s.transport.Run(ctx, c); err != nil {
		if transport.Lost(c.Err) {
			s.leases.markLost(k, l, number)
		}
		return nil, "", err
	}
	if again == 1 {
		s.leases.recovered(k, l)
	}
	reply, _ := c.Reply.([]any)
	if len(reply)%2 == 1 {
		last, _ := reply[len(reply)-1].(string)
		next = "(" + last
	}
	claimed, err = decodeAll(k, reply)
	return claimed, next, err
}

// isShared reports whether the queue's sessions also carry messages of other queues, which must not
// wait for this queue's Redis. That is so for sessions of app servers.
func isShared(k store.Key) bool { return k.Kind != store.KindDevice }

// Ack forgets entries.
func (s *Store) Ack(ctx context.Context, k store.Key, ids ...store.ID) (missing []store.ID, err error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	for len(ids) > 0 {
		some := ids[:min(len(ids), ackEntries)]
		ids = ids[len(some):]
		// An acknowledgement counts even with too few replicas. If this Redis is lost too, the
		// message comes again. If the ack failed, it would come again in any case.
		c := &transport.Call{Script: ackScript, Keys: s.queueKeys(k), Safe: true, Durable: true, Relaxed: true, Hasty: isShared(k)}
		places, n := make([]byte, 0, len(some)*(4+placeDigits)), 0
		for _, id := range some {
			if place := placeOf(id); place != "" {
				places = transport.AppendText(places, place)
				n++
			} else {
				missing = append(missing, id)
			}
		}
		if n == 0 {
			continue
		}
		b := transport.AppendCount(make([]byte, 0, 128+len(places)), n)
		c.Part = append(transport.AppendKeys(b, c.Keys), places...)
		err := s.transport.Run(ctx, c)
		if err == nil && !c.Repeated {
			missing, err = appendPlaces(missing, c.Reply)
		}
		if err != nil {
			return nil, fmt.Errorf("ack %s: %w", k, err)
		}
	}
	return missing, nil
}

// appendPlaces appends the IDs of a reply that lists places.
func appendPlaces(ids []store.ID, reply any) ([]store.ID, error) {
	places, _ := reply.([]any)
	for _, p := range places {
		place, _ := p.(string)
		id, err := parsePlace(place)
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// Release ends a lease.
func (s *Store) Release(ctx context.Context, k store.Key, l store.Lease) error {
	if err := s.transport.Usable(ctx); err != nil {
		return err
	}
	return s.release(ctx, k, l)
}

// release is Release for a store that may be closing. A lease that cannot be released now is
// released by Close.
func (s *Store) release(ctx context.Context, k store.Key, l store.Lease) error {
	doubt := 0
	if s.leases.isLost(k, l) {
		doubt = 1
	}
	c := &transport.Call{Script: releaseScript, Keys: s.queueKeys(k), Args: []any{s.owner(l), doubt}, Safe: true}
	if err := s.transport.RunClosing(ctx, []*transport.Call{c}); err != nil {
		return fmt.Errorf("release %s: %w", k, err)
	}
	s.tellReleased(k, c.Reply)
	return s.dropLease(ctx, k, l)
}

// tellReleased tells the owners of a queue if entries were given back to it.
func (s *Store) tellReleased(k store.Key, reply any) {
	if parts, _ := reply.([]any); len(parts) == 2 && parts[1] != int64(0) {
		s.tellOwners(k, parts[0])
	}
}

// Purge forgets all entries of one app instance.
func (s *Store) Purge(ctx context.Context, k store.Key, app string) (purged []store.ID, err error) {
	c := &transport.Call{Script: purgeScript, Keys: s.queueKeys(k), Args: []any{app}, Safe: true, Durable: true}
	if err = s.transport.Run(ctx, c); err == nil {
		purged, err = appendPlaces(nil, c.Reply)
	}
	if err != nil {
		return purged, fmt.Errorf("purge %s: %w", k, err)
	}
	return purged, nil
}
