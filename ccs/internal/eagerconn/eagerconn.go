package eagerconn

import (
	"errors"
	"net"
	"sync"
	"syscall"

	"github.com/openccs/openccs/flowcontrol"
)

// Conn is a connection below TLS. It reads all bytes that have arrived at once, and reports when
// there are no more.
//
// A client that writes its stanzas one by one makes a TLS record of each, and crypto/tls returns
// one record per read. So a door that sees only the reads takes every stanza for the last one for
// now. It would pass on each stanza, store it and wait for the disk. With a Conn it continues to
// read until WouldWait says that the next byte has not arrived yet.
//
// A peer that sends without a pause would occupy a processor until the Go scheduler preempts its
// goroutine, after ten milliseconds. With several such peers every other peer waits for as many
// times that long. So an eager Conn charges its reads to a Turn, and ends the turn before it
// waits.
//
// Reads belong to one goroutine. The other methods are those of the net.Conn.
type Conn struct {
	net.Conn
	raw     syscall.RawConn // of the connection; nil if it has none, such as one in memory
	eager   bool
	mayWait bool
	head    [parkedSize]byte
	buf     *[bulkSize]byte // nil unless it has unread bytes
	rest    []byte          // of head or buf
	newTurn func() Turn     // makes turn, because few connections need one
	turn    Turn            // nil until the first firstTurn bytes were read
	read    int             // bytes, until there is a turn
	err     error           // came after it
	records records

	login   *flowcontrol.Budget // budget to which reads are charged; nil for none
	charged int64
	most    int64 // maximum charge
}

const (
	// bulkSize has room for a window of ordinary messages. No connection holds such a buffer while
	// it waits for the peer or for the disk, so there are few.
	bulkSize = 256 << 10
	// firstTurn is the number of bytes that are read before a connection has a Turn.
	firstTurn = 32 << 10
)

var bulks = sync.Pool{New: func() any { return new([bulkSize]byte) }}

// New makes a Conn. Its reads are those of c until Eager is called.
func New(c net.Conn) *Conn {
	b := &Conn{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			b.raw = raw
		}
	}
	return b
}

// NetConn returns the connection below.
func (b *Conn) NetConn() net.Conn { return b.Conn }

// Charge charges the bytes of all reads to a budget until Eager or Discharge is called. The peer
// is not authenticated yet, and it can make crypto/tls and a login use much memory. A read beyond
// most bytes or beyond the budget fails with ErrTooMuch or ErrNoRoom.
func (b *Conn) Charge(login *flowcontrol.Budget, most int64) { b.login, b.most = login, most*copies }

// LoginMemory is the maximum number of bytes held for connections that have not logged in, in all
// doors together.
const LoginMemory = 32 << 20

// copies is the maximum number of copies of a byte in memory. The buffers of crypto/tls and of our
// readers double when they are full.
const copies = 2

// smallLogin is the maximum charge of a connection from the last quarter of a budget. Nearly every
// login needs less, so these continue while a few connections use up the rest.
const smallLogin = 16 << 10

var (
	// ErrNoRoom says that the budget for reads before login is used up.
	ErrNoRoom = errors.New("too much is read from connections that have not logged in")
	// ErrTooMuch says that one connection sent more before its login than any login needs.
	ErrTooMuch = errors.New("too much is sent before login")
)

func (b *Conn) charge(n int) error {
	bytes := int64(n) * copies
	switch {
	case b.charged+bytes > b.most:
		return ErrTooMuch
	case !ChargeLogin(b.login, b.charged, bytes):
		return ErrNoRoom
	}
	b.charged += bytes
	return nil
}

// ChargeLogin charges n bytes to a budget for reads before login, for a connection that already
// holds some.
func ChargeLogin(login *flowcontrol.Budget, held, n int64) bool {
	var spare int64
	if held+n > smallLogin {
		spare = login.Limit() / 4
	}
	return login.Take(n, spare)
}

// Discharge gives back the charge, because the handshake is over and its memory is free, or the
// connection ends. Later reads are charged again.
func (b *Conn) Discharge() {
	if b.login != nil {
		b.login.Add(-b.charged)
		b.charged = 0
	}
}

// Free does the same as Discharge and ends charging.
func (b *Conn) Free() {
	if b.login != nil { // otherwise another goroutine may read already
		b.Discharge()
		b.login = nil
	}
}

// charging is a listener that charges its connections until they are freed.
type charging struct {
	net.Listener
	login *flowcontrol.Budget
	most  int64
}

