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

// session is a device that has logged in.
type session struct {
	// Static after login.
	*conn
	device  ccs.DeviceID
	android bool
	box     *ccs.DeviceMailbox
	window  flowcontrol.Window // offered and not acknowledged: one slot for each in inFlight

	// Owned by the goroutine that reads.
	in       *mcs.Reader
	frames   int32     // read so far, the LoginRequest included
	acked    int32     // our frames up to this one are acknowledged, of those that were out at the last settle
	batch    *batch    // nil while there is none
	done     []offered // acknowledged since the last settle
	received int       // upstream messages in all
	swept    time.Time // when expired messages were looked for
	owes     bool      // messages came that nothing has acknowledged
	beats    bool      // the device is of those that send or answer heartbeats (DEV 8)
	missed   int       // pings since it was heard last

	// Owned by the writer, which hands them on to the next writer through mu.
	sent      int32               // our frames so far, the LoginResponse included
	delivered int                 // downstream messages in all
	known     map[string]struct{} // persistent ids that the device listed at login, until the queue was gone through (DEV 7.2)
	claimed   []store.Entry       // claimed and not offered yet
	deferred  []store.Entry       // claimed, and to be offered once the device is active (CCS 5.4)
	buffered  int64               // bytes of claimed and deferred
	size      int32               // bytes of the largest message in the last batch

	mu          sync.Mutex // never held over I/O
	pumping     bool       // a writer runs
	ended       bool       // none may start
	wakeUp      bool       // the queue may have more
	handled     int32      // the device's frames up to this one are dealt with, and stored where they were messages
	processed   int32      // the same, and what they acknowledged is forgotten
	ackOwed     bool       // the device waits for an acknowledgement that process has not allowed yet
	ackDue      bool       // the device does not know processed yet
	forgetting  bool       // the store is about to forget what was acknowledged
	unforgotten []offered  // what it could not forget
	pongs       int        // heartbeats to answer
	status      int64      // of the last of them
	pingDue     bool       // a heartbeat is to be sent
	idle        bool       // the device said so (DEV 9.4)
	inFlight    []offered  // by frame
	failed      error      // why a writer gave up
	pumps       sync.WaitGroup
}

// maxInFlight is how many messages may be offered and not acknowledged; what a device lists of them fits into
// mcs.MaxLogin.
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
		pumping:   true, // nothing goes out before the login's answer
	}
	s.window.Init(min(c.srv.router.Profile().DeviceBacklog, maxInFlight))
	return s
}

// log is a logger with the connection's fields. It is made when there is something to say: to keep one would cost a
// connection that idles a KiB.
func (s *session) log() *zap.Logger {
	return s.srv.log.With(zap.Stringer("peer", s.RemoteAddr()), zap.Stringer("device", s.device))
}

// open begins the life after the login, and returns its first part.
func (s *session) open() listener.Next {
	s.log().Info("session open", zap.Int("known", len(s.known)))
	s.deadline, s.begun, s.silence = time.Time{}, time.Time{}, s.srv.opts.silence()
	s.srv.logins.Add(1)
	if s.srv.router.Watched() {
		s.box.Opened(s.RemoteAddr().String())
	}
	eagerconn.Shrink(s.nc)
	s.eager.Eager(func() eagerconn.Turn { return s.srv.router.Turn(s.device.Key()) })
	s.requestWrite(func() { s.pumping, s.wakeUp = false, true })
	return s.read
}

// read reads until there is nothing to do but to wait, which the next goroutine does, or until the end.
func (s *session) read() listener.Next {
	err := s.readLoop()
	if err == errParked {
		return s.read
	}
	s.end(err)
	return nil
}

// end winds the session up.
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
	s.pumps.Wait()
	s.clearBuffered()
	if s.srv.router.Watched() {
		s.box.Closed(s.RemoteAddr().String(), closeReason(err))
	}
	s.box.Detach(s.srv.ctx)
	s.hangUp(last...)
	s.log().Info("session closed", zap.Error(err), zap.Int("delivered", s.delivered),
		zap.Int("received", s.received), zap.Duration("took", time.Since(s.accepted)))
}

// parting is what a device is told at the end: nothing, unless the end is of our making. A client only logs a
// StreamErrorStanza, so that a Close follows (DEV 5).
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

// closeReason names why a session ended, for the event.
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
	errParked     = errors.New("go on in a fresh goroutine")
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
