package ccs

import "context"

// Sweep forgets some of what has expired, as Run does.
func (r *Router) Sweep(ctx context.Context) (expired int, err error) {
	now := r.clock.Now()
	entries, _, err := r.expire(ctx, now)
	if err != nil {
		return 0, err
	}
	return len(entries), r.reportExpired(ctx, entries, now)
}
