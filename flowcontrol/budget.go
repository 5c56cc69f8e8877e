package flowcontrol

import (
	"fmt"
	"sync/atomic"
)

// Budget bounds the bytes that many connections hold together. It has no queue: a connection that gets no bytes
// waits for its own work to end, or is refused. Make one with NewBudget.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget makes a budget of a number of bytes above zero.
func NewBudget(limit int64) *Budget {
	if limit <= 0 {
		panic(fmt.Sprintf("flowcontrol: budget of %d bytes", limit))
	}
	return &Budget{limit: limit}
}

// Limit is the number of bytes that the budget was made with.
func (b *Budget) Limit() int64 { return b.limit }

// Used is how many bytes are held.
func (b *Budget) Used() int64 { return b.used.Load() }

// Take takes n bytes, or none if fewer than spare would be left.
func (b *Budget) Take(n, spare int64) bool {
	for {
		used := b.used.Load()
		if used+n > b.limit-spare {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// Add counts n bytes that are held whether there is room or not; n may be negative.
func (b *Budget) Add(n int64) {
	if n != 0 {
		b.used.Add(n)
	}
}

// shares says how much of what is free one connection may hold: the inverse.
const shares = 8

// Share is the most that one connection should hold now: a part of what is free. The more is used, the less that is,
// so the connections that hold most have to stop first, and there is always something left for the others
// (Choudhury and Hahne, Dynamic queue length thresholds, 1998).
func (b *Budget) Share() int64 { return max(0, b.limit-b.used.Load()) / shares }

// Account is what one connection holds in one direction: at most a limit, and at most its share of a Budget. A
// connection that holds nothing may always take one message of any size, so that it goes on.
//
// One goroutine asks for Room; Add, Sub and Close may be called from any.
type Account struct {
	budget *Budget
	limit  int64
	held   atomic.Int64
}

// NewAccount makes an account of at most limit bytes on a budget.
func NewAccount(b *Budget, limit int64) *Account { return &Account{budget: b, limit: limit} }

// Room is how many more bytes may be taken, perhaps none.
func (a *Account) Room() int64 { return max(0, min(a.limit, a.budget.Share())-a.held.Load()) }

// Held is how many bytes the connection holds.
func (a *Account) Held() int64 { return a.held.Load() }

// Add counts n bytes that the connection holds from now on.
func (a *Account) Add(n int64) {
	if n != 0 {
		a.held.Add(n)
		a.budget.Add(n)
	}
}

// Sub counts n bytes that it does not hold any more.
func (a *Account) Sub(n int64) { a.Add(-n) }

// Close gives back all that is held, at the end of the connection.
func (a *Account) Close() { a.budget.Add(-a.held.Swap(0)) }
