package ccstest_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// traffic is an app server that keeps a thousand messages in flight on one node, and devices of
// another that receive them.
type traffic struct {
	*ledger
	app     *ccsclient.Client
	devices []*ccstest.Device

	t          *testing.T
	reconnects atomic.Int64 // of the devices
	stop       chan struct{}
	cancel     context.CancelFunc
	senders    sync.WaitGroup
	receivers  sync.WaitGroup
}

// flow starts traffic with the same share for each device.
func flow(t *testing.T, from, to *ccstest.Server, devices int) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f := &traffic{ledger: newLedger(), t: t, stop: make(chan struct{}), cancel: cancel}
	t.Cleanup(f.end)
	f.app = from.AppServer(ccsclient.Options{})
	var online sync.WaitGroup
	online.Add(devices)
	for range devices {
		d := to.Enrol("com.example.app")
		f.devices = append(f.devices, d)
		dev := mcsclient.NewDevice(to.MCSAddr(), d.Identity, mcsclient.DeviceOptions{
			Options:      mcsclient.Options{TLS: to.TLS(), OnMessage: f.deliver},
			OnConnect:    sync.OnceFunc(online.Done),
			OnDisconnect: func(error, time.Duration) { f.reconnects.Add(1) },
			Backoff:      func(int) time.Duration { return 50 * time.Millisecond },
		})
		f.receivers.Go(func() { dev.Run(ctx) })
	}
	// More than a hundred messages for a device that never connected would be discarded (CCS 5.5).
	online.Wait()
	for _, d := range f.devices {
		f.senders.Go(func() { f.sendUntilItEnds(ctx, f.app, d.Token, f.stop) })
	}
	f.flows()
	return f
}

// flows waits until a few thousand more messages are acknowledged.
func (f *traffic) flows() {
	f.t.Helper()
	const more = 3000
	before := f.ackedSoFar()
	require.Eventually(f.t, func() bool { return f.ackedSoFar() > before+more }, patience, time.Millisecond, "%s", f)
}

// end stops sending and then the devices.
func (f *traffic) end() {
	f.quiet()
	f.cancel()
	f.receivers.Wait()
}

// quiet stops sending and waits for the last answers.
func (f *traffic) quiet() {
	select {
	case <-f.stop:
		return
	default:
		close(f.stop)
	}
	f.senders.Wait()
	assert.Eventually(f.t, func() bool { return f.app.InFlight() == 0 }, patience, time.Millisecond)
}

// account ends the traffic. All acknowledged messages must arrive.
func (f *traffic) account() {
	f.t.Helper()
	f.quiet()
	f.nothingIsLost(f.t)
	f.end()
	f.t.Logf("%s; devices reconnected %d times", f, f.reconnects.Load())
}

// stays fails the test if the app server's connection has ended.
func (f *traffic) stays() {
	f.t.Helper()
	select {
	case <-f.app.Done():
		require.FailNow(f.t, "the app server's connection has ended", "%v", f.app.Err())
	default:
	}
}
