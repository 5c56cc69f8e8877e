package ccs

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"openccs/flowcontrol"
)

// maxRates is how many parties' rates are remembered; the least recent starts anew.
const maxRates = 100_000

// rates limits how often something happens for each of many parties.
type rates[K comparable] struct {
	rate    flowcontrol.Rate
	buckets *lru.Cache[K, *flowcontrol.Bucket] // nil without a limit
}

func newRates[K comparable](rate flowcontrol.Rate) *rates[K] {
	r := &rates[K]{rate: rate}
	if rate.Every > 0 {
		r.buckets, _ = lru.New[K, *flowcontrol.Bucket](maxRates) // fails for a size below one alone
	}
	return r
}

// allow reports whether it may happen once more now, and counts it.
func (r *rates[K]) allow(k K, now time.Time) bool {
	if r.buckets == nil {
		return true
	}
	b, ok := r.buckets.Get(k)
	if !ok {
		b = new(flowcontrol.Bucket)
		if old, ok, _ := r.buckets.PeekOrAdd(k, b); ok {
			b = old
		}
	}
	return b.Take(r.rate, 1, now)
}
