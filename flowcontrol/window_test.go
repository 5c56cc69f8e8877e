package flowcontrol_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/flowcontrol"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	w := flowcontrol.NewWindow(10)
	require.Equal(t, 10, w.Size())
	require.Equal(t, 7, w.Take(7), "what is free can be taken")
	require.Equal(t, 3, w.Take(7), "no more than is free")
	require.Equal(t, 0, w.Take(1), "nothing when all are taken")
	require.Equal(t, 10, w.Pending())
	select {
	case <-w.Freed():
		t.Fatal("nothing was given back yet")
	default:
	}
	w.Give(4)
	<-w.Freed()
	require.Equal(t, 4, w.Free())
	require.Equal(t, 4, w.Take(9))
	assert.Panics(t, func() { w.Give(11) }, "what was never taken cannot be given back")
	assert.Panics(t, func() { flowcontrol.NewWindow(0) })
}

func TestWindowInPlace(t *testing.T) {
	t.Parallel()
	var w flowcontrol.Window
	w.Init(3)
	require.Equal(t, 3, w.Take(5))
	w.Give(2)
	require.Equal(t, 2, w.Free())
	assert.Panics(t, func() { w.Give(2) })
	assert.Panics(t, func() { w.Init(0) })
}

// A waiter that asks again after every Freed gets every slot, however Take and Give interleave.
func TestWindowWakesItsWaiter(t *testing.T) {
	t.Parallel()
	const total = 10_000
	w := flowcontrol.NewWindow(3)
	slots := make(chan int, 3)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range slots {
			w.Give(n)
		}
	})
	for taken := 0; taken < total; {
		n := w.Take(2)
		if n == 0 {
			<-w.Freed()
			continue
		}
		taken += n
		slots <- n
	}
	close(slots)
	wg.Wait()
	assert.Zero(t, w.Pending())
}

func BenchmarkWindow(b *testing.B) {
	w := flowcontrol.NewWindow(flowcontrol.DefaultWindow)
	for b.Loop() {
		w.Give(w.Take(1))
	}
}

func ExampleWindow() {
	w := flowcontrol.NewWindow(100)
	taken := w.Take(250) // a client that sends more than it may
	fmt.Println(taken, w.Free())
	w.Give(taken) // the answers were written
	fmt.Println(w.Free())
	// Output:
	// 100 0
	// 100
}
