package mcsserver

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"openccs/ccs"
	"openccs/ccs/mcs"
	"openccs/store"
)

// session is a device that has logged in.
type session struct {
	// Static after login.
	*conn
	device  ccs.DeviceID
	android bool
	box     *ccs.Mailbox
	log     *zap.Logger
	window  int // messages that may be offered and not acknowledged

	// Owned by readLoop.
	in       *mcs.Reader
	frames   int32 // read so far, the LoginRequest included
	acked    int32 // our frames up to this one are acknowledged
	batch    []ccs.Upstream
	done     []offered // acknowledged since the last settle
	received int       // upstream messages in all

	// Owned by the pump, which hands them on to the next pump through mu.
	sent      int32               // our frames so far, the LoginResponse included
	delivered int                 // downstream messages in all
	known     map[string]struct{} // persistent ids that the device listed at login, until the queue was gone through (DEV 7.2)
	stash     []store.Entry       // claimed at login and not offered yet

	mu        sync.Mutex // never held over I/O
	pumping   bool       // a pump runs
	ended     bool       // none may start
	wakeUp    bool       // the queue may have more
	processed int32      // the device's frames up to this one are dealt with, and stored where they were messages
	ackDue    bool       // the device does not know processed yet
	pings     int        // heartbeats to answer
	status    int64      // of the last of them
	inFlight  []offered  // by frame
	failed    error      // why a pump gave up
	pumps     sync.WaitGroup
}

// offered is a message that went out on this connection and is not acknowledged.
type offered struct {
	frame   int32
	id      store.ID // zero if it was never stored
	pid     pid
	receipt *ccs.Receipt // nil if nobody wants one
}

// pid is what the persistent id of a message is made of.
type pid struct {
	micros int64
	id     uint64
}

const (
	maxInFlight = 10_000    // messages offered and not acknowledged; what a device lists of them fits into mcs.MaxLogin
	maxStash    = 2000      // messages held that a login found between those that the device listed
	claimBatch  = 256       // messages taken from the store at a time
	maxBatch    = 256       // upstream messages stored at a time
	maxPings    = 64        // heartbeats that may wait for an answer
	maxKeptPump = 256 << 10 // a larger write buffer is not kept
	claimRetry  = time.Second
)

var errPingFlood = errors.New("heartbeats come faster than their answers are read")

func newSession(c *conn, in *mcs.Reader, device ccs.DeviceID, req *mcs.LoginRequest, log *zap.Logger) *session {
	s := &session{
		conn:      c,
		device:    device,
		android:   isAndroid(req.ID),
		log:       log.With(zap.Stringer("device", device)),
		window:    min(c.srv.router.Profile().DeviceBacklog, maxInFlight),
		in:        in,
		frames:    1,
		sent:      1,
		processed: 1,
		pumping:   true, // nothing goes out before the login's answer
	}
	if n := len(req.ReceivedPersistentIDs); n > 0 {
		s.known = make(map[string]struct{}, n)
		for _, id := range req.ReceivedPersistentIDs {
			s.known[strings.Clone(id)] = struct{}{}
		}
	}
	return s
}

// run serves the device until its connection ends, and returns why.
func (s *session) run() error {
	s.log.Info("session open", zap.Int("known", len(s.known)))
	s.kick(func() { s.pumping, s.wakeUp = false, true })
	err := s.readLoop()
	s.mu.Lock()
	s.ended = true
	failed := s.failed
	s.mu.Unlock()
	if failed != nil {
		err = failed
	}
	if errors.Is(s.closedFor(), ccs.ErrShuttingDown) {
		late := time.AfterFunc(closeTimeout, func() { s.tcp.Close() })
		defer late.Stop()
	} else {
		s.tcp.Close() // a pump must not wait for a peer that is gone
	}
	s.pumps.Wait()
	s.box.Detach(s.srv.ctx)
	return err
}

// Wake implements ccs.Session.
func (s *session) Wake() bool {
	s.kick(func() { s.wakeUp = true })
	return true
}

// Room implements ccs.Session. A device has one session, which takes all there is.
func (s *session) Room() int { return s.window }

// Close implements ccs.Session.
func (s *session) Close(reason error) { s.close(reason) }

// kick notes something for the pump, under mu, and sees to it that one runs.
func (s *session) kick(note func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	note()
	if s.pumping || s.ended || !s.due() {
		return
	}
	s.pumping = true
	s.pumps.Add(1)
	go s.pump()
}

// due reports whether a pump has something to do.
func (s *session) due() bool {
	return s.ackDue || s.pings > 0 || s.wakeUp && len(s.inFlight) < s.window
}

