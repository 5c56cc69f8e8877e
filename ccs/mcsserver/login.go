package mcsserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/store"
)

const (
	// oldestVersion is the oldest version that clients were seen to send or accept (DEV 4).
	oldestVersion = 38
	attachTimeout = 15 * time.Second // for the older session of the device to end
	// maxStash bounds the messages that a login keeps because it found them between those that the
	// device listed.
	maxStash = 2000
)

// errTooMany ends a login without an answer. The device's credentials are right, and it should only
// try later (DEV 11).
var errTooMany = errors.New("too many connections of the address are logged in")

// login reads the version and the LoginRequest, and answers them (DEV 6).
func (c *conn) login(in *mcs.Reader) (*session, error) {
	version, err := in.ReadVersion()
	if err != nil {
		return nil, fmt.Errorf("read version: %w", err)
	}
	if version < oldestVersion {
		return nil, fmt.Errorf("version %d: want %d or more", version, oldestVersion)
	}
	tag, payload, err := in.Next()
	if err != nil {
		return nil, fmt.Errorf("read login request: %w", err)
	}
	if tag != mcs.TagLoginRequest {
		return nil, fmt.Errorf("%s before the login request", tag)
	}
	var req mcs.LoginRequest
	if err := req.Unmarshal(payload); err != nil {
		return nil, fmt.Errorf("login request: %w", err)
	}
	device, err := c.authenticate(&req)
	// Only this error makes the device enrol again.
	if errors.Is(err, ccs.ErrUnknownDevice) {
		c.write(mcs.AppendFrame([]byte{mcs.Version}, mcs.TagLoginResponse, &mcs.LoginResponse{
			ID:    req.ID,
			Error: &mcs.ErrorInfo{Code: 401, Message: "Authentication Failed: wrong_secret"},
		}))
	}
	if err != nil {
		// The log gets nothing of the request, which may have its fields swapped.
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	if !admission.LogIn(c.transport.Conn) {
		return nil, fmt.Errorf("device %s: %w", device, errTooMany)
	}
	s := newSession(c, in, device, &req)
	ctx, cancel := context.WithTimeout(c.srv.ctx, attachTimeout)
	defer cancel()
	if s.box, err = c.srv.router.AttachDevice(ctx, device, s); err != nil {
		return nil, err
	}
	if err := s.answerLogin(&req); err != nil {
		s.clearBuffered()
		s.box.Detach(c.srv.ctx)
		return nil, err
	}
	in.SetLimit(mcs.MaxFrame)
	return s, nil
}

// answerLogin forgets the messages that the device lists, and answers. The answer tells the device
// that its list has arrived, so it does not send the list again (DEV 7.2).
func (s *session) answerLogin(req *mcs.LoginRequest) error {
	listed := req.ReceivedPersistentIDs
	if err := s.dropKnown(listed[max(0, len(listed)-mcs.MaxListed):]); err != nil {
		return err
	}
	resp := mcs.LoginResponse{ID: req.ID, LastStreamID: 1, ServerTimestamp: time.Now().UnixMilli()}
	if hb := s.srv.opts.Heartbeat; hb > 0 {
		resp.HeartbeatConfig = &mcs.HeartbeatConfig{IntervalMS: int32(hb.Milliseconds())}
	}
	return s.write(mcs.AppendFrame([]byte{mcs.Version}, mcs.TagLoginResponse, &resp))
}

// dropKnown forgets the listed messages that are in the queue. It does not look beyond the last of
// the list.
func (s *session) dropKnown(listed []string) error {
	if len(listed) == 0 {
		return nil
	}
	s.known = make(map[string]struct{}, len(listed))
	var last store.ID
	for _, text := range listed {
		s.known[strings.Clone(text)] = struct{}{}
		if _, id, ok := mcs.ParsePersistentID(text); ok {
			last = max(last, store.ID(id))
		}
	}
	var has []offered
	var d ccs.Delivery
	for more := last != 0; more && len(s.claimed) < maxStash && s.mayBuffer(); {
		entries, err := s.box.Claim(s.srv.ctx, claimBatch)
		if err != nil {
			return err
		}
		more = len(entries) == claimBatch && entries[len(entries)-1].ID < last
		for i := range entries {
			e := &entries[i]
			o := offer(e)
			if !s.has(mcs.PersistentID(o.micros, uint64(o.id))) {
				s.claimed = append(s.claimed, *e)
				s.addBuffered(e)
				continue
			}
			if !s.box.Open(s.srv.ctx, e, &d) {
				continue
			}
			o.owe(&d)
			has = append(has, o)
		}
	}
	return s.forget(has)
}

// has reports whether the device listed a persistent ID at login.
func (s *session) has(persistentID string) bool {
	_, ok := s.known[persistentID]
	return ok
}
