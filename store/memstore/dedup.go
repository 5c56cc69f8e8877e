package memstore

import "github.com/openccs/openccs/store"

// forgetSteps is the number of old records that each Put of a new one looks at, so that the records
// shrink as fast as they grow.
const forgetSteps = 2

type dedupKey struct {
	queue store.Key
	sum   store.DedupSum
}

// dedup remembers which entries were kept before, until a time in milliseconds.
type dedup struct {
	until map[dedupKey]int64
	order []dedupKey // in the order of Put; the oldest are forgotten first
}

func (d *dedup) seen(k dedupKey, now int64) bool {
	until, ok := d.until[k]
	return ok && now < until
}

func (d *dedup) remember(k dedupKey, now, until int64) {
	d.forget(now, forgetSteps)
	d.until[k] = until
	d.order = append(d.order, k)
}

// forget drops the oldest records that are over, at most steps of them. A record that is not over
// keeps the ones after it, so nothing is held longer than the longest DedupFor.
func (d *dedup) forget(now int64, steps int) {
	for ; steps > 0 && len(d.order) > 0; steps-- {
		k := d.order[0]
		if until, ok := d.until[k]; ok && now < until {
			return
		}
		delete(d.until, k)
		d.order = d.order[1:]
	}
}
