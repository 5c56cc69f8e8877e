package admission

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/flowcontrol"
)

// Options are the limits of a Gate. The zero value works.
type Options struct {
	Logger *zap.Logger // default: none

	MaxConns   int // connections at a time, on all listeners; default DefaultMaxConns
	PerAddress int // of one address, logged in; default DefaultPerAddress
	// PendingPerAddress limits the connections of one address that are not logged in; default
	// DefaultPendingPerAddress. It is never more than a quarter of MaxConns.
	PendingPerAddress int

	Trusted []netip.Prefix // networks without limits per address, besides loopback
	Proxies []netip.Prefix // networks whose connections begin with a PROXY header
}

const (
	// DefaultMaxConns fits into 2 GiB of memory, at 17 KiB for an idle device.
	DefaultMaxConns = 100_000
	// DefaultPerAddress has room for a mobile network with many phones on one address.
	DefaultPerAddress = 10_000
	// DefaultPendingPerAddress is enough for those phones to come back at once. A handshake and a
	// login take a quarter of a second on a bad network, so 500 at a time are 2,000 a second. A
	// client that connects and sends nothing holds 500 connections for the ten seconds that a
	// handshake may take.
	DefaultPendingPerAddress = 500

	// pendingShare is the part of MaxConns that one address may have without a login.
	pendingShare = 4
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.MaxConns <= 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.PerAddress <= 0 {
		o.PerAddress = DefaultPerAddress
	}
	if o.PendingPerAddress <= 0 {
		o.PendingPerAddress = DefaultPendingPerAddress
	}
	o.PendingPerAddress = min(o.PendingPerAddress, max(1, o.MaxConns/pendingShare))
	return o
}

// Gate counts the connections of all listeners that it has made. Use New.
type Gate struct {
	opts Options
	log  *zap.Logger

	mu        sync.Mutex // never held over I/O
	total     int
	full      refusals
	addresses map[netip.Prefix]*address // those with a connection, so MaxConns bounds them
	lines     flowcontrol.Bucket        // limits lines on addresses in the log
	unlogged  int                       // addresses without a line in the log
	headers   flowcontrol.Bucket        // limits lines on PROXY headers in the log
	badHidden int                       // connections without a valid header and without a line
	said      []func()                  // lines for the log, which unlock writes
}

// logLater makes unlock write a line after it has released the lock. The caller must hold g.mu.
func (g *Gate) logLater(line func()) { g.said = append(g.said, line) }

func (g *Gate) unlock() {
	lines := g.said
	g.said = nil
	g.mu.Unlock()
	for _, line := range lines {
		line()
	}
}

// address counts the connections of one address.
type address struct {
	pending, loggedIn count
}

func (a *address) empty() bool { return a.pending.n+a.loggedIn.n == 0 }

type count struct {
	n int
	refusals
}

// refusals counts how often a limit has refused a connection since it was reached.
type refusals struct {
	n      int
	logged bool
}

// perAddressLines bounds what many addresses at their limits can write to the log.
var perAddressLines = flowcontrol.Rate{Every: 6 * time.Second, Burst: 20}

// New returns a gate without connections.
func New(o Options) *Gate {
	o = o.withDefaults()
	return &Gate{opts: o, log: o.Logger.Named("admission"), addresses: make(map[netip.Prefix]*address)}
}

// badHeaderLines bounds what a misconfigured proxy can write to the log.
var badHeaderLines = flowcontrol.Rate{Every: time.Minute, Burst: 1}

// badHeader logs that a connection from a proxy was refused. A proxy that connects and leaves
// without a byte only checks whether the server is reachable. A connection in memory returns
// io.ErrClosedPipe then.
func (g *Gate) badHeader(remote net.Addr, reason error) {
	if errors.Is(reason, net.ErrClosed) || errors.Is(reason, io.ErrClosedPipe) || errors.Is(reason, io.EOF) {
		g.log.Debug("no PROXY header", zap.Stringer("remote_addr", remote), zap.Error(reason))
		return
	}
	g.mu.Lock()
	defer g.unlock()
	if !g.headers.Take(badHeaderLines, 1, time.Now()) {
		g.badHidden++
		return
	}
	hidden := g.badHidden
	g.badHidden = 0
	g.logLater(func() {
		g.log.Warn("connection refused: no valid PROXY header", zap.Stringer("remote_addr", remote),
			zap.String("reason", reason.Error()), zap.Int("hidden", hidden))
	})
}

