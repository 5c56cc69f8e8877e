package server_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/server"
)

// Turns go round while the server runs, and still do after it has closed the pipe: no goroutine
// waits forever.
func TestTurnsGoRound(t *testing.T) {
	turns, end, err := server.Turns()
	require.NoError(t, err)
	work := func() {
		var working sync.WaitGroup
		for i := range 4 * runtime.GOMAXPROCS(0) {
			working.Go(func() {
				turn := turns.Of(ccs.DeviceID(i).Key())
				for range 100 {
					turn.Begin()
					runtime.Gosched()
					turn.End()
				}
			})
		}
		working.Wait()
	}
	work()
	var across sync.WaitGroup
	across.Go(work)
	require.NoError(t, end())
	across.Wait()
	work()
}
