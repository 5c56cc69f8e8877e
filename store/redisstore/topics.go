package redisstore

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/transport"
)

// A subscription is in two places: under the place of the subscriber, in the slot of its device,
// and in the list of the topic. A list is one key, so one primary reads all of it. That costs it
// one command for a thousand copies, which other primaries then store. It is sorted by place, so a
// page is one bounded command whatever the size of the list.
//
// The two cannot be written in one step. The list decides which registrations get messages. A crash
// between the two writes leaves an unanswered call half done, or a subscriber whose token has
// ended, which Resolve finds out.

var (
	subscribeScript         = load("subscribe")
	unsubscribeScript       = load("unsubscribe")
	addSubscribersScript    = load("add_subscribers")
	removeSubscribersScript = load("remove_subscribers")
)

const (
	placeLen        = len(store.Place{})
	subscriberBatch = 250         // subscribers that one command adds or removes
	topicMark       = "topic:"    // begins the hash tag of a topic's list
	listedSuffix    = "}:members" // ends the key of a topic's list
	topicsMark      = "topics:"   // begins the key of a place
	devicePartLen   = 8           // of a place
)

func (s *Store) subscribersKey(t store.Topic) string {
	return s.prefix + "{" + topicMark + t.Sender + "/" + t.Name + listedSuffix
}

func (s *Store) topicsKey(p store.Place) string {
	return s.key("d:"+strconv.FormatUint(p.Device(), 10), topicsMark+hex.EncodeToString(p[devicePartLen:]))
}

func topicField(t store.Topic) string { return t.Sender + "\x00" + t.Name }

func parseTopicField(field string) store.Topic {
	sender, name, _ := strings.Cut(field, "\x00")
	return store.Topic{Sender: sender, Name: name}
}

func subscriptionRecord(token string, since time.Time) string {
	return strconv.FormatInt(since.UnixMicro(), 10) + " " + token
}

func parseSubscription(t store.Topic, p store.Place, record string) (store.Subscription, error) {
	micros, token, ok := strings.Cut(record, " ")
	since, err := strconv.ParseInt(micros, 10, 64)
	if !ok || err != nil {
		return store.Subscription{}, fmt.Errorf("subscription: %w", errDamaged)
	}
	return store.Subscription{Topic: t, Place: p, Token: token, Since: time.UnixMicro(since)}, nil
}

// SubscribeTopic implements store.Topics.
func (s *Store) SubscribeTopic(ctx context.Context, t store.Topic, regs []*store.Registration, now time.Time) error {
	subs := make([]*store.Subscription, len(regs))
	for i, r := range regs {
		subs[i] = &store.Subscription{Topic: t, Place: r.Place(), Token: r.Token, Since: now}
	}
	errs, err := s.subscribe(ctx, subs, store.MaxTopics)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", t, err)
	}
	if errs != nil {
		return &store.PartialError{Errs: errs}
	}
	return nil
}

// subscribe stores subscriptions. Those of one topic should be next to each other. errs has
// store.ErrTooManyTopics for those over the limit, and is nil if there are none.
func (s *Store) subscribe(ctx context.Context, subs []*store.Subscription, most int) (errs []error, err error) {
	calls := make([]*transport.Call, len(subs))
	for i, sub := range subs {
		calls[i] = &transport.Call{
			Script: subscribeScript, Keys: []string{s.topicsKey(sub.Place)}, Safe: true, Durable: true,
			Args: []any{topicField(sub.Topic), sub.Token, subscriptionRecord(sub.Token, sub.Since), most},
		}
	}
	if err := s.transport.Run(ctx, calls...); err != nil {
		return nil, err
	}
	var lists []*transport.Call
	for i, c := range calls {
		record, ok := c.Reply.(string)
		if !ok {
			if errs == nil {
				errs = make([]error, len(subs))
			}
			errs[i] = store.ErrTooManyTopics
			continue
		}
		lists = s.listCalls(lists, addSubscribersScript, subs[i].Topic, string(subs[i].Place[:]), record)
	}
	return errs, s.transport.Run(ctx, lists...)
}

// listCalls adds arguments to the last of calls, or to a new one if that is full or of another
// topic.
func (s *Store) listCalls(calls []*transport.Call, script *transport.Script, t store.Topic, args ...any) []*transport.Call {
	key := s.subscribersKey(t)
	n := len(calls)
	if n == 0 || calls[n-1].Keys[0] != key || len(calls[n-1].Args) >= len(args)*subscriberBatch {
		calls = append(calls, &transport.Call{Script: script, Keys: []string{key}, Safe: true, Durable: true})
		n++
	}
	calls[n-1].Args = append(calls[n-1].Args, args...)
	return calls
}

