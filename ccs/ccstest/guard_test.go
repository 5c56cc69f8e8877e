//go:build linux

package ccstest_test

import (
	"encoding/json"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A message must not become expensive unnoticed. The limits are generous, and none is a time.
// Memory is counted. The server's CPU time is compared with that of encoding/json, which reads the
// same message on the same machine while the server works. A message's whole way, to the disk and
// the device and back, costs about twice as much. The race detector makes both meaningless.
func TestAMessageCostsLittle(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector multiplies every cost; make guard runs this without")
	}
	const messages = 50_000
	for _, c := range []struct {
		shape
		allocs, readings float64
	}{
		{shape{name: "down", senders: 1, devices: 1, window: 1000}, 3, 5},
		{shape{name: "up", senders: 1, devices: 1, window: 1000, up: true}, 11, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reading time.Duration
			m := c.measure(t, func(l *load) {
				l.hand(messages / 2)
				reading = jsonReading(t)
				l.hand(messages / 2)
			})
			allocs := float64(m.allocs) / float64(m.messages)
			readings := float64(m.cpu) / float64(m.messages) / float64(reading)
			t.Logf("%.1f allocations and %.1f readings of %s a message", allocs, readings, reading)
			assert.LessOrEqual(t, allocs, c.allocs, "allocations of the server for a message")
			assert.LessOrEqual(t, readings, c.readings, "CPU time of the server for a message, in readings by encoding/json")
		})
	}
}

// jsonReading returns the CPU time that encoding/json takes to read a message.
func jsonReading(t *testing.T) time.Duration {
	const readings = 20_000
	text := []byte(`{"to":"APA91b","message_id":"m-1","time_to_live":3600,"data":{"k":"` + benchValue + `"}}`)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var m map[string]any
	before := threadTime(t)
	for range readings {
		require.NoError(t, json.Unmarshal(text, &m))
	}
	return (threadTime(t) - before) / readings
}

func threadTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_THREAD, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