// LimitListener returns a listener of Conns that are charged as in Charge.
func LimitListener(l net.Listener, login *flowcontrol.Budget, most int64) net.Listener {
	return &charging{l, login, most}
}

// Accept implements net.Listener.
func (l *charging) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	b := New(c)
	b.Charge(l.login, l.most)
	return b, nil
}

// Eager makes a read that would have to wait fail instead, with an error for which WouldWait is
// true. To crypto/tls and our readers the error looks like a passed deadline, so they continue
// afterwards without a fault. Eager also ends charging, because the login is over. A connection
// with many reads makes its Turn with newTurn.
func (b *Conn) Eager(newTurn func() Turn) {
	b.eager, b.newTurn = true, newTurn
	b.Free()
}

// Turn limits how much work one connection does before others have their turn; see
// flowcontrol.Turn.
type Turn interface {
	Spend(n int)
	End()
}

// EndTurn ends the turn of the reads, if there is one. The reader must call it before it waits for
// anything other than the connection.
func (b *Conn) EndTurn() {
	if b.turn != nil {
		b.turn.End()
	}
}

// spend charges n bytes to the turn.
func (b *Conn) spend(n int) {
	if b.turn == nil {
		if b.read += n; b.read < firstTurn {
			return
		}
		b.turn = b.newTurn()
	}
	b.turn.Spend(n)
}

// Wait lets the next read wait.
func (b *Conn) Wait() { b.mayWait = true }

// Read implements net.Conn.
func (b *Conn) Read(p []byte) (int, error) {
	if !b.eager {
		n, err := b.Conn.Read(p) // handshakes and logins gain nothing from eager reads
		b.records.pass(p[:n])
		if b.login != nil {
			if failed := b.charge(n); failed != nil {
				return 0, failed
			}
		}
		return n, err
	}
	if len(b.rest) == 0 {
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.spend(n)
	if b.rest = b.rest[n:]; len(b.rest) == 0 {
		if b.buf != nil {
			bulks.Put(b.buf)
			b.buf = nil
		}
	}
	return n, nil
}

// fill waits for input, and then takes all of it.
func (b *Conn) fill() error {
	if err := b.err; err != nil {
		b.err = nil
		return err
	}
	if !b.mayWait {
		return errWouldWait
	}
	b.EndTurn()
	n, err := b.Conn.Read(b.head[:])
	if n == 0 {
		return err
	}
	b.mayWait = false
	b.rest = b.head[:n]
	if err == nil && n == len(b.head) {
		b.buf = bulks.Get().(*[bulkSize]byte)
		copy(b.buf[:], b.rest)
		var more int
		more, err = b.readMore(b.buf[n:])
		b.rest = b.buf[:n+more]
	}
	b.err = err
	b.records.pass(b.rest)
	return nil
}

// Partial reports whether a TLS record has begun and not ended. Call it after an error for which
// WouldWait is true. crypto/tls holds the received part of the record.
func (b *Conn) Partial() bool { return b.records.head > 0 || b.records.left > 0 }

// records tracks the records in the bytes of TLS (RFC 8446 §5.1). The next record begins where one
// ends.
type records struct {
	head  int // bytes received of an incomplete header
	last2 int // the last two of those
	left  int // bytes of the record not received yet
}

const recordHeader = 5 // bytes, of which the last two are the length of the rest

// pass processes the next bytes.
func (r *records) pass(p []byte) {
	for len(p) > 0 {
		switch {
		case r.left > 0:
			n := min(r.left, len(p))
			r.left -= n
			p = p[n:]
		case r.head == 0 && len(p) >= recordHeader:
			r.left = int(p[3])<<8 | int(p[4])
			p = p[recordHeader:]
		default:
			r.last2 = r.last2<<8&0xff00 | int(p[0])
			p = p[1:]
			if r.head++; r.head == recordHeader {
				r.head, r.left = 0, r.last2
			}
		}
	}
}

// readMore reads the bytes that have arrived after the head. It does not wait, because a peer that
// has sent only the head must not hold the buffer.
func (b *Conn) readMore(p []byte) (int, error) {
	if b.raw == nil {
		return b.Conn.Read(p)
	}
	return readNow(b.raw, p)
}

// WouldWait reports whether an error comes from an eager read that found no bytes.
func WouldWait(err error) bool { return errors.Is(err, errWouldWait) }

var errWouldWait error = wouldWait{}

// wouldWait is a temporary net.Error, because crypto/tls treats every other error as the end.
type wouldWait struct{}

func (wouldWait) Error() string   { return "nothing more to read yet" }
func (wouldWait) Timeout() bool   { return true }
func (wouldWait) Temporary() bool { return true }
