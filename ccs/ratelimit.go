package ccs

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/openccs/openccs/flowcontrol"
)

// maxRates bounds the senders and devices that a limiter remembers. The least recent one is
// evicted.
const maxRates = 100_000

// keyedLimiter limits how often something may happen, for each of many parties.
type keyedLimiter[K comparable] struct {
	buckets *lru.Cache[K, *flowcontrol.Bucket]
}

func newKeyedLimiter[K comparable]() *keyedLimiter[K] {
	buckets, _ := lru.New[K, *flowcontrol.Bucket](maxRates) // fails only for a size below one
	return &keyedLimiter[K]{buckets}
}

// allow reports whether it may happen once more now, and counts it. Without a rate, allow permits
// all and counts nothing.
func (r *keyedLimiter[K]) allow(k K, rate flowcontrol.Rate, now time.Time) bool {
	if rate.Every <= 0 {
		return true
	}
	b, ok := r.buckets.Get(k)
	if !ok {
		b = new(flowcontrol.Bucket)
		if old, ok, _ := r.buckets.PeekOrAdd(k, b); ok {
			b = old
		}
	}
	return b.Take(rate, 1, now)
}

// refund uncounts n allowed times that had no effect.
func (r *keyedLimiter[K]) refund(k K, rate flowcontrol.Rate, n int) {
	if b, ok := r.buckets.Get(k); ok {
		b.Give(rate, n)
	}
}

// quota returns a rate of perSecond with a burst of the same size.
func quota(perSecond int) flowcontrol.Rate {
	if perSecond <= 0 {
		return flowcontrol.Rate{}
	}
	return flowcontrol.Rate{Every: time.Second / time.Duration(perSecond), Burst: perSecond}
}
