package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

var (
	attachScript = load("attach")
	leaveScript  = load("leave")
)

const (
	// handover is how long a session of another node has to let a device go, before it is taken from it.
	handover = 2 * time.Second
	// attachedFor is how long Redis knows of a session without being reminded.
	attachedFor = 24 * time.Hour
)

// attachment is a session's hold on a queue.
type attachment struct {
	key   store.Key
	lease store.Lease
}

// owner is what Redis calls a lease: by its node as well, so that all of a node's can be told from others'.
func (s *Store) owner(l store.Lease) string {
	return s.node() + "/" + strconv.FormatUint(uint64(l), 10)
}

// nodeOf is the node of an owner.
func nodeOf(owner string) string {
	node, _, _ := strings.Cut(owner, "/")
	return node
}

// Attach implements store.Nodes.
func (s *Store) Attach(ctx context.Context, k store.Key, l store.Lease) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	// What a session has that could not be detached would be overtaken by what this one claims.
	for old, back := range s.peers.owedOf(k) {
		if err := s.detach(ctx, k, old, back); err != nil {
			return fmt.Errorf("attach %s: detach the session before: %w", k, err)
		}
		s.peers.paid(attachment{k, old})
	}
	if err := s.hold(ctx, k, l); err != nil {
		return fmt.Errorf("attach %s: %w", k, err)
	}
	asked := time.Now()
	told := ""
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		other, err := s.attach(ctx, k, l, time.Since(asked) > handover)
		if err != nil {
			return err
		}
		if other == "" {
			break
		}
		if told != other {
			told = other
			s.news.tell(nodeOf(other), takeoverNote(k, other))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("wait for the session of another node: %w", context.Cause(ctx))
		}
	}
	s.peers.attached(attachment{k, l})
	return nil
}

// attach tries to get a queue, and returns the session of another node that has it. One that is forced out, or
// is this node's own and was not heard to leave, has its claims taken away.
func (s *Store) attach(ctx context.Context, k store.Key, l store.Lease, force bool) (other string, err error) {
	me := s.owner(l)
	only := "0"
	if k.Kind == store.KindDevice {
		only = "1"
	}
	for {
		forced := "0"
		if force {
			forced = "1"
		}
		c := &call{script: attachScript, keys: s.queueKeys(k), safe: true,
			args: []any{me, only, forced, attachedFor.Milliseconds()}}
		if err := s.run(ctx, c); err != nil {
			return "", err
		}
		has, taken, err := twoStrings(c.reply)
		if err != nil {
			return "", fmt.Errorf("attach %s: %w", k, err)
		}
		switch {
		case taken != "":
			s.log.Warn("device taken from a node that did not answer", zap.Stringer("device", k), zap.String("node", nodeOf(taken)))
			return "", s.giveBack(ctx, k, taken)
		case has == me:
			return "", nil
		case nodeOf(has) == s.node():
			force = true
		default:
			return has, nil
		}
	}
}

func twoStrings(reply any) (a, b string, err error) {
	if parts, ok := reply.([]any); ok && len(parts) == 2 {
		a, aok := parts[0].(string)
		b, bok := parts[1].(string)
		if aok && bok {
			return a, b, nil
		}
	}
	return "", "", fmt.Errorf("unexpected reply %v", reply)
}

// Detach implements store.Nodes. If Redis cannot be reached, it is made good as soon as it can.
func (s *Store) Detach(ctx context.Context, k store.Key, l store.Lease, back time.Duration) error {
	s.peers.detached(attachment{k, l})
	err := s.detach(ctx, k, l, back)
	if err != nil && !errors.Is(err, store.ErrClosed) && !s.peers.owe(attachment{k, l}, back) {
		// More than can be remembered: as another node, this one leaves all its claims behind.
		s.rename()
	}
	return err
}

// giveBack has what another node's session has claimed offered again, and lets it claim no more.
func (s *Store) giveBack(ctx context.Context, k store.Key, owner string) error {
	c := &call{script: releaseScript, keys: s.queueKeys(k), args: []any{owner, 1}, safe: true}
	if err := s.run(ctx, c); err != nil {
		return fmt.Errorf("give back %s: %w", k, err)
	}
	return nil
}

func (s *Store) detach(ctx context.Context, k store.Key, l store.Lease, back time.Duration) error {
	if err := s.quit(ctx, k, l, back); err != nil {
		return err
	}
	return s.Release(ctx, k, l)
}

// quit leaves a queue to others, with all that the lease holds. What is left of the lease is of interest to this node
// alone.
func (s *Store) quit(ctx context.Context, k store.Key, l store.Lease, back time.Duration) error {
	c := &call{script: leaveScript, keys: s.queueKeys(k), safe: true,
		args: []any{s.owner(l), back.Milliseconds()}}
	if err := s.run(ctx, c); err != nil {
		return err
	}
	s.tellGivenBack(k, c.reply)
	return nil
}
