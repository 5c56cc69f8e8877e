package ccs_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/store"
)

var network = netip.MustParsePrefix("198.51.100.1/32")

// registerFrom registers an app of a device from an address.
func (w *world) registerFrom(from netip.Prefix, device uint64, app string) (*store.Registration, error) {
	return w.RegisterFrom(w.t.Context(), store.Registration{Device: device, App: app, Senders: []string{string(sender)}}, from)
}

func TestAnAddressMayHaveSoManyDevicesThatNeverConnect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{NewDevices: 3})
	for d := range uint64(3) {
		_, err := w.registerFrom(network, 100+d, app)
		require.NoError(t, err)
	}
	_, err := w.registerFrom(network, 200, app)
	require.ErrorIs(t, err, ccs.ErrTooManyDevices)
	_, err = w.registerFrom(network, 100, "another app")
	assert.NoError(t, err, "a device that is known")
	_, err = w.registerFrom(netip.MustParsePrefix("198.51.100.2/32"), 201, app)
	assert.NoError(t, err, "another address")
	_, err = w.registerFrom(netip.Prefix{}, 202, app)
	assert.NoError(t, err, "an address that is not counted")

	m, err := attachTo(t.Context(), w.Router, store.Key{Kind: store.KindDevice, ID: 100}, newSession())
	require.NoError(t, err)
	m.Detach(t.Context())
	_, err = w.registerFrom(network, 203, app)
	assert.NoError(t, err, "one has connected and does not count any more")
	_, err = w.registerFrom(network, 204, app)
	require.ErrorIs(t, err, ccs.ErrTooManyDevices)

	w.clock.advance(24 * time.Hour)
	_, err = w.registerFrom(network, 205, app)
	assert.NoError(t, err, "another day")
}

func TestADeviceThatIsConnectedIsNotNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{NewDevices: 1})
	for d := range uint64(3) {
		m, err := attachTo(t.Context(), w.Router, store.Key{Kind: store.KindDevice, ID: 100 + d}, newSession())
		require.NoError(t, err)
		defer m.Detach(t.Context())
		_, err = w.registerFrom(network, 100+d, app)
		assert.NoError(t, err)
	}
}

func TestADeviceThatHasNotConnectedHasFewApps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ccs.Options{})
	for i := range 100 {
		_, err := w.registerFrom(network, 100, fmt.Sprint(i))
		require.NoError(t, err)
	}
	_, err := w.registerFrom(network, 100, "one more")
	require.ErrorIs(t, err, ccs.ErrTooManyDevices)
	m, err := attachTo(t.Context(), w.Router, store.Key{Kind: store.KindDevice, ID: 100}, newSession())
	require.NoError(t, err)
	defer m.Detach(t.Context())
	_, err = w.registerFrom(network, 100, "one more")
	assert.NoError(t, err)
}

func TestADeviceThatDoesNotConnectWithinADayIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, ccs.Options{})
		silent, err := w.registerFrom(network, 100, app)
		require.NoError(t, err)
		local, err := w.registerFrom(netip.Prefix{}, 101, app)
		require.NoError(t, err)
		connected, err := w.registerFrom(network, 102, app)
		require.NoError(t, err)
		m, err := attachTo(t.Context(), w.Router, connected.Key(), newSession())
		require.NoError(t, err)
		m.Detach(t.Context())
		waits := data("1")
		waits.To, waits.TTL = silent.Token, 48*time.Hour
		require.Nil(t, w.send(waits).Refusal)

		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		time.Sleep(2 * time.Second)
		tokens := []string{silent.Token, local.Token, connected.Token}
		regs, err := w.store.Registrations(t.Context(), nil, tokens)
		require.NoError(t, err)
		assert.NotContains(t, regs, (*store.Registration)(nil), "not yet")

		w.clock.advance(24*time.Hour + time.Second)
		time.Sleep(2 * time.Second)
		stop()
		require.ErrorIs(t, <-done, context.Canceled)
		regs, err = w.store.Registrations(t.Context(), nil, tokens)
		require.NoError(t, err)
		assert.Nil(t, regs[0])
		assert.NotNil(t, regs[1])
		assert.NotNil(t, regs[2])
		left, err := w.store.Claim(t.Context(), silent.Key(), 1, 10, w.clock.Now())
		require.NoError(t, err)
		assert.Empty(t, left, "what waited has gone with it")
	})
}
