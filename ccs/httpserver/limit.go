package httpserver

import (
	"net/http"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"openccs/flowcontrol"
)

// DefaultPerAddress is how often one address may call: fifty times a second, and a minute's worth at once. Behind one
// address there may be a mobile network.
var DefaultPerAddress = flowcontrol.Rate{Every: 20 * time.Millisecond, Burst: 3000}

// maxAddresses is how many addresses are remembered; the least recent starts anew.
const maxAddresses = 10_000

// limiter counts calls by address.
type limiter struct {
	rate    flowcontrol.Rate
	buckets *lru.Cache[netip.Prefix, *flowcontrol.Bucket]
}

func newLimiter(rate flowcontrol.Rate) *limiter {
	buckets, _ := lru.New[netip.Prefix, *flowcontrol.Bucket](maxAddresses) // fails for a size below one alone
	return &limiter{rate: rate, buckets: buckets}
}

// allow reports whether an address may call now, and counts the call. Loopback is where a proxy on this machine comes
// from, and so everybody's.
func (l *limiter) allow(remote string, now time.Time) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil || peer.Addr().IsLoopback() {
		return true
	}
	b := new(flowcontrol.Bucket)
	if old, ok, _ := l.buckets.PeekOrAdd(network(peer.Addr()), b); ok {
		b = old
	}
	l.buckets.Get(network(peer.Addr())) // it is in use
	return b.Take(l.rate, 1, now)
}

// network is what one party has: an IPv4 address, or 64 bits of an IPv6 one.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // fails for a number of bits alone
	return p
}

// limited answers busy where an address calls too often.
func (s *Server) limited(busy answer, call func(*http.Request) answer) func(*http.Request) answer {
	busy.status, busy.retryAfter = http.StatusTooManyRequests, retryAfter
	return func(r *http.Request) answer {
		if !s.calls.allow(r.RemoteAddr, time.Now()) {
			return busy
		}
		return call(r)
	}
}
