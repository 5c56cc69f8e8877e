package store

import "context"

type callerKey struct{}

// WithCaller names the party that the calls made with a context serve: the sender or the device whose connection
// they come from. A store that gathers calls gives each caller its turn, so that one with little to do does not
// wait for one with much. Calls without a caller share a turn.
func WithCaller(ctx context.Context, k Key) context.Context {
	return context.WithValue(ctx, callerKey{}, k)
}

// Caller is the party that WithCaller has named, or the zero Key.
func Caller(ctx context.Context) Key {
	k, _ := ctx.Value(callerKey{}).(Key)
	return k
}
