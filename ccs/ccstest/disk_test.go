package ccstest_test

import (
	"context"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/diskstore/disktest"
)

// After a full disk, and after a failing one, under traffic the server recovers by itself. No
// acknowledged message is lost.
func TestADiskInTrouble(t *testing.T) {
	t.Parallel()
	const size = 1 << 30
	disk := disktest.New(size)
	core, logs := observer.New(zap.InfoLevel)
	s := ccstest.Start(t, ccstest.Disk, func(c *server.Config) {
		c.Logger = zap.New(core)
		c.OpenDisk = func(dir string) (store.Store, error) {
			return diskstore.Open(dir, diskstore.Options{}.WithFS(disk))
		}
	})
	health := func() (int, string) {
		resp, err := s.HTTP().Get(s.HTTPURL() + "/healthz")
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	becomes := func(want int) {
		t.Helper()
		require.Eventually(t, func() bool { code, _ := health(); return code == want }, patience, 10*time.Millisecond)
	}
	count := func(message string) func() bool {
		return func() bool { return logs.FilterMessage(message).Len() > 0 }
	}
	f := flow(t, s, s, 4)

	for _, trouble := range []struct {
		name        string
		begin, mend func()
	}{
		{"little space is left", func() { disk.SetFree(60 << 20) }, func() { disk.SetFree(size) }},
		{"writing the log fails", func() {
			disk.Break(func(op disktest.Op, _ string) error {
				if op == disktest.Sync || op == disktest.Create {
					return syscall.EIO
				}
				return nil
			})
		}, func() { disk.Break(nil) }},
	} {
		logs.TakeAll()
		trouble.begin()
		becomes(503)
		_, reason := health()
		assert.Equal(t, "store unavailable", reason, trouble.name)
		require.Eventually(t, count("store unavailable"), patience, time.Millisecond)

		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := f.app.SendWait(ctx, message(f.devices[0].Token, "refused"))
		cancel()
		var nack *ccsclient.Nack
		require.ErrorAs(t, err, &nack, trouble.name)
		assert.Equal(t, stanza.ServiceUnavailable, nack.Code, trouble.name)
		if trouble.name == "little space is left" {
			f.nothingIsLost(t) // stored messages are delivered, and their acknowledgements accepted
			assert.Zero(t, f.reconnects.Load(), "no device had to leave")
			s.AppServer(ccsclient.Options{}).Close() // logins still work
		}
		assert.LessOrEqual(t, logs.FilterLevelExact(zap.ErrorLevel).Len(), 1, "%s: %v", trouble.name, logs.All())
		assert.Zero(t, logs.FilterLevelExact(zap.WarnLevel).Len(), "%s: %v", trouble.name, logs.All())

		trouble.mend()
		becomes(200)
		require.Eventually(t, count("store available again"), patience, time.Millisecond)
		f.flows()
		assert.Equal(t, 1, logs.FilterMessage("store unavailable").Len(), trouble.name)
		assert.Equal(t, 1, logs.FilterMessage("store available again").Len(), trouble.name)
	}
	f.quiet()
	f.nothingIsLost(t)
	t.Log(f)
}
