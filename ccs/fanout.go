package ccs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/condition"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// MaxFanouts is the number of topic messages of a project that may be in progress (TOPICS 2.5).
const MaxFanouts = 1000

// checkTopic refuses an invalid topic name or condition.
func (r *Router) checkTopic(m *Downstream) *Refusal {
	if m.Condition == "" {
		if !payload.ValidTopicName(m.To[len(payload.TopicPrefix):]) {
			return &Refusal{Reason: InvalidTopic, Detail: m.To}
		}
		return nil
	}
	c, err := condition.Parse(m.Condition)
	if err != nil {
		return &Refusal{Reason: InvalidCondition, Detail: err.Error()}
	}
	if c.Mixed && r.fanouts.mixed.CompareAndSwap(false, true) {
		r.log.Info("a condition mixes || and && without parentheses; && binds before || (this is logged once)",
			zap.Strings("topics", c.Topics))
	}
	return nil
}

// fanouts is the state of the fan-outs of this process.
type fanouts struct {
	lease store.Lease
	wake  chan struct{} // capacity 1: a fan-out was begun
	last  atomic.Uint64 // the last number given out
	mixed atomic.Bool   // the log has a line on a mixed condition
}

// The number of a topic message is the time of its acceptance and random bits, so that numbers grow
// and those of several nodes differ.
const fanoutRandomBits = 22

var fanoutEpoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// newID returns the number of a new topic message, between 1 and 2^63-1.
func (f *fanouts) newID(now time.Time) uint64 {
	var b [8]byte
	rand.Read(b[:])
	random := binary.BigEndian.Uint64(b[:]) >> (64 - fanoutRandomBits)
	id := positive(uint64(max(now.Sub(fanoutEpoch).Milliseconds(), 0))<<fanoutRandomBits | random)
	for {
		last := f.last.Load()
		if id <= last {
			id = last + 1
		}
		if f.last.CompareAndSwap(last, id) {
			return id
		}
	}
}

// beginFanouts stores the topic messages of a batch. The answer to each may be given after that.
func (r *Router) beginFanouts(ctx context.Context, from Source, batch []Downstream, s *sendScratch, results []Result, now time.Time) {
	all := make([]*store.Fanout, len(s.topics))
	for j, i := range s.topics {
		m := &batch[i]
		all[j] = &store.Fanout{
			ID: uint64(results[i].TopicID), Sender: string(from.Sender), Accepted: now, Expires: now.Add(m.TTL),
			Mark: s.prints[i].mark(), Body: appendTopicMessage(nil, from.Sender, uint64(results[i].TopicID), m),
		}
	}
	kept, err := r.store.BeginFanouts(ctx, all, MaxFanouts, now)
	if err != nil {
		r.StoreFailed(r.log, "store topic messages", err, zap.Int("messages", len(all)))
	}
	begun := 0
	for j, i := range s.topics {
		switch {
		case err != nil:
			results[i].Refusal = RefusalOf(err)
		case !kept[j]:
			results[i].Refusal = &Refusal{Reason: TopicRateExceeded, Detail: batch[i].To}
		default:
			results[i].Accepted = now
			begun++
			continue
		}
		results[i].TopicID = 0
	}
	if begun == 0 {
		return
	}
	r.tally.fanouts.begun.Add(int64(begun))
	if r.observer != nil {
		events := NewEvents()
		for j, i := range s.topics {
			if results[i].Refusal == nil {
				e := events.Add(EventFanout)
				e.At, e.Code, e.Dir, e.Sender, e.ID, e.N = now.UnixNano(), CodeBegun, Down, from.Sender, batch[i].ID, int64(len(all[j].Body))
				e.Text = batch[i].target()
			}
		}
		r.Tell(events)
	}
	r.wakeFanouts()
}

// topicMessage is a message to a topic or condition as it is stored until it is copied.
type topicMessage struct {
	To        string // the address of a topic, "" where there is a Condition
	Condition string
	Package   string // of the apps that get a copy, "" for all
	Message   Message
}

// topicMessageVersion is the first byte of a stored topic message.
const topicMessageVersion = 1

var errTopicMessage = errors.New("not a topic message")

