package httpserver

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/flowcontrol"
)

// DefaultPerAddress is how often one address may call: fifty times a second, and a minute's worth
// at once. An address may belong to a mobile network.
var DefaultPerAddress = flowcontrol.Rate{Every: 20 * time.Millisecond, Burst: 3000}

// maxAddresses bounds the remembered addresses. The least recent one is evicted.
const maxAddresses = 10_000

// limiter counts calls by address.
type limiter struct {
	rate    flowcontrol.Rate
	exempt  func(netip.Addr) bool
	buckets *flowcontrol.Keyed[netip.Prefix]
}

func newLimiter(rate flowcontrol.Rate, exempt func(netip.Addr) bool) *limiter {
	return &limiter{rate: rate, exempt: exempt, buckets: flowcontrol.NewKeyed[netip.Prefix](maxAddresses)}
}

// allow reports whether an address may call now, and counts the call.
func (l *limiter) allow(remote string, now time.Time) bool {
	network := l.network(remote)
	return !network.IsValid() || l.buckets.Take(network, l.rate, 1, now)
}

// network returns the network that an address counts for, or zero if it is exempt.
func (l *limiter) network(remote string) netip.Prefix {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil || l.exempt(peer.Addr().Unmap()) {
		return netip.Prefix{}
	}
	return admission.Network(peer.Addr())
}

// limited answers busy if an address calls too often.
func (s *Server) limited(busy Answer, call func(*http.Request) Answer) func(*http.Request) Answer {
	busy.Status, busy.RetryAfter = http.StatusTooManyRequests, retryAfter
	return func(r *http.Request) Answer {
		if !s.calls.allow(r.RemoteAddr, time.Now()) {
			return busy
		}
		return call(r)
	}
}
