package xmppserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/stanza"
)

// work is what readLoop left for serveLoop, besides the role's part.
type work struct {
	replies  []byte
	answers  load
	draining bool
	ended    error
}

// swapWork returns the work that readLoop left, and reuses the memory of done.
func (s *session) swapWork(done work) work {
	if cap(done.replies) > maxReplies {
		done.replies = nil
	}
	s.mu.Lock()
	w := work{replies: s.replies, answers: s.answers, draining: s.draining, ended: s.ended}
	s.replies, s.answers = done.replies[:0], load{}
	s.mu.Unlock()
	select {
	case s.written <- struct{}{}:
	default:
	}
	return w
}

// serveLoop answers, offers and writes until the session ends, and returns why.
func (s *session) serveLoop(ctx context.Context) error {
	idle := time.NewTimer(s.srv.opts.KeepAlive)
	defer idle.Stop()
	resend := time.NewTimer(s.srv.opts.ResendAfter / resendChecks)
	defer resend.Stop()
	due := false
	var out []byte
	var w work
	for {
		w = s.swapWork(w)
		out = append(out[:0], w.replies...)
		var answered load
		out, answered = s.role.route(ctx, out)
		if w.draining && s.drainedAt.IsZero() {
			out = stanza.AppendControl(out, "CONNECTION_DRAINING", s.controlID())
			s.drainedAt = time.Now()
			s.log.Info("draining", zap.Int("unanswered", s.window.Pending()), zap.Int("unacked", s.messages().window.Pending()))
		}
		if due || s.ticked.Load() {
			due = false
			s.ticked.Store(false)
			now := s.srv.router.Now()
			s.messages().checkPhantom(now)
			next := now.Add(s.srv.opts.ResendAfter / resendChecks)
			for _, q := range s.consumers {
				out, next = q.resend(ctx, out, now, next)
				q.retryMemory()
			}
			resend.Reset(max(next.Sub(now), s.srv.opts.ResendAfter/resendSlack))
		}
		for _, q := range s.consumers {
			if q.forgetDue.Swap(false) {
				q.forgetAcked(ctx)
			}
		}
		more := false
		if !w.draining && w.ended == nil && s.deliveryEnabled.Load() {
			for _, q := range s.consumers {
				var moreOfIt bool
				out, moreOfIt = q.offer(ctx, out)
				more = more || moreOfIt
			}
		}
		if len(out) > 0 {
			if err := s.writeCounted(out); err != nil {
				return err
			}
			s.held.Sub(w.answers.bytes + answered.bytes)
			s.window.Give(w.answers.messages + answered.messages)
			idle.Reset(s.srv.opts.KeepAlive)
		}
		if cap(out) > maxScratch {
			out = nil
		}
		switch {
		case ctx.Err() != nil:
			err := context.Cause(ctx)
			s.farewell(err)
			return err
		case w.ended != nil:
			if !errors.Is(w.ended, io.ErrUnexpectedEOF) {
				s.farewell(w.ended)
			}
			return w.ended
		case more:
			continue
		}
		pause, done := s.drainPause()
		if done {
			s.farewell(errDrained)
			return errDrained
		}
		select {
		case <-s.notify:
		case <-pause:
		case <-resend.C:
			due = true
		case <-idle.C:
			// Every client sees a space as traffic, and none as a stanza (CCS 1.9).
			if err := s.write([]byte(" ")); err != nil {
				return err
			}
			idle.Reset(s.srv.opts.KeepAlive)
			out, w.replies = nil, nil
			s.role.freeMemory()
		case <-ctx.Done():
		}
	}
}

const (
	// resendChecks is how often within ResendAfter a session looks for unacknowledged messages. It
	// looks earlier if a message is due sooner.
	resendChecks = 6
	// resendSlack is the part of ResendAfter by which a resend may be late, so that one look covers
	// many messages.
	resendSlack = 120
)

// appendNack is the only place that converts an error into an answer to the peer.
func (s *session) appendNack(out []byte, from, id string, err error) []byte {
	era := s.srv.router.Profile().Spellings
	code, description, cause := nackOf(err, era)
	if cause != nil {
		s.srv.router.StoreFailed(s.log, "message not handled", err, zap.String("message_id", id))
	}
	if era.OneErrorText {
		return stanza.AppendOldNack(out, from, id, oneErrorText(code, description))
	}
	return stanza.AppendNack(out, from, id, code, description)
}

// writeCounted is write for bytes that count as held until the peer has taken them.
func (s *session) writeCounted(b []byte) error {
	n := int64(len(b))
	s.srv.opts.Memory.Add(n)
	defer s.srv.opts.Memory.Add(-n)
	return s.write(b)
}

func (s *session) write(b []byte) error {
	s.setWriteDeadline(time.Now().Add(s.srv.opts.WriteTimeout))
	if _, err := s.nc.Write(b); err != nil {
		s.broken = true
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return fmt.Errorf("%w for %s: %w", errSlowReader, s.srv.opts.WriteTimeout, err)
		}
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
