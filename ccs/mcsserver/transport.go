package mcsserver

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// transport is a connection below TLS, with time limits for reads. Before the login the limit is
// that of the login. After it, a wait between frames may take hours, and one within a frame only a
// moment, because a peer's unfinished frame would hold its buffer forever.
type transport struct {
	net.Conn

	// Owned by the reading goroutine.
	turns    chan struct{} // a computation needs a turn; nil after the handshake
	turn     bool          // whether a turn is taken
	deadline time.Time     // for the whole login; zero after it
	silence  time.Duration // limit between two frames, after the login
	begun    time.Time     // when the unfinished frame began; zero for none

	writeBy time.Time // the write deadline that is set; owned by the goroutine that writes

	mu      sync.Mutex
	readSet time.Time // the current read deadline
	reason  error     // why it was closed by close; nil while it was not
}

// frameTimeout is how long a frame may take, from its first byte to its last (DEV 4).
const frameTimeout = 60 * time.Second

// A deadline need not be exact, and setting one costs as much as encoding some messages. So a
// deadline may be early: by a part of its time, and by maxEarly at most.
const (
	earlyParts = 8
	maxEarly   = 3 * time.Second
)

// stillGood reports whether the deadline set serves for one that is due, whose full time is after.
func stillGood(set, due time.Time, after time.Duration) bool {
	early := due.Sub(set)
	return early >= 0 && early < min(after/earlyParts, maxEarly)
}

// longAgo is a deadline that unblocks a read at once.
var longAgo = time.Unix(1, 0)

// Read implements net.Conn for TLS, which computes between two reads of a handshake.
func (w *transport) Read(p []byte) (int, error) {
	w.yieldTurn()
	w.setReadDeadline(w.readBy())
	n, err := w.Conn.Read(p)
	if n > 0 && w.begun.IsZero() {
		w.begun = time.Now()
	}
	w.takeTurn()
	return n, err
}

// SyscallConn implements syscall.Conn. Its reads come after the first bytes of a Read, which has
// set the deadline.
func (w *transport) SyscallConn() (syscall.RawConn, error) {
	if c, ok := w.Conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

func (w *transport) readBy() time.Time {
	switch {
	case !w.deadline.IsZero():
		return w.deadline
	case w.begun.IsZero():
		return time.Now().Add(w.silence)
	default:
		return w.begun.Add(frameTimeout)
	}
}

// setExpecting says that the reader waits for a frame. part says whether a part of it has come.
// After a whole frame begun is zero.
func (w *transport) setExpecting(part bool) {
	if part && w.begun.IsZero() {
		w.begun = time.Now()
	}
}

// takeTurn waits until the handshake may go on. When ten thousand devices come at once, only few
// handshakes compute at a time. They leave processors to logged-in connections and to app servers
// (DEV 11). The wait does not count against the device.
func (w *transport) takeTurn() {
	if w.turns == nil {
		return
	}
	start := time.Now()
	w.turns <- struct{}{}
	w.turn = true
	w.deadline = w.deadline.Add(time.Since(start))
	w.Conn.SetWriteDeadline(w.deadline)
}

func (w *transport) yieldTurn() {
	if w.turn {
		<-w.turns
		w.turn = false
	}
}

// close ends the connection from another goroutine. It never blocks.
func (w *transport) close(reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason == nil {
		w.reason = reason
	}
	w.Conn.SetReadDeadline(longAgo)
}

func (w *transport) closedFor() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason
}

// setWriteDeadline sets the deadline of the next write.
func (w *transport) setWriteDeadline(after time.Duration) {
	if due := time.Now().Add(after); !stillGood(w.writeBy, due, after) {
		w.writeBy = due
		w.Conn.SetWriteDeadline(due)
	}
}

// setReadDeadline sets a deadline unless the connection was closed by close.
func (w *transport) setReadDeadline(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason == nil && !stillGood(w.readSet, t, time.Until(t)) {
		w.readSet = t
		w.Conn.SetReadDeadline(t)
	}
}
