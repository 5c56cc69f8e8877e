package flowcontrol_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/flowcontrol"
)

// Callers take turns: one with many goroutines gets no more turns than one with a single goroutine.
func TestTurnsGoRoundTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := flowcontrol.NewTurns[string](1, 10, nil)
		first := turns.Of("first")
		first.Begin()
		var mu sync.Mutex
		var order []string
		work := func(caller string, times int) {
			turn := turns.Of(caller)
			for range times {
				turn.Begin()
				mu.Lock()
				order = append(order, caller)
				mu.Unlock()
				turn.End()
			}
		}
		for range 4 {
			go work("many", 1)
		}
		synctest.Wait()
		go work("one", 1)
		synctest.Wait()
		assert.Empty(t, order, "there is one turn, and the first has it")
		first.End()
		synctest.Wait()
		assert.Equal(t, []string{"many", "one", "many", "many", "many"}, order)
	})
}

// With many callers there are fewer turns, so that something is left for work without turns. With
// few callers, all of them may go on at the same time.
func TestTurnsAreFewerForManyCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := flowcontrol.NewTurns[string](4, 10, nil)
		end := make(chan struct{})
		var working sync.WaitGroup
		defer working.Wait()
		began := 0
		var mu sync.Mutex
		work := func(caller string) {
			working.Go(func() {
				turn := turns.Of(caller)
				turn.Begin()
				mu.Lock()
				began++
				mu.Unlock()
				<-end
				turn.End()
			})
			synctest.Wait()
		}
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return began
		}
		for _, caller := range []string{"a", "a", "b", "a"} {
			work(caller)
		}
		assert.Equal(t, 4, count())
		few := turns.Of("few")
		few.BeginIfCrowded() // two callers are no crowd
		for _, caller := range []string{"c", "d", "e"} {
			work(caller)
		}
		working.Go(func() {
			many := turns.Of("many")
			many.BeginIfCrowded()
			mu.Lock()
			began++
			mu.Unlock()
			many.End()
		})
		synctest.Wait()
		assert.Equal(t, 4, count())
		for range 2 { // two turns end; two go on
			end <- struct{}{}
			synctest.Wait()
		}
		assert.Equal(t, 4, count(), "two turns are all that five callers get")
		end <- struct{}{}
		synctest.Wait()
		assert.GreaterOrEqual(t, count(), 5)
		close(end)
		synctest.Wait()
		assert.Equal(t, 8, count())
	})
}

// Work beyond the length of a turn waits until the turn is handed over; short work needs no turn.
func TestATurnEndsWhenItIsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handOffs := 0
		turns := flowcontrol.NewTurns[string](1, 10, func() { handOffs++ })
		long := turns.Of("long")
		long.Spend(9)
		long.Spend(1) // now it has the turn

		began := make(chan string, 3)
		go func() {
			other := turns.Of("other")
			other.Spend(9)
			began <- "short"
			other.Spend(1)
			began <- "long"
			other.End()
		}()
		synctest.Wait()
		assert.Equal(t, "short", <-began)
		assert.Empty(t, began, "the turn is taken")
		assert.Zero(t, handOffs)

		spent := false
		go func() { long.Spend(10); spent = true; long.End() }()
		synctest.Wait()
		assert.Equal(t, 1, handOffs)
		assert.Empty(t, began, "nobody has called Next")
		turns.Next()
		synctest.Wait()
		assert.Equal(t, "long", <-began)
		assert.False(t, spent)
		assert.Equal(t, 2, handOffs)
		turns.Next()
		synctest.Wait()
		assert.True(t, spent)

		long.Begin()
		long.End()
	})
}

// Every goroutine gets its turns, however they begin and end, and never more at a time than there
// are.
func TestTurnsAreBounded(t *testing.T) {
	const n = 3
	next := make(chan struct{}, n)
	turns := flowcontrol.NewTurns[int](n, 10, func() { next <- struct{}{} })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range next {
			turns.Next()
		}
	}()
	var mu sync.Mutex
	have, most := 0, []int{}
	var working sync.WaitGroup
	for i := range 20 {
		working.Go(func() {
			turn := turns.Of(i / 4)
			for range 200 {
				turn.Begin()
				mu.Lock()
				have++
				most = append(most, have)
				mu.Unlock()
				mu.Lock()
				have--
				mu.Unlock()
				turn.Spend(4)
				turn.End()
			}
		})
	}
	working.Wait()
	close(next)
	<-ended
	assert.LessOrEqual(t, slices.Max(most), n)
}