func appendTopicMessage(b []byte, from SenderID, id uint64, m *Downstream) []byte {
	b = append(b, topicMessageVersion)
	for _, s := range [...]string{m.To, m.Condition, m.RestrictedPackage} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	data := m.Data
	if m.Notification != nil {
		data = appendNotification(append(payload.Data(nil), m.Data...), m.Notification)
	}
	msg := Message{
		Kind: DataMessage, High: m.high(), WhenActive: m.DelayWhileIdle, TTL: m.TTL,
		From: string(from), ID: m.ID, CollapseKey: m.CollapseKey, Data: data,
	}
	if m.Condition == "" {
		msg.From = m.To // a device learns which topic it was (TOPICS 2.4, DEV 9.7)
	}
	if msg.ID == "" {
		msg.ID = fmt.Sprint(id)
	}
	return msg.Append(b)
}

func (m *topicMessage) decode(b []byte) error {
	if len(b) == 0 || b[0] != topicMessageVersion {
		return errTopicMessage
	}
	b = b[1:]
	for _, text := range [...]*string{&m.To, &m.Condition, &m.Package} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return errTopicMessage
		}
		*text = string(b[n : n+int(size)])
		b = b[n+int(size):]
	}
	if m.Condition == "" && !strings.HasPrefix(m.To, payload.TopicPrefix) {
		return errTopicMessage
	}
	return m.Message.Decode(b)
}

// membership walks over the subscribers of a topic, or over those for which a condition holds, in
// the order of places. It meets each once, whatever number of its topics they have.
type membership struct {
	store     store.Store
	condition *condition.Condition // nil for one topic
	accepted  time.Time            // later subscribers get no copy (TOPICS 2.5)
	streams   []stream
	page      int
}

// stream is the subscribers of one topic.
type stream struct {
	topic store.Topic
	page  []store.Subscription // still to be met
	after store.Place
	ended bool // there are no more pages
}

func newMembership(st store.Store, f *store.Fanout, m *topicMessage, page int) (*membership, error) {
	w := &membership{store: st, accepted: f.Accepted, page: page}
	names := []string{strings.TrimPrefix(m.To, payload.TopicPrefix)}
	if m.Condition != "" {
		var err error
		if w.condition, err = condition.Parse(m.Condition); err != nil {
			return nil, err
		}
		names = w.condition.Topics
	}
	for _, name := range names {
		w.streams = append(w.streams, stream{topic: store.Topic{Sender: f.Sender, Name: name}, after: f.After})
	}
	return w, nil
}

// next appends subscribers to dst until it has met max places, and returns the last of them. more
// is false after the last subscriber.
func (w *membership) next(ctx context.Context, dst []store.Subscription, max int) (_ []store.Subscription, last store.Place, more bool, err error) {
	for range max {
		first := -1
		for i := range w.streams {
			s := &w.streams[i]
			if err := s.fill(ctx, w.store, w.page); err != nil {
				return dst, last, false, err
			}
			if len(s.page) > 0 && (first < 0 || compare(s.page[0].Place, w.streams[first].page[0].Place) < 0) {
				first = i
			}
		}
		if first < 0 {
			return dst, last, false, nil
		}
		sub := w.streams[first].page[0]
		last = sub.Place
		var of condition.Set
		for i := range w.streams {
			s := &w.streams[i]
			if len(s.page) == 0 || s.page[0].Place != last {
				continue
			}
			if !s.page[0].Since.After(w.accepted) {
				of |= 1 << i
			}
			s.page = s.page[1:]
		}
		if w.condition == nil && of != 0 || w.condition != nil && w.condition.Holds(of) {
			dst = append(dst, sub)
		}
	}
	return dst, last, true, nil
}

func compare(a, b store.Place) int { return strings.Compare(string(a[:]), string(b[:])) }

// fill reads the next page if there is none left.
func (s *stream) fill(ctx context.Context, st store.Store, max int) error {
	if len(s.page) > 0 || s.ended {
		return nil
	}
	page, err := st.Subscribers(ctx, s.topic, s.after, max)
	if err != nil {
		return err
	}
	s.page, s.ended = page, len(page) < max
	if len(page) > 0 {
		s.after = page[len(page)-1].Place
	}
	return nil
}