var pumpBuffers = sync.Pool{New: func() any { return new([]byte) }}

// pump writes all there is and ends.
func (s *session) pump() {
	defer s.pumps.Done()
	buf := pumpBuffers.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= maxKeptPump {
			pumpBuffers.Put(buf)
		}
	}()
	for {
		b, err := s.gather((*buf)[:0])
		if err == nil && len(b) > 0 {
			err = s.write(b)
		}
		*buf = b
		s.mu.Lock()
		if err != nil && s.failed == nil {
			s.failed = err
		}
		if s.failed != nil || s.ended || !s.due() {
			s.pumping = false
			s.mu.Unlock()
			if err != nil {
				s.tcp.SetReadDeadline(longAgo) // readLoop ends too
			}
			return
		}
		s.mu.Unlock()
	}
}

// gather appends the frames that are due.
func (s *session) gather(b []byte) ([]byte, error) {
	s.mu.Lock()
	pings, status := s.pings, s.status
	ackDue, processed := s.ackDue, s.processed
	room := 0
	if s.wakeUp {
		room = min(s.window-len(s.inFlight), claimBatch)
		if room > 0 {
			s.wakeUp = false
		}
	}
	s.pings, s.ackDue = 0, false
	s.mu.Unlock()

	if s.sent > math.MaxInt32-claimBatch-maxPings {
		return b, errors.New("the connection has carried as many frames as can be counted")
	}
	for range pings {
		b = mcs.AppendFrame(b, mcs.TagHeartbeatAck, &mcs.Heartbeat{LastStreamID: processed, Status: status})
		s.sent++
	}
	if room > 0 {
		var err error
		if b, err = s.offer(b, room, processed); err != nil {
			return b, err
		}
	}
	if ackDue && len(b) == 0 {
		b = mcs.AppendStreamAck(b, processed)
		s.sent++
	}
	return b, nil
}

// offer claims at most room messages and appends their frames.
func (s *session) offer(b []byte, room int, processed int32) ([]byte, error) {
	entries, err := s.claim(room)
	if err != nil {
		if s.srv.ctx.Err() != nil || errors.Is(err, ccs.ErrDetached) {
			return b, err
		}
		s.log.Error("claim messages", zap.Error(err))
		time.AfterFunc(claimRetry, func() { s.Wake() })
	}
	var has []offered // what the device has already
	out := make([]offered, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		id := pid{micros: e.Accepted.UnixMicro(), id: uint64(e.ID)}
		o := offered{id: e.ID, pid: id}
		frame, err := s.appendEntry(b, e, &o, processed)
		switch {
		case err != nil:
			s.log.Error("message in the queue cannot be read, dropped", zap.Uint64("id", uint64(e.ID)), zap.Error(err))
			has = append(has, o)
			continue
		case frame == nil:
			has = append(has, o)
			continue
		}
		b = frame
		s.sent++
		s.delivered++
		if o.id != 0 || o.receipt != nil {
			o.frame = s.sent
			out = append(out, o)
		}
	}
	more := len(entries) == room
	if !more && err == nil {
		s.known = nil
	}
	s.mu.Lock()
	s.inFlight = append(s.inFlight, out...)
	s.wakeUp = s.wakeUp || more
	s.mu.Unlock()
	return b, s.forget(has)
}

// claim takes entries to offer: first what login found on its way.
func (s *session) claim(room int) ([]store.Entry, error) {
	if len(s.stash) == 0 {
		return s.box.Claim(s.srv.ctx, room)
	}
	n := min(room, len(s.stash))
	entries := s.stash[:n]
	if s.stash = s.stash[n:]; len(s.stash) == 0 {
		s.stash = nil
	}
	var err error
	if n < room {
		var more []store.Entry
		more, err = s.box.Claim(s.srv.ctx, room-n)
		entries = append(entries, more...)
	}
	return entries, err
}

// dropKnown forgets what the device says that it has, before its login is answered: the answer tells it that
// its list has arrived, and it does not send that again (DEV 7.2). Nothing behind the last of the list is
// looked at.
func (s *session) dropKnown(listed []string) error {
	var last store.ID
	for _, text := range listed {
		if _, id, ok := mcs.ParsePersistentID(text); ok {
			last = max(last, store.ID(id))
		}
	}
	var has []offered
	for more := last != 0; more && len(s.stash) < maxStash; {
		entries, err := s.box.Claim(s.srv.ctx, claimBatch)
		if err != nil {
			return err
		}
		more = len(entries) == claimBatch && entries[len(entries)-1].ID < last
		for i := range entries {
			e := &entries[i]
			o := offered{id: e.ID, pid: pid{micros: e.Accepted.UnixMicro(), id: uint64(e.ID)}}
			if !s.has(mcs.PersistentID(o.pid.micros, o.pid.id)) {
				s.stash = append(s.stash, *e)
				continue
			}
			var m ccs.Message
			if e.Deleted == 0 && m.Decode(e.Body) == nil {
				if receipt, ok := m.Receipt(e); ok {
					o.receipt = &receipt
				}
			}
			has = append(has, o)
		}
	}
	return s.forget(has)
}

