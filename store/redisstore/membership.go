package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

var (
	membersScript       = load("members")
	updateMembersScript = load("update_members")
)

const (
	nodesTag    = "nodes"        // hash tag of the keys for all nodes
	membersKept = 48 * time.Hour // after the last heartbeat of any node
)

// membersKeys returns the keys of the hashes of live, dead and released nodes.
func (s *Store) membersKeys() []string {
	return []string{s.key(nodesTag, "live"), s.key(nodesTag, "dead"), s.key(nodesTag, "buried")}
}

// Members implements store.Membership.
func (s *Store) Members(ctx context.Context) (*store.Members, error) {
	c := &transport.Call{Script: membersScript, Safe: true, Keys: s.membersKeys()}
	if err := s.transport.Run(ctx, c); err != nil {
		return nil, err
	}
	parts, _ := c.Reply.([]any)
	if len(parts) != 1+len(c.Keys) {
		return nil, fmt.Errorf("members: %w %v", errReply, c.Reply)
	}
	now, _ := parts[0].(int64)
	return &store.Members{
		Now:  time.UnixMilli(now),
		Live: timesOf(parts[1]), Dead: timesOf(parts[2]), Released: timesOf(parts[3]),
	}, nil
}

// timesOf decodes a hash of nodes and times.
func timesOf(reply any) map[store.NodeID]time.Time {
	fields, _ := reply.([]any)
	times := make(map[store.NodeID]time.Time, len(fields)/2)
	for i := 0; i+1 < len(fields); i += 2 {
		node, _ := fields[i].(string)
		text, _ := fields[i+1].(string)
		ms, _ := strconv.ParseFloat(text, 64)
		times[store.NodeID(node)] = time.UnixMilli(int64(ms))
	}
	return times
}

// UpdateMembers implements store.Membership.
func (s *Store) UpdateMembers(ctx context.Context, from, to *store.Members) (bool, error) {
	c := &transport.Call{Script: updateMembersScript, Safe: true, Keys: s.membersKeys(), Args: []any{membersKept.Milliseconds()}}
	for node := range nodesOf(from, to) {
		was, is := recordOf(from, node), recordOf(to, node)
		if was != is {
			c.Args = append(c.Args, string(node), was[0], was[1], was[2], is[0], is[1], is[2])
		}
	}
	if err := s.transport.Run(ctx, c); err != nil {
		return false, err
	}
	if c.Reply != int64(1) {
		return false, nil
	}
	return true, s.rdb.Expire(ctx, s.nodeQueuesKey(s.node()), notesKept).Err()
}

// nodesOf lists every node in all.
func nodesOf(all ...*store.Members) map[store.NodeID]struct{} {
	nodes := make(map[store.NodeID]struct{})
	for _, m := range all {
		for _, times := range []map[store.NodeID]time.Time{m.Live, m.Dead, m.Released} {
			for node := range times {
				nodes[node] = struct{}{}
			}
		}
	}
	return nodes
}

// recordOf returns the record of a node in each of the three hashes, "" for none.
func recordOf(m *store.Members, node store.NodeID) (record [3]string) {
	for i, times := range []map[store.NodeID]time.Time{m.Live, m.Dead, m.Released} {
		if t, ok := times[node]; ok {
			record[i] = strconv.FormatInt(t.UnixMilli(), 10)
		}
	}
	return record
}
