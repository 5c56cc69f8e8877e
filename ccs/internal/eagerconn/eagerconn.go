package eagerconn

import (
	"errors"
	"net"
	"sync"
	"syscall"

	"github.com/openccs/openccs/flowcontrol"
)

// Conn is a connection under TLS that reads all that has come at once, and that can tell when there is no more.
//
// A client that writes its stanzas one by one makes a TLS record of each, and crypto/tls returns one record a
// read: to whoever looks at the reads alone, every stanza seems to be the last for now. An endpoint that would
// then hand it over, store it, wait for the disk, would do so for each. With a Conn it reads on until
// WouldWait says that the next byte would have to be waited for.
//
// A peer that sends without a pause would so keep a processor for itself until the Go scheduler takes it away, after
// ten milliseconds. With some such peers everybody else waits for as many times that long. So an eager Conn charges
// what it reads to a Turn, and ends the turn before it waits.
//
// Reads belong to one goroutine; the rest is the net.Conn's.
type Conn struct {
	net.Conn
	raw     syscall.RawConn // of the connection; nil if it has none, as one in memory
	eager   bool
	mayWait bool
	head    [parkedSize]byte
	buf     *[bulkSize]byte // nil unless something is left in it
	rest    []byte          // of head or buf
	newTurn func() Turn     // makes turn, which few connections need
	turn    Turn            // nil until the first firstTurn bytes were read
	read    int             // bytes, until there is a turn
	err     error           // came after it
	records records

	login   *flowcontrol.Budget // that reads are charged to; nil for none
	charged int64
	most    int64 // that may be charged
}

const (
	// bulkSize is what a window's worth of ordinary messages takes. Nobody holds such a buffer while he waits, be
	// it for the peer or for the disk, so that there are few.
	bulkSize = 256 << 10
	// firstTurn is how many bytes are read before a connection has a Turn.
	firstTurn = 32 << 10
)

var bulks = sync.Pool{New: func() any { return new([bulkSize]byte) }}

// New makes a Conn, whose reads are those of c until Eager is called.
func New(c net.Conn) *Conn {
	b := &Conn{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			b.raw = raw
		}
	}
	return b
}

// NetConn is the connection below.
func (b *Conn) NetConn() net.Conn { return b.Conn }

// Charge has the bytes of all reads until Eager or Discharge be charged to a budget: nobody knows the peer yet, and a
// good deal of memory can be had of crypto/tls and of a login. A read beyond most bytes or beyond the budget fails with
// ErrTooMuch or ErrNoRoom.
func (b *Conn) Charge(login *flowcontrol.Budget, most int64) { b.login, b.most = login, most*copies }

// LoginMemory is how many bytes may be held of connections that have not logged in, on all endpoints together.
const LoginMemory = 32 << 20

// copies is how often a byte may be in memory: the buffers of crypto/tls and of our readers double when they are full.
const copies = 2

// smallLogin is what a connection may be charged from the last quarter of a budget. It is more than nearly every
// login takes, so those go on while a few connections use up all the rest.
const smallLogin = 16 << 10

var (
	// ErrNoRoom says that the budget for what is read before login is used up.
	ErrNoRoom = errors.New("too much is read from connections that have not logged in")
	// ErrTooMuch says that one connection sent more before its login than any needs.
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

// ChargeLogin takes n bytes of a budget for what is read before login, for a connection that holds some already.
func ChargeLogin(login *flowcontrol.Budget, held, n int64) bool {
	var spare int64
	if held+n > smallLogin {
		spare = login.Limit() / 4
	}
	return login.Take(n, spare)
}

// Discharge gives back what was charged: the handshake is over and its memory is free, or the connection ends. The
// reads that follow are charged again.
func (b *Conn) Discharge() {
	if b.login != nil {
		b.login.Add(-b.charged)
		b.charged = 0
	}
}

// Free is Discharge, after which nothing is charged any more.
func (b *Conn) Free() {
	if b.login != nil { // or another goroutine may read already
		b.Discharge()
		b.login = nil
	}
}

// charging is a listener whose connections are charged until they are freed.
type charging struct {
	net.Listener
	login *flowcontrol.Budget
	most  int64
}

// LimitListener returns a listener whose connections are Bulks that are charged, as Charge says.
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

// Eager makes reads that would have to wait fail instead, with an error for which WouldWait is true.
// To crypto/tls and our readers it is a deadline that has passed: they go on afterwards as if nothing had been.
// The login is over then, so that nothing is charged any more. A connection that is read a lot makes its Turn with
// newTurn.
func (b *Conn) Eager(newTurn func() Turn) {
	b.eager, b.newTurn = true, newTurn
	b.Free()
}

// Turn limits how much work is done before others have their turn; see flowcontrol.Turn.
type Turn interface {
	Spend(n int)
	End()
}

// EndTurn ends the turn that reading has, if it has one. The reader must call it before it waits for anything else
// than the connection.
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
		n, err := b.Conn.Read(p) // handshakes and logins have nothing to gain
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

// fill waits for something, and then takes all there is.
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

// Partial reports whether a TLS record has begun and not ended. It is for after an error that WouldWait knows:
// crypto/tls holds what has come of the record.
func (b *Conn) Partial() bool { return b.records.head > 0 || b.records.left > 0 }

// records follows the records in the bytes of TLS (RFC 8446 §5.1): where one ends, the next begins.
type records struct {
	head  int // bytes of the header that have come, if it is not whole
	last2 int // the last two of those
	left  int // bytes of the record that have not come
}

const recordHeader = 5 // bytes, of which the last two are the length of the rest

// pass takes the next bytes.
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

// readMore reads what has come behind the head. A peer that has sent no more than that must not hold the buffer, so
// that nothing is waited for.
func (b *Conn) readMore(p []byte) (int, error) {
	if b.raw == nil {
		return b.Conn.Read(p)
	}
	return readNow(b.raw, p)
}

// WouldWait reports whether an error is that of an eager read for which nothing is there.
func WouldWait(err error) bool { return errors.Is(err, errWouldWait) }

var errWouldWait error = wouldWait{}

// wouldWait is a net.Error, and a temporary one, because crypto/tls takes every other error for the end.
type wouldWait struct{}

func (wouldWait) Error() string   { return "nothing more to read yet" }
func (wouldWait) Timeout() bool   { return true }
func (wouldWait) Temporary() bool { return true }
