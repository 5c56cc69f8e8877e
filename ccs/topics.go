package ccs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/store"
)

// Subscribe subscribes registrations to a topic of a sender. The errors are by token, nil for one
// that is subscribed now: Refusals (UnknownToken, WrongSender, Unregistered), or ErrTooManyTopics.
// The last error is about the call: ErrInvalidTopic, or one of the store.
func (r *Router) Subscribe(ctx context.Context, sender SenderID, topic string, tokens []string) ([]error, error) {
	return r.changeTopic(ctx, sender, topic, tokens, func(t store.Topic, regs []*store.Registration) error {
		return r.store.SubscribeTopic(ctx, t, regs, r.clock.Now())
	})
}

// Unsubscribe undoes Subscribe. A registration that is not subscribed is no error.
func (r *Router) Unsubscribe(ctx context.Context, sender SenderID, topic string, tokens []string) ([]error, error) {
	return r.changeTopic(ctx, sender, topic, tokens, func(t store.Topic, regs []*store.Registration) error {
		return r.store.UnsubscribeTopic(ctx, t, regs)
	})
}

func (r *Router) changeTopic(ctx context.Context, sender SenderID, topic string, tokens []string, change func(store.Topic, []*store.Registration) error) ([]error, error) {
	if !payload.ValidTopicName(topic) {
		return nil, ErrInvalidTopic
	}
	regs, errs, err := r.members(ctx, sender, tokens)
	if err != nil {
		return nil, err
	}
	var good []*store.Registration
	var of []int
	for i, reg := range regs {
		if errs[i] == nil {
			good, of = append(good, reg), append(of, i)
		}
	}
	if len(good) == 0 {
		return errs, nil
	}
	err = change(store.Topic{Sender: string(sender), Name: topic}, good)
	var partial *store.PartialError
	if err != nil && !errors.As(err, &partial) {
		return nil, fmt.Errorf("change a topic: %w", err)
	}
	for j, i := range of {
		if errs[i] = partial.Of(j); errors.Is(errs[i], store.ErrTooManyTopics) {
			errs[i] = ErrTooManyTopics
		}
	}
	return errs, nil
}

// members looks up tokens for a topic or group of a sender, and follows each to the newest of its
// slot. An error of a token is a Refusal.
func (r *Router) members(ctx context.Context, sender SenderID, tokens []string) (regs []*store.Registration, errs []error, err error) {
	if regs, err = r.store.Registrations(ctx, nil, tokens); err != nil {
		return nil, nil, fmt.Errorf("look up registrations: %w", err)
	}
	errs = make([]error, len(tokens))
	newest := make([]string, len(tokens))
	newer := false
	for i, reg := range regs {
		if reg != nil && reg.Unregistered.IsZero() && reg.Canonical != "" {
			newest[i], newer = reg.Canonical, true
		}
	}
	if newer {
		canonical, err := r.store.Registrations(ctx, nil, newest)
		if err != nil {
			return nil, nil, fmt.Errorf("look up registrations: %w", err)
		}
		for i, reg := range canonical {
			if newest[i] != "" {
				regs[i] = reg
			}
		}
	}
	for i, reg := range regs {
		switch {
		case reg == nil:
			errs[i] = &Refusal{Reason: UnknownToken, Detail: tokens[i]}
		case !reg.MaySend(string(sender)):
			errs[i] = &Refusal{Reason: WrongSender, Detail: tokens[i]}
		case !reg.Living():
			errs[i] = &Refusal{Reason: Unregistered}
		}
	}
	return regs, errs, nil
}

// Topics lists the subscriptions of a registration, by sender ID and name.
func (r *Router) Topics(ctx context.Context, reg *store.Registration) ([]store.Subscription, error) {
	subs, err := r.store.Subscriptions(ctx, reg)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	return subs, nil
}

// SubscribeDevice subscribes an app on a device to a topic, or unsubscribes it if leave is set
// (TOPICS 2.2). subscriber is the registration token, or a sender ID: then the newest registration
// of the app for that sender is meant. It returns the token. ErrNotMember says that the device's
// app has no such registration.
func (r *Router) SubscribeDevice(ctx context.Context, device DeviceID, app, subscriber, topic string, leave bool) (token string, err error) {
	if !payload.ValidTopicName(topic) {
		return "", ErrInvalidTopic
	}
	all, err := r.store.DeviceRegistrations(ctx, uint64(device))
	if err != nil {
		return "", fmt.Errorf("look up registrations: %w", err)
	}
	reg := subscriberOf(all, app, subscriber)
	if reg == nil {
		return "", ErrNotMember
	}
	for _, sender := range reg.Senders {
		if !isSenderID(sender) || isSenderID(subscriber) && sender != subscriber {
			continue
		}
		t := store.Topic{Sender: sender, Name: topic}
		if leave {
			err = r.store.UnsubscribeTopic(ctx, t, []*store.Registration{reg})
		} else {
			err = r.store.SubscribeTopic(ctx, t, []*store.Registration{reg}, r.clock.Now())
		}
		if errors.Is(err, store.ErrTooManyTopics) {
			return "", ErrTooManyTopics
		}
		if err != nil {
			return "", fmt.Errorf("change a topic: %w", err)
		}
	}
	if isSenderID(subscriber) {
		return reg.Token, nil
	}
	return subscriber, nil
}

// subscriberOf finds a living registration of an app by its token, an older token of its slot, or a
// sender ID.
func subscriberOf(all []*store.Registration, app, subscriber string) (found *store.Registration) {
	for _, reg := range all {
		if reg.App == app && reg.Token == subscriber && reg.Unregistered.IsZero() && reg.Canonical != "" {
			subscriber = reg.Canonical
			break
		}
	}
	for _, reg := range all {
		if reg.App != app || !reg.Living() {
			continue
		}
		if reg.Token == subscriber {
			return reg
		}
		if reg.MaySend(subscriber) && isSenderID(subscriber) && (found == nil || reg.Created.After(found.Created)) {
			found = reg
		}
	}
	return found
}

// TopicOf returns the name of a topic from its address, such as /topics/news. It reports false for
// any other text.
func TopicOf(address string) (name string, ok bool) {
	return strings.CutPrefix(address, payload.TopicPrefix)
}
