package redisstore

import (
	"context"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
)

// Each node has a channel for the hints to it. The first letter of a message is its kind.
const (
	hintWaiting        = 'w' // queues, separated by spaces
	hintTakeOver       = 't' // queue, space, lease
	hintOffer          = 'o' // queue, NUL, record of the entry
	hintProjectChanged = 'p' // sender
)

// channel returns the channel of hints to a node.
func (s *Store) channel(n store.NodeID) string { return s.key(nodeTag(n), "news") }

// nodeTag returns the hash tag of the keys of one node.
func nodeTag(n store.NodeID) string { return "n:" + string(n) }

// sharded reports whether Redis is a cluster, in which plain messages would go to every Redis.
func (s *Store) sharded() bool {
	_, ok := s.rdb.(*redis.ClusterClient)
	return ok
}

// Publish implements store.Hints.
func (s *Store) Publish(ctx context.Context, hints []store.Hint) error {
	if err := s.transport.Usable(ctx); err != nil {
		return err
	}
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range hints {
			channel, text := s.channel(hints[i].To), encodeHint(&hints[i])
			if s.sharded() {
				p.SPublish(ctx, channel, text)
			} else {
				p.Publish(ctx, channel, text)
			}
		}
		return nil
	})
	return s.transport.Translate(err)
}

// Subscribe implements store.Hints.
func (s *Store) Subscribe(ctx context.Context, n store.NodeID, heard func(store.Hint)) error {
	if err := s.transport.Usable(ctx); err != nil {
		return err
	}
	var sub *redis.PubSub
	if s.sharded() {
		sub = s.rdb.SSubscribe(ctx, s.channel(n))
	} else {
		sub = s.rdb.Subscribe(ctx, s.channel(n))
	}
	defer sub.Close()
	defer context.AfterFunc(ctx, func() { sub.Close() })()
	for {
		m, err := sub.ReceiveMessage(ctx)
		if err != nil {
			return s.transport.Translate(err)
		}
		h, ok := decodeHint(m.Payload)
		if !ok {
			continue
		}
		if h.Kind == store.HintProjectChanged {
			s.projects.Forget(h.Project)
		}
		h.To = n
		heard(h)
	}
}

func encodeHint(h *store.Hint) []byte {
	var b []byte
	switch h.Kind {
	case store.HintWaiting:
		b = append(b, hintWaiting)
		for _, k := range h.Keys {
			b = append(append(b, k.String()...), ' ')
		}
	case store.HintTakeOver:
		b = append(append(b, hintTakeOver), h.Keys[0].String()...)
		b = strconv.AppendUint(append(b, ' '), uint64(h.Lease), 10)
	case store.HintOffer:
		b = append(append(b, hintOffer), h.Entry.Key.String()...)
		b = appendRecord(append(b, 0), &h.Entry)
	case store.HintProjectChanged:
		b = append(append(b, hintProjectChanged), h.Project...)
	}
	return b
}

// decodeHint decodes the result of encodeHint. A hint that it does not know is from a newer
// version.
func decodeHint(text string) (h store.Hint, ok bool) {
	if text == "" {
		return h, false
	}
	kind, text := text[0], text[1:]
	switch kind {
	case hintWaiting:
		h.Kind = store.HintWaiting
		for tag := range strings.FieldsSeq(text) {
			if k, err := store.ParseKey(tag); err == nil {
				h.Keys = append(h.Keys, k)
			}
		}
		return h, true
	case hintTakeOver:
		tag, number, _ := strings.Cut(text, " ")
		k, err := store.ParseKey(tag)
		lease, err2 := strconv.ParseUint(number, 10, 64)
		return store.Hint{Kind: store.HintTakeOver, Keys: []store.Key{k}, Lease: store.Lease(lease)}, err == nil && err2 == nil
	case hintOffer:
		tag, record, _ := strings.Cut(text, "\x00")
		k, err := store.ParseKey(tag)
		if err != nil {
			return h, false
		}
		e, err := decode(k, "0", record)
		return store.Hint{Kind: store.HintOffer, Keys: []store.Key{k}, Entry: e}, err == nil
	case hintProjectChanged:
		return store.Hint{Kind: store.HintProjectChanged, Project: text}, true
	}
	return h, false
}
