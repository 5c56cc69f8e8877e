package store

import "context"

type callerKey struct{}

// WithCaller returns a context that names the party whose connection makes the calls: a sender or a
// device. A store that gathers calls gives each caller its turn. So a caller with little to do does
// not wait for one with much. Calls without a caller share a turn.
func WithCaller(ctx context.Context, k Key) context.Context {
	return context.WithValue(ctx, callerKey{}, k)
}

// Caller returns the party that WithCaller named, or the zero Key.
func Caller(ctx context.Context) Key {
	k, _ := ctx.Value(callerKey{}).(Key)
	return k
}
