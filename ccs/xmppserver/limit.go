package xmppserver

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/ccs/internal/admission"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/store"
)

// throttle slows down who fails to log in again and again (CCS 1.6). An address is turned away until its bucket
// has filled again. An account, a sender or a device, is not, since strangers could keep it out so: the answers to its failures are
// late, and a right key is let in at once.
type throttle struct {
	perAddress flowcontrol.Rate
	addresses  *lru.Cache[string, *flowcontrol.Bucket]
	accounts   *lru.Cache[store.Key, *flowcontrol.Bucket]
}

const (
	maxThrottled = 10_000 // addresses, and accounts, that are remembered; the least recent is forgotten
	failDelay    = 2 * time.Second
)

// perAccount is how many failures of one account are answered without delay.
var perAccount = flowcontrol.Rate{Every: time.Second, Burst: 100}

func newThrottle(perAddress flowcontrol.Rate) *throttle {
	t := &throttle{perAddress: perAddress}
	t.addresses, _ = lru.New[string, *flowcontrol.Bucket](maxThrottled) // fails for a size below one alone
	t.accounts, _ = lru.New[store.Key, *flowcontrol.Bucket](maxThrottled)
	return t
}

// blocked reports whether an address may not try now.
func (t *throttle) blocked(address string) bool {
	b, ok := t.addresses.Get(address)
	return ok && b.Empty(t.perAddress, time.Now())
}

// failed notes a failure; the account is zero where none was named.
func (t *throttle) failed(address string, account store.Key) {
	now := time.Now()
	bucket(t.addresses, address).Take(t.perAddress, 1, now)
	if account != (store.Key{}) {
		bucket(t.accounts, account).Take(perAccount, 1, now)
	}
}

// delay holds back the answer to a failure of an account that has had too many.
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
		of.Get(key) // it is in use
		return old
	}
	return b
}

// address is the peer's without its port, and of an IPv6 address what one party has.
func (c *conn) address() string {
	if a := admission.Addr(c.tcp.RemoteAddr()); a.IsValid() {
		return admission.Network(a).String()
	}
	return c.tcp.RemoteAddr().String()
}