// forget ends the life of messages that the device has: first their receipts are owed, then they go.
func (s *session) forget(has []offered) error {
	var receipts []ccs.Receipt
	ids := make([]store.ID, 0, len(has))
	for i := range has {
		if has[i].receipt != nil {
			receipts = append(receipts, *has[i].receipt)
		}
		if has[i].id != 0 {
			ids = append(ids, has[i].id)
		}
	}
	if err := s.srv.router.SendReceipts(s.srv.ctx, receipts); err != nil {
		return err
	}
	return s.box.Ack(s.srv.ctx, ids...)
}

// sayClose ends the conversation from our side. Nothing else writes any more.
func (s *session) sayClose() {
	s.tcp.SetWriteDeadline(time.Now().Add(closeTimeout))
	s.nc.Write(mcs.AppendFrame(nil, mcs.TagClose, nil))
}

// appendEntry appends the frame of a queue's entry, or returns nil if the device said at login that it has
// it (DEV 9).
func (s *session) appendEntry(b []byte, e *store.Entry, o *offered, processed int32) ([]byte, error) {
	d := mcs.DataMessage{LastStreamID: processed, Sent: e.Accepted.UnixMilli()}
	if e.ID != 0 {
		d.PersistentID = mcs.PersistentID(o.pid.micros, o.pid.id)
	}
	if e.Deleted > 0 {
		return s.appendDeleted(b, e, &d), nil
	}
	var m ccs.Message
	if err := m.Decode(e.Body); err != nil {
		return nil, err
	}
	d.From, d.Category, d.Token, d.TTL = m.From, m.App, m.CollapseKey, int32(m.TTL/time.Second)
	d.HasTTL = true
	if m.Kind == ccs.SendError {
		// Current clients take the failed message's id from here, older ones and Android from the pair (DEV 9.3).
		d.PersistentID = m.ID
	}
	if receipt, ok := m.Receipt(e); ok {
		o.receipt = &receipt
		d.ImmediateAck = true
	}
	if s.has(d.PersistentID) {
		return nil, nil
	}
	b, mark := mcs.BeginDataMessage(b, &d)
	switch {
	case m.Kind == ccs.SendError:
		b = mcs.AppendAppData(b, keyMessageType, "send_error")
		b = mcs.AppendAppData(b, "google.message_id", m.ID)
	case m.Subtype != "":
		b = mcs.AppendAppData(b, keySubtype, m.Subtype)
	case len(m.Data) == 0:
		// Some clients fail on a message without any pair (DEV 14 no. 18); this one means nothing and is
		// taken out of what the app sees.
		b = mcs.AppendAppData(b, keyMessageType, "gcm")
	}
	for k, v := range m.Data.All() {
		if k != keySubtype && k != keyMessageType { // ours alone to set (DEV 9.2)
			b = mcs.AppendAppData(b, k, v)
		}
	}
	return mcs.EndFrame(b, mark), nil
}

// The app_data keys that route a message in the client (DEV 9.2, 9.3).
const (
	keyMessageType = "message_type"
	keySubtype     = "subtype"
)

// deletedFrom is the from of a deleted_messages marker; clients do not look at it (DEV 15).
const deletedFrom = "gcm.googleapis.com"

func (s *session) appendDeleted(b []byte, e *store.Entry, d *mcs.DataMessage) []byte {
	if s.has(d.PersistentID) {
		return nil
	}
	app, subtype, _ := strings.Cut(e.App, "\x00")
	d.From, d.Category = deletedFrom, app
	b, mark := mcs.BeginDataMessage(b, d)
	b = mcs.AppendAppData(b, keyMessageType, "deleted_messages")
	b = mcs.AppendAppData(b, "total_deleted", fmt.Sprint(e.Deleted))
	if subtype != "" {
		b = mcs.AppendAppData(b, keySubtype, subtype)
	}
	return mcs.EndFrame(b, mark)
}

// has reports whether the device listed a persistent id at login.
func (s *session) has(persistentID string) bool {
	_, ok := s.known[persistentID]
	return ok
}
