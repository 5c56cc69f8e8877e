package flowcontrol

import (
	"fmt"
	"sync/atomic"
)

// Budget bounds the bytes that many connections hold together. It has no queue: a connection that
// gets no bytes waits for its own work to end, or is refused. Use NewBudget.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget makes a budget of limit bytes, which must be above zero.
func NewBudget(limit int64) *Budget {
	if limit <= 0 {
		panic(fmt.Sprintf("flowcontrol: budget of %d bytes", limit))
	}
	return &Budget{limit: limit}
}

// Limit returns the size of the budget in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// Used returns the number of bytes that are held.
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

// Add counts n bytes, whether there is room or not; n may be negative.
func (b *Budget) Add(n int64) {
	if n != 0 {
		b.used.Add(n)
	}
}

// shares is the inverse of the part of the free bytes that one connection may hold.
const shares = 8

// Share returns the number of bytes that one connection should hold at most: a part of the free
// bytes. It shrinks as use grows. So the connections that hold most must stop first, and something
// is always left for the others (Choudhury and Hahne, Dynamic queue length thresholds, 1998).
func (b *Budget) Share() int64 { return max(0, b.limit-b.used.Load()) / shares }

// Account counts the bytes of one connection in one direction: at most a limit, and at most its
// share of a Budget. A connection that holds nothing may always take one message of any size, so
// that it never stalls.
//
// Only one goroutine may call Room. Any goroutine may call Add, Sub and Close.
type Account struct {
	budget *Budget
	limit  int64
	held   atomic.Int64
}

// NewAccount makes an account of at most limit bytes on a budget.
func NewAccount(b *Budget, limit int64) *Account { return &Account{budget: b, limit: limit} }

// Room returns how many more bytes may be taken, perhaps none.
func (a *Account) Room() int64 { return max(0, min(a.limit, a.budget.Share())-a.held.Load()) }

// Held returns the number of bytes that the connection holds.
func (a *Account) Held() int64 { return a.held.Load() }

// Add counts n bytes that the connection holds now.
func (a *Account) Add(n int64) {
	if n != 0 {
		a.held.Add(n)
		a.budget.Add(n)
	}
}

// Sub subtracts n bytes that the connection no longer holds.
func (a *Account) Sub(n int64) { a.Add(-n) }

// Close returns all bytes to the budget at the end of the connection.
func (a *Account) Close() { a.budget.Add(-a.held.Swap(0)) }