// UnsubscribeTopic implements store.Topics.
func (s *Store) UnsubscribeTopic(ctx context.Context, t store.Topic, regs []*store.Registration) error {
	var lists, calls []*transport.Call
	for _, r := range regs {
		p := r.Place()
		lists = s.listCalls(lists, removeSubscribersScript, t, string(p[:]))
		calls = append(calls, &transport.Call{
			Script: unsubscribeScript, Keys: []string{s.topicsKey(p)}, Args: []any{topicField(t)}, Safe: true, Durable: true,
		})
	}
	err := s.transport.Run(ctx, lists...)
	if err == nil {
		err = s.transport.Run(ctx, calls...)
	}
	if err != nil {
		return fmt.Errorf("unsubscribe from %s: %w", t, err)
	}
	return nil
}

// Subscribers implements store.Topics.
func (s *Store) Subscribers(ctx context.Context, t store.Topic, after store.Place, max int) ([]store.Subscription, error) {
	var cmd *redis.StringSliceCmd
	err := s.transport.Read(ctx, func(p redis.Pipeliner) {
		cmd = p.ZRangeByLex(ctx, s.subscribersKey(t), &redis.ZRangeBy{Min: "(" + string(after[:]) + "\xff", Max: "+", Count: int64(max)})
	})
	if err != nil {
		return nil, fmt.Errorf("subscribers of %s: %w", t, err)
	}
	page := make([]store.Subscription, len(cmd.Val()))
	for i, member := range cmd.Val() {
		if len(member) < placeLen {
			return nil, fmt.Errorf("subscribers of %s: %w", t, errDamaged)
		}
		if page[i], err = parseSubscription(t, store.Place([]byte(member[:placeLen])), member[placeLen:]); err != nil {
			return nil, fmt.Errorf("subscribers of %s: %w", t, err)
		}
	}
	return page, nil
}

// Resolve implements store.Topics. A place names its device, so that the record is found in one
// step.
func (s *Store) Resolve(ctx context.Context, dst []*store.Registration, subs []store.Subscription) ([]*store.Registration, error) {
	tokens, devices := make([]string, len(subs)), make([]uint64, len(subs))
	for i := range subs {
		tokens[i], devices[i] = subs[i].Token, subs[i].Place.Device()
	}
	regs, err := s.registrationsOf(ctx, devices, tokens)
	if err != nil {
		return dst, fmt.Errorf("look up subscribers: %w", err)
	}
	newer := false
	for i, r := range regs {
		switch {
		case r == nil || !r.Unregistered.IsZero():
			regs[i], tokens[i] = nil, ""
		case r.Canonical != "":
			tokens[i], newer = r.Canonical, true
		default:
			tokens[i] = ""
		}
	}
	if newer {
		superseded, err := s.registrationsOf(ctx, devices, tokens)
		if err != nil {
			return dst, fmt.Errorf("look up subscribers: %w", err)
		}
		for i, r := range superseded {
			if tokens[i] == "" {
				continue
			}
			if regs[i] = r; r != nil && !r.Living() {
				regs[i] = nil
			}
		}
	}
	return append(dst, regs...), nil
}

