package redisstore

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

var (
	beatScript = load("beat")
	buryScript = load("bury")
)

// A node beats twice in each heartbeat, and counts as dead when it has not for one and a half: then another gives
// back its claims, all within two heartbeats.
const beatsPerHeartbeat = 2

// nodesTag is the hash tag of what is known of all nodes.
const nodesTag = "nodes"

// nodeLetters is how long a node's name is: 60 bits, for it is never given out twice.
const nodeLetters = 12

// newNode makes up what a node is called.
func newNode() string { return rand.Text()[:nodeLetters] }

// node is what this node is called.
func (s *Store) node() string {
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	return s.peers.node
}

// Join implements store.Nodes.
func (s *Store) Join(ctx context.Context, n store.Node, back time.Duration) error {
	s.peers.mu.Lock()
	s.peers.told, s.peers.back = n, back
	s.peers.mu.Unlock()
	s.hint = s.news.hint
	if _, err := s.beat(ctx); err != nil {
		return err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, loop := range []func(context.Context){s.beatLoop, s.checkLoop, s.news.publishLoop, s.news.listenLoop} {
		s.loops.Go(func() { loop(ctx) })
	}
	return nil
}

// joined reports whether this process is a node.
func (s *Store) joined() bool { return s.peers.listener() != nil }

// leave says that this node has nothing any more.
func (s *Store) leave(ctx context.Context) error {
	if !s.joined() {
		return nil
	}
	return s.rdb.HDel(ctx, s.key(nodesTag, "live"), s.node()).Err()
}

// beatLoop says that this node lives until ctx ends, and looks after those that do not.
func (s *Store) beatLoop(ctx context.Context) {
	tick := time.NewTicker(s.opts.Heartbeat / beatsPerHeartbeat)
	defer tick.Stop()
	reaping := make(chan string, maxReaping)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case node := <-reaping:
				s.reapNode(ctx, node)
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { <-done }()
	for {
		dead, err := s.beat(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("heartbeat", zap.Error(err))
		}
		for _, node := range dead {
			select {
			case reaping <- node:
			default: // it will be somebody's turn again
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// maxReaping bounds the dead nodes that one node looks after at a time.
const maxReaping = 16

// beat says that this node lives. It returns the dead ones whose claims are to be given back from here.
func (s *Store) beat(ctx context.Context) (dead []string, err error) {
	node := s.node()
	c := &call{script: beatScript, safe: true, args: []any{node, s.opts.Heartbeat.Milliseconds()},
		keys: []string{s.key(nodesTag, "live"), s.key(nodesTag, "dead"), s.key(nodesTag, "buried")}}
	if err := s.run(ctx, c); err != nil {
		return nil, err
	}
	parts, ok := c.reply.([]any)
	if !ok || len(parts) != 2 {
		return nil, fmt.Errorf("beat: unexpected reply %v", c.reply)
	}
	if parts[0] == int64(0) {
		s.log.Error("the other nodes took this one for dead: its sessions have to end", zap.String("node", node))
		s.rename()
	}
	return stringsOf(parts[1]), s.rdb.Expire(ctx, s.notesKey(s.node()), notesKept).Err()
}

func stringsOf(reply any) []string {
	parts, _ := reply.([]any)
	all := make([]string, 0, len(parts))
	for _, p := range parts {
		if text, ok := p.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// rename makes this node another one. What it had claimed as the old one is given back to it and the others once
// that counts as dead, and its sessions have to end.
func (s *Store) rename() {
	s.peers.mu.Lock()
	s.peers.node = newNode()
	mine, told := s.peers.mine, s.peers.told
	s.peers.mine = make(map[attachment]struct{})
	clear(s.peers.owed)
	s.peers.owes = 0
	s.peers.mu.Unlock()
	s.forgetHeld()
	s.news.moved()
	if told == nil {
		return
	}
	for a := range mine {
		told.TakenOver(a.key, a.lease)
	}
}

// reapStep is how many queues of a dead node are given back at a time.
const reapStep = 100

// reapNode gives back what a dead node had claimed.
func (s *Store) reapNode(ctx context.Context, node string) {
	s.peers.mu.Lock()
	back := s.peers.back
	s.peers.mu.Unlock()
	notes := s.notesKey(node)
	started, queues := time.Now(), 0
	for {
		tags, err := s.rdb.ZRange(ctx, notes, 0, reapStep-1).Result()
		if err != nil {
			s.log.Warn("look after a dead node", zap.String("node", node), zap.Error(err))
			return
		}
		if len(tags) == 0 {
			break
		}
		gone := make([]any, 0, len(tags))
		for _, tag := range tags {
			k, err := store.ParseKey(tag)
			if err == nil {
				_, err = s.reap(ctx, k, node, back)
			}
			if err != nil && ctx.Err() != nil {
				return
			}
			if err != nil {
				s.log.Warn("give back what a dead node had claimed", zap.String("node", node), zap.String("queue", tag), zap.Error(err))
				return
			}
			gone = append(gone, tag)
		}
		if err := s.rdb.ZRem(ctx, notes, gone...).Err(); err != nil {
			s.log.Warn("look after a dead node", zap.String("node", node), zap.Error(err))
			return
		}
		queues += len(tags)
	}
	c := &call{script: buryScript, safe: true, args: []any{node}, keys: []string{s.key(nodesTag, "dead"), s.key(nodesTag, "buried")}}
	if err := s.run(ctx, c); err != nil {
		s.log.Warn("look after a dead node", zap.String("node", node), zap.Error(err))
		return
	}
	s.log.Info("took over from a dead node", zap.String("node", node), zap.Int("queues", queues), zap.Duration("took", time.Since(started)))
}
