package ccs

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// reportExpired sends a send_error to the device of each expired upstream message (DEV 10). The
// messages are forgotten already, so a crash at this moment loses a send_error but never repeats
// one.
func (r *Router) reportExpired(ctx context.Context, expired []store.Entry, now time.Time) error {
	var messages []Message
	var tokens []string
	for i := range expired {
		var m Message
		if expired[i].Key.Kind != store.KindSender || m.Decode(expired[i].Body) != nil {
			continue
		}
		messages = append(messages, m)
		tokens = append(tokens, m.From)
	}
	regs, err := r.store.Registrations(ctx, nil, tokens)
	if err != nil {
		return fmt.Errorf("look up the devices of expired messages: %w", err)
	}
	var failed []store.Entry
	for i := range messages {
		m, reg := &messages[i], regs[i]
		if reg == nil || !reg.Unregistered.IsZero() {
			continue // the app is unregistered
		}
		failed = append(failed, r.sendError(DeviceID(reg.Device), &Upstream{To: m.To, Category: m.App, ID: m.ID}, Expired, now))
	}
	if len(failed) == 0 {
		return nil
	}
	if err := r.putNotes(ctx, "send errors", failed, now); err != nil {
		return err
	}
	for i := range failed {
		r.wake(failed[i].Key)
	}
	r.log.Debug("devices told of expired messages", zap.Int("messages", len(failed)))
	return nil
}
