package server_test

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/server"
)

// A small heap is collected less often than by Go's default, a large one as often.
func TestEaseCollection(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	percent := func() int {
		runtime.GC()
		now := debug.SetGCPercent(100) // there is no other way to read it
		debug.SetGCPercent(now)
		return now
	}
	server.TuneGC()
	require.Eventually(t, func() bool { return percent() > 200 }, 10*time.Second, time.Millisecond, "this test has a small heap")

	large := make([]byte, 100<<20)
	require.Eventually(t, func() bool { return percent() == 100 }, 10*time.Second, time.Millisecond, "now it has a large one")
	runtime.KeepAlive(large)
	large = nil
	require.Eventually(t, func() bool { return percent() > 200 }, 10*time.Second, time.Millisecond, "and a small one again")
}
