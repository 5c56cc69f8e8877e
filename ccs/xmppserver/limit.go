package xmppserver

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// throttle limits failed logins (CCS 1.6). An address is refused until its bucket refills. An
// account, which is a sender or a device, is never refused, because strangers could lock it out
// that way. Instead, the answers to its failures are delayed, and a right key is accepted at once.
type throttle struct {
	perAddress flowcontrol.Rate
	addresses  *lru.Cache[string, *flowcontrol.Bucket]
	accounts   *lru.Cache[store.Key, *flowcontrol.Bucket]
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
	t := &throttle{perAddress: perAddress}
	// New fails only for a size below one.
	t.addresses, _ = lru.New[string, *flowcontrol.Bucket](maxThrottled)
	t.accounts, _ = lru.New[store.Key, *flowcontrol.Bucket](maxThrottled)
	return t
}

// blocked reports whether an address must not try now.
func (t *throttle) blocked(address string) bool {
	b, ok := t.addresses.Get(address)
	return ok && b.Empty(t.perAddress, time.Now())
}

// failed counts a failure. account is zero if none was named.
func (t *throttle) failed(address string, account store.Key) {
	now := time.Now()
	bucket(t.addresses, address).Take(t.perAddress, 1, now)
	if account != (store.Key{}) {
		bucket(t.accounts, account).Take(perAccount, 1, now)
	}
}

// delay delays the answer to a failure of an account that has had too many.
func (t *throttle) delay(ctx context.Context, account store.Key) {
	if b, ok := t.accounts.Get(account); !ok || !b.Empty(perAccount, time.Now()) {
		return
	}
	select {
	case <-time.After(failDelay):
	case <-ctx.Done():
	}
}

func bucket[K comparable](of *lru.Cache[K, *flowcontrol.Bucket], key K) *flowcontrol.Bucket {
	b := new(flowcontrol.Bucket)
	if old, ok, _ := of.PeekOrAdd(key, b); ok {
		of.Get(key) // marks it as used
		return old
	}
	return b
}

// address returns the peer's address without the port. For IPv6 it is the network that one party
// has.
func (c *conn) address() string {
	if a := admission.Addr(c.tcp.RemoteAddr()); a.IsValid() {
		return admission.Network(a).String()
	}
	return c.tcp.RemoteAddr().String()
}