// Limits returns the effective limits.
func (g *Gate) Limits() (maxConns, perAddress, pendingPerAddress int) {
	return g.opts.MaxConns, g.opts.PerAddress, g.opts.PendingPerAddress
}

// Exempt reports whether an address is on loopback or in a trusted network.
func (g *Gate) Exempt(a netip.Addr) bool {
	return a.Unmap().IsLoopback() || contains(g.opts.Trusted, a)
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Network returns the network that one party has: an IPv4 address, or the first 64 bits of an IPv6
// address.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // the only error is a wrong number of bits
	return p
}

// Addr returns the IP address of a network address, or an invalid one if it has none.
func Addr(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// enterPending counts a connection whose address is not known yet. It reports whether there was
// room.
func (g *Gate) enterPending(c *Conn) bool {
	g.mu.Lock()
	defer g.unlock()
	if g.total >= g.opts.MaxConns {
		if g.full.n++; !g.full.logged {
			g.full.logged = true
			g.logLater(func() {
				g.log.Warn("connections refused: too many", zap.Int("limit", g.opts.MaxConns))
			})
		}
		return false
	}
	g.total++
	c.state = entered
	return true
}

// admit counts a connection for its address. It reports whether there was room.
func (g *Gate) admit(c *Conn) bool {
	a := Addr(c.remote)
	if !a.IsValid() || g.Exempt(a) {
		return true
	}
	key := Network(a)
	g.mu.Lock()
	defer g.unlock()
	if c.state != entered {
		return true // it is closed
	}
	at := g.addresses[key]
	if at == nil {
		at = new(address)
		g.addresses[key] = at
	}
	if !g.add(key, &at.pending, g.opts.PendingPerAddress, false) {
		return false
	}
	c.key, c.state = key, pending
	return true
}

// logIn moves a connection to those that have logged in. It reports whether there was room.
func (g *Gate) logIn(c *Conn) bool {
	g.mu.Lock()
	defer g.unlock()
	if c.state != pending {
		return true
	}
	at := g.addresses[c.key]
	if !g.add(c.key, &at.loggedIn, g.opts.PerAddress, true) {
		return false
	}
	g.remove(c.key, &at.pending, g.opts.PendingPerAddress)
	c.state = loggedIn
	return true
}

// leave removes a connection from the counts, once.
func (g *Gate) leave(c *Conn) {
	g.mu.Lock()
	defer g.unlock()
	state := c.state
	c.state = outside
	if state == outside {
		return
	}
	g.total--
	if g.full.n > 0 && g.total <= g.opts.MaxConns-g.opts.MaxConns/roomShare-1 {
		n := g.full.n
		g.full = refusals{}
		g.logLater(func() { g.log.Info("connections accepted again", zap.Int("refused", n)) })
	}
	if state == entered {
		return
	}
	at := g.addresses[c.key]
	if state == pending {
		g.remove(c.key, &at.pending, g.opts.PendingPerAddress)
	} else {
		g.remove(c.key, &at.loggedIn, g.opts.PerAddress)
	}
	if at.empty() {
		delete(g.addresses, c.key)
	}
}

// roomShare is the part of a limit that must be free before the log says that connections are
// accepted again. A single connection that comes and goes at the limit makes no lines.
const roomShare = 20

// add counts a connection of an address, unless that has too many. The caller must hold g.mu.
func (g *Gate) add(key netip.Prefix, n *count, limit int, isLoggedIn bool) bool {
	if n.n < limit {
		n.n++
		return true
	}
	n.refusals.n++
	if n.refusals.n > 1 {
		return false
	}
	if !g.lines.Take(perAddressLines, 1, time.Now()) {
		g.unlogged++
		return false
	}
	unlogged := g.unlogged
	g.unlogged, n.logged = 0, true
	g.logLater(func() {
		g.log.Warn("connections of an address refused: too many", zap.Stringer("remote_addr", key), zap.Bool("logged_in", isLoggedIn),
			zap.Int("limit", limit), zap.Int("addresses", unlogged))
	})
	return false
}

// remove undoes add. The caller must hold g.mu.
func (g *Gate) remove(key netip.Prefix, n *count, limit int) {
	n.n--
	if n.refusals.n == 0 || n.n > limit-limit/roomShare-1 {
		return
	}
	was := n.refusals
	n.refusals = refusals{}
	if was.logged {
		g.logLater(func() {
			g.log.Info("connections of an address accepted again", zap.Stringer("remote_addr", key), zap.Int("refused", was.n))
		})
	}
}
