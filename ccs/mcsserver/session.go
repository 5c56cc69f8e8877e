package mcsserver

import (
	"errors"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/ccs/internal/listener"
	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// session is a device after login.
type session struct {
	// These fields do not change after login.
	*conn
	device  ccs.DeviceID
	android bool
	box     *ccs.DeviceMailbox
	window  flowcontrol.Window // offered and not acknowledged: one slot for each message in inFlight

	// Owned by the reading goroutine.
	in     *mcs.Reader
	frames int32 // frames read, the LoginRequest included
	// Our frames up to this one are acknowledged, of those that were sent before the last
	// storeAndForget.
	acked    int32
	batch    *batch    // nil while it is empty
	done     []offered // acknowledged since the last storeAndForget
	received int       // upstream messages in total
	swept    time.Time // time of the last sweep for expired messages
	owes     bool      // messages came, and no frame has acknowledged them
	beats    bool      // the device is known to send or answer heartbeats (DEV 8)
	missed   int       // pings since the device was last heard

	// Owned by the writer. The next writer gets them through mu.
	sent      int32 // our frames so far, the LoginResponse included
	delivered int   // downstream messages in total
	// known has the persistent IDs that the device listed at login, until the queue was read to its
	// end (DEV 7.2).
	known    map[string]struct{}
	claimed  []store.Entry // claimed and not offered yet
	deferred []store.Entry // claimed, and waiting until the device is active (CCS 5.4)
	buffered int64         // bytes of claimed and deferred
	size     int32         // bytes of the largest message in the last batch

	mu      sync.Mutex // never held over I/O
	writing bool       // a writer runs
	ended   bool       // no writer may start
	wakeUp  bool       // the queue may have more
	// The device's frames up to this one are handled, and their messages stored.
	handled   int32
	processed int32 // like handled, but the messages that they acknowledged are forgotten too
	// The device waits for an acknowledgement that process has not allowed yet.
	ackOwed     bool
	ackDue      bool      // the device must be told processed
	forgetting  bool      // the store is forgetting acknowledged messages
	unforgotten []offered // messages that it could not forget
	pongs       int       // heartbeats to answer
	status      int64     // status of the last of those
	pingDue     bool      // a heartbeat must be sent
	idle        bool      // the device said that it is idle (DEV 9.4)
	inFlight    []offered // in the order of their frames
	failed      error     // why a writer ended
	writers     sync.WaitGroup
}

// maxInFlight is how many messages may be offered and not acknowledged. A device's list of them
// fits into mcs.MaxLogin.
const maxInFlight = 10_000

func newSession(c *conn, in *mcs.Reader, device ccs.DeviceID, req *mcs.LoginRequest) *session {
	s := &session{
		conn:      c,
		device:    device,
		android:   isAndroid(req.ID),
		in:        in,
		frames:    1,
		sent:      1,
		handled:   1,
		processed: 1,
		writing:   true, // nothing is written before the answer to the login
	}
	s.window.Init(min(c.srv.router.Profile().DeviceBacklog, maxInFlight))
	return s
}

// log returns a logger with the connection's fields. It is made on each use, because keeping it
// would cost an idle connection a KiB.
func (s *session) log() *zap.Logger {
	return s.srv.log.With(zap.Stringer("remote_addr", s.RemoteAddr()), zap.Stringer("device", s.device))
}

// open begins the time after the login, and returns its first step.
func (s *session) open() listener.Next {
	s.log().Info("session open", zap.Int("listed", len(s.known)))
	s.deadline, s.begun, s.silence = time.Time{}, time.Time{}, s.srv.opts.silence()
	s.srv.logins.Add(1)
	if s.srv.router.Watched() {
		s.box.Opened(s.RemoteAddr().String())
	}
	eagerconn.Shrink(s.nc)
	s.eager.Eager(func() eagerconn.Turn { return s.srv.router.Turn(s.device.Key()) })
	s.requestWrite(func() { s.writing, s.wakeUp = false, true })
	return s.read
}

// read reads until only waiting is left, which the next goroutine does, or until the end.
func (s *session) read() listener.Next {
	park, err := s.readLoop()
	if park {
		return s.read
	}
	s.end(err)
	return nil
}

// end ends the session.
func (s *session) end(err error) {
	s.mu.Lock()
	s.ended = true
	failed := s.failed
	s.mu.Unlock()
	if failed != nil {
		err = failed
	}
	if reason := s.closedFor(); reason != nil {
		err = reason
	}
	last := parting(err)
	late := time.AfterFunc(closeTimeout, func() { s.transport.Conn.Close() })
	defer late.Stop()
	if last == nil {
		s.transport.Conn.Close() // a writer must not wait for a peer that is gone
	}
	s.writers.Wait()
	s.clearBuffered()
	if s.srv.router.Watched() {
		s.box.Closed(s.RemoteAddr().String(), closeReason(err))
	}
	s.box.Detach(s.srv.ctx)
	s.hangUp(last...)
	s.log().Info("session closed", zap.Error(err), zap.Int("delivered", s.delivered),
		zap.Int("received", s.received), zap.Duration("took", time.Since(s.accepted)))
}

// parting returns the last frames for the device: none, unless the server ends the session. A
// client only logs a StreamErrorStanza, so a Close follows (DEV 5).
func parting(err error) []byte {
	var bad *mcs.FrameError
	switch {
	case errors.Is(err, ccs.ErrShuttingDown):
		return mcs.AppendFrame(nil, mcs.TagClose, nil)
	case errors.As(err, &bad), errors.Is(err, errUnexpected), errors.Is(err, errPingFlood):
		b := mcs.AppendFrame(nil, mcs.TagStreamErrorStanza, &mcs.StreamError{Type: "policy-violation", Text: err.Error()})
		return mcs.AppendFrame(b, mcs.TagClose, nil)
	default:
		return nil
	}
}

// closeReason returns the reason for the event of a session's end.
func closeReason(err error) string {
	var bad *mcs.FrameError
	switch {
	case errors.Is(err, errSilent):
		return ccs.ClosedSilent
	case errors.Is(err, errSlowReader):
		return ccs.ClosedSlow
	case errors.As(err, &bad), errors.Is(err, errUnexpected), errors.Is(err, errPingFlood):
		return ccs.ClosedProtocol
	}
	return ccs.CloseReason(err)
}

var (
	errUnexpected = errors.New("not for a device to send")
	errSilent     = errors.New("two heartbeats were not answered")
	errSlowReader = errors.New("the device does not read what is written")
	errPingFlood  = errors.New("heartbeats come faster than their answers are read")
	errClosed     = io.EOF // the device said Close
)

// Wake implements ccs.Session.
func (s *session) Wake() bool {
	s.requestWrite(func() { s.wakeUp = true })
	return true
}

// Close implements ccs.Session.
func (s *session) Close(reason error) { s.close(reason) }
