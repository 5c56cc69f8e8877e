package xmppserver

import (
	"context"
	"time"

	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// throttle limits failed logins (CCS 1.6). An address is refused until its bucket refills. An
// account, which is a sender or a device, is never refused, because strangers could lock it out
// that way. Instead, the answers to its failures are delayed, and a right key is accepted at once.
type throttle struct {
	perAddress flowcontrol.Rate
	addresses  *flowcontrol.Keyed[string]
	accounts   *flowcontrol.Keyed[store.Key]
}

const (
	// maxThrottled is how many addresses, and accounts, are remembered. The least recent one is
	// evicted.
	maxThrottled = 10_000
	failDelay    = 2 * time.Second
)

// perAccount is the rate of one account's failures that are answered without delay.
var perAccount = flowcontrol.Rate{Every: time.Second, Burst: 100}

func newThrottle(perAddress flowcontrol.Rate) *throttle {
	return &throttle{
		perAddress: perAddress,
		addresses:  flowcontrol.NewKeyed[string](maxThrottled),
		accounts:   flowcontrol.NewKeyed[store.Key](maxThrottled),
	}
}

// blocked reports whether an address must not try now.
func (t *throttle) blocked(address string) bool {
	return t.addresses.Empty(address, t.perAddress, time.Now())
}

// failed counts a failure. account is zero if none was named.
func (t *throttle) failed(address string, account store.Key) {
	now := time.Now()
	t.addresses.Take(address, t.perAddress, 1, now)
	if account != (store.Key{}) {
		t.accounts.Take(account, perAccount, 1, now)
	}
}

// delay delays the answer to a failure of an account that has had too many.
func (t *throttle) delay(ctx context.Context, account store.Key) {
	if !t.accounts.Empty(account, perAccount, time.Now()) {
		return
	}
	select {
	case <-time.After(failDelay):
	case <-ctx.Done():
	}
}

// address returns the peer's address without the port. For IPv6 it is the network that one party
// has.
func (c *conn) address() string {
	if a := admission.Addr(c.tcp.RemoteAddr()); a.IsValid() {
		return admission.Network(a).String()
	}
	return c.tcp.RemoteAddr().String()
}
