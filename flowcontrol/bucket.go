package flowcontrol

import (
	"sync"
	"time"
)

// Bucket is a token bucket: it allows bursts up to a size, and in the long run no more than a rate.
// It has no clock: the caller passes the time. The zero value is a bucket that has never been used.
type Bucket struct {
	mu sync.Mutex
	bucket
}

// bucket is a Bucket whose user holds a lock.
type bucket struct {
	debt time.Duration // how much of the burst is used, as the time that it takes to come back
	last time.Time
}

// Rate says how fast a Bucket fills and how many tokens it holds.
type Rate struct {
	Every time.Duration // time in which one token comes back; zero for no limit
	Burst int           // tokens of a full bucket, above zero
}

// Take takes n tokens, or none if there are too few.
func (b *Bucket) Take(r Rate, n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.take(r, n, now)
}

// Give gives back n tokens that were taken and not needed.
func (b *Bucket) Give(r Rate, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.give(r, n)
}

// Empty reports whether no token is left.
func (b *Bucket) Empty(r Rate, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.empty(r, now)
}

func (b *bucket) take(r Rate, n int, now time.Time) bool {
	if r.Every <= 0 {
		return true
	}
	debt := b.refill(now) + time.Duration(n)*r.Every
	if debt > time.Duration(r.Burst)*r.Every {
		return false
	}
	b.debt = debt
	return true
}

func (b *bucket) give(r Rate, n int) { b.debt = max(0, b.debt-time.Duration(n)*r.Every) }

func (b *bucket) empty(r Rate, now time.Time) bool {
	return r.Every > 0 && b.refill(now)+r.Every > time.Duration(r.Burst)*r.Every
}

// refill lets the bucket fill up to now.
func (b *bucket) refill(now time.Time) time.Duration {
	if passed := now.Sub(b.last); passed > 0 {
		b.debt = max(0, b.debt-passed)
		b.last = now
	}
	return b.debt
}
