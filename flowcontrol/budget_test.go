package flowcontrol_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/flowcontrol"
)

func TestBudgetTakesUpToItsLimit(t *testing.T) {
	b := flowcontrol.NewBudget(100)
	assert.False(t, b.Take(101, 0))
	assert.True(t, b.Take(70, 0))
	assert.False(t, b.Take(6, 25), "the rest is spared")
	assert.True(t, b.Take(5, 25))
	assert.True(t, b.Take(25, 0))
	assert.EqualValues(t, 100, b.Used())
	b.Add(-100)
	assert.Zero(t, b.Used())
	assert.Panics(t, func() { flowcontrol.NewBudget(0) })
}

// However many take at once, they never have more than there is.
func TestBudgetIsNeverOverdrawn(t *testing.T) {
	b := flowcontrol.NewBudget(1000)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10_000 {
				if b.Take(300, 0) {
					if b.Used() > 1000 {
						t.Error("more is taken than there is")
					}
					b.Add(-300)
				}
			}
		})
	}
	all.Wait()
	assert.Zero(t, b.Used())
}

func TestAccountIsBoundedByItsLimit(t *testing.T) {
	b := flowcontrol.NewBudget(1 << 30)
	a := flowcontrol.NewAccount(b, 1000)
	assert.EqualValues(t, 1000, a.Room())
	a.Add(600)
	assert.EqualValues(t, 400, a.Room())
	a.Add(600)
	assert.Zero(t, a.Room())
	assert.EqualValues(t, 1200, b.Used())
	a.Sub(1000)
	assert.EqualValues(t, 800, a.Room())
	a.Close()
	assert.Zero(t, a.Held())
	assert.Zero(t, b.Used())
}

// When the budget is nearly used, the accounts that hold most must stop. A late account still gets
// as much as each of the others may have.
func TestAccountsShareABudget(t *testing.T) {
	const limit, each = 1 << 20, 1 << 18
	b := flowcontrol.NewBudget(limit)
	fill := func(a *flowcontrol.Account) {
		for a.Room() > 0 {
			a.Add(min(a.Room(), 1000))
		}
	}
	accounts := make([]*flowcontrol.Account, 40)
	for i := range accounts {
		accounts[i] = flowcontrol.NewAccount(b, each)
		fill(accounts[i])
		assert.Less(t, b.Used(), int64(limit))
		assert.NotZero(t, accounts[i].Held(), "account %d", i)
	}
	assert.Zero(t, accounts[0].Room(), "the first has the most")
	late := flowcontrol.NewAccount(b, each)
	assert.NotZero(t, late.Room())
	for _, a := range accounts {
		a.Close()
	}
	assert.EqualValues(t, limit/8, late.Room())
}
