package mcsserver

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// transport is a connection's bytes, under TLS. It knows how long they may be waited for: until the login as long as
// that may take, after it for hours between frames and for a moment within one. What a peer has begun and does
// not end would hold its buffer for ever.
type transport struct {
	net.Conn

	// Owned by the goroutine that reads.
	turns    chan struct{} // a turn has to be taken to compute; nil once the handshake is over
	turn     bool          // is taken
	deadline time.Time     // for what comes next, whenever it began; zero after the login
	silence  time.Duration // between two frames, after the login
	begun    time.Time     // when a frame began that is not whole; zero while there is none

	writeBy time.Time // the write deadline that is set; owned by the goroutine that writes

	mu      sync.Mutex
	readSet time.Time // the read deadline that is set
	reason  error     // why it was closed from outside, nil while it was not
}

// frameTimeout is how long a frame may take, from its first byte to its last (DEV 4).
const frameTimeout = 60 * time.Second

// A deadline need not be exact, and to set one costs as much as to encode some messages. So it may pass earlier than it
// should: by a part of its time, and by maxEarly at most.
const (
	earlyParts = 8
	maxEarly   = 3 * time.Second
)

// stillGood reports whether a deadline that is set serves for one that is due after a time.
func stillGood(set, due time.Time, after time.Duration) bool {
	early := due.Sub(set)
	return early >= 0 && early < min(after/earlyParts, maxEarly)
}

// longAgo as a deadline unblocks a read at once.
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

// SyscallConn implements syscall.Conn, for what has come behind the first bytes of a read: those have set the deadline.
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

// setExpecting says that a frame is waited for, of which a part has come or nothing yet. Once it is whole, begun is zero.
func (w *transport) setExpecting(part bool) {
	if part && w.begun.IsZero() {
		w.begun = time.Now()
	}
}

// takeTurn waits until the handshake may go on. When ten thousand devices come at once, the few that compute
// leave the processor to the connections that are through, and to app servers (DEV 11). What a device waits for
// here is not counted against it.
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

// close ends the connection from outside. It never blocks.
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

// setReadDeadline sets a deadline unless the connection was closed from outside.
func (w *transport) setReadDeadline(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason == nil && !stillGood(w.readSet, t, time.Until(t)) {
		w.readSet = t
		w.Conn.SetReadDeadline(t)
	}
}