// registrationsOf reads tokens of devices, nil for an unknown one and for "".
func (s *Store) registrationsOf(ctx context.Context, devices []uint64, tokens []string) ([]*store.Registration, error) {
	cmds := make([]*redis.StringCmd, len(tokens))
	errs, err := s.transport.ReadEach(ctx, len(tokens), func(i int) string {
		if tokens[i] == "" {
			return ""
		}
		return s.registrationsKey(devices[i])
	}, func(p redis.Pipeliner, i int) redis.Cmder {
		cmds[i] = p.HGet(ctx, s.registrationsKey(devices[i]), tokens[i])
		return cmds[i]
	})
	if err != nil {
		return nil, err
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	regs := make([]*store.Registration, len(tokens))
	for i, cmd := range cmds {
		if cmd == nil || cmd.Err() != nil {
			continue
		}
		if regs[i], err = decodeRegistration(cmd.Val(), tokens[i], devices[i]); err != nil {
			return nil, err
		}
	}
	return regs, nil
}

// Subscriptions implements store.Topics.
func (s *Store) Subscriptions(ctx context.Context, r *store.Registration) ([]store.Subscription, error) {
	all, err := s.ofPlace(ctx, r.Place())
	if err == nil {
		all, err = s.only(ctx, all, r)
	}
	if err != nil {
		return nil, fmt.Errorf("topics of a registration: %w", err)
	}
	slices.SortFunc(all, func(a, b store.Subscription) int {
		return cmp.Or(strings.Compare(a.Topic.Sender, b.Topic.Sender), strings.Compare(a.Topic.Name, b.Topic.Name))
	})
	return all, nil
}

// ofPlace reads the subscriptions of a place as they are stored.
func (s *Store) ofPlace(ctx context.Context, p store.Place) (all []store.Subscription, err error) {
	var cmd *redis.MapStringStringCmd
	err = s.transport.Read(ctx, func(pipe redis.Pipeliner) { cmd = pipe.HGetAll(ctx, s.topicsKey(p)) })
	if err != nil {
		return nil, err
	}
	for field, record := range cmd.Val() {
		sub, err := parseSubscription(parseTopicField(field), p, record)
		if err != nil {
			return nil, err
		}
		all = append(all, sub)
	}
	return all, nil
}

// only returns the subscriptions of a place that now belong to a registration, under its token.
func (s *Store) only(ctx context.Context, all []store.Subscription, r *store.Registration) (its []store.Subscription, err error) {
	var regs []*store.Registration
	if regs, err = s.Resolve(ctx, nil, all); err != nil {
		return nil, err
	}
	for i, now := range regs {
		if now != nil && now.Token == r.Token {
			all[i].Token = r.Token
			its = append(its, all[i])
		}
	}
	return its, nil
}

// pass passes the subscriptions and memberships of tokens to the token that supersedes them. It
// ends them if that is "".
func (s *Store) pass(ctx context.Context, regs []*store.Registration, to string) error {
	for _, r := range regs {
		if err := s.passOne(ctx, r, to); err != nil {
			return fmt.Errorf("topics of a token that has ended: %w", err)
		}
		if err := s.passGroups(ctx, r); err != nil {
			return fmt.Errorf("groups of a token that has ended: %w", err)
		}
	}
	return nil
}

func (s *Store) passOne(ctx context.Context, r *store.Registration, to string) error {
	p := r.Place()
	all, err := s.ofPlace(ctx, p)
	all = slices.DeleteFunc(all, func(sub store.Subscription) bool { return sub.Token != r.Token })
	if err != nil || len(all) == 0 {
		return err
	}
	slices.SortFunc(all, func(a, b store.Subscription) int { return strings.Compare(a.Topic.Name, b.Topic.Name) })
	if to != "" {
		subs := make([]*store.Subscription, len(all))
		for i := range all {
			all[i].Token = to
			subs[i] = &all[i]
		}
		// They exist already, so they cannot be too many.
		_, err := s.subscribe(ctx, subs, store.MaxTopics)
		return err
	}
	var lists []*transport.Call
	fields := make([]any, len(all))
	for i, sub := range all {
		lists = s.listCalls(lists, removeSubscribersScript, sub.Topic, string(p[:]))
		fields[i] = topicField(sub.Topic)
	}
	if err := s.transport.Run(ctx, lists...); err != nil {
		return err
	}
	return s.transport.Run(ctx, &transport.Call{Script: unsubscribeScript, Keys: []string{s.topicsKey(p)}, Args: fields, Safe: true, Durable: true})
}

// TopicNames implements store.Topics. There is no index of a project's topics: it walks over the
// keys, for operators.
func (s *Store) TopicNames(ctx context.Context, sender, after string, max int) (names []string, err error) {
	if err := s.transport.Usable(ctx); err != nil {
		return nil, err
	}
	nodes, err := s.primaries(ctx)
	if err != nil {
		return nil, fmt.Errorf("topics of %s: %w", sender, s.transport.Translate(err))
	}
	head := s.prefix + "{" + topicMark + sender + "/"
	for _, node := range nodes {
		for cursor := uint64(0); ; {
			keys, next, err := node.Scan(ctx, cursor, globEscape(head)+"*"+listedSuffix, sweepPage).Result()
			if err != nil {
				return nil, fmt.Errorf("topics of %s: %w", sender, s.transport.Translate(err))
			}
			for _, key := range keys {
				name := strings.TrimSuffix(strings.TrimPrefix(key, head), listedSuffix)
				if name > after {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			names = slices.Compact(names)
			names = names[:min(max, len(names))]
			if cursor = next; next == 0 {
				break
			}
		}
	}
	return names, nil
}
