package ccstest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// A message with delay_while_idle waits until the device says that it is active (CCS 5.4, DEV 9.4).
func TestDelayWhileIdle(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		d := s.Enrol("com.example.app")
		dev, in := receive(s, d, mcsclient.Options{})
		c := s.AppServer(ccsclient.Options{})
		require.NoError(t, dev.SetIdle(true))
		known := make(chan error, 1) // the server has handled all earlier frames
		require.NoError(t, dev.Send(context.Background(), &mcsclient.Upstream{To: s.Sender, Category: d.App, ID: "u"}, func(err error) { known <- err }))
		require.NoError(t, <-known)

		answered := make(chan ccsclient.Reply, 1)
		for _, id := range []string{"delayed", "prompt"} {
			m := message(d.Token, id)
			m.DelayWhileIdle = id == "delayed"
			require.NoError(t, c.Send(context.Background(), m, func(r ccsclient.Reply) { answered <- r }))
			require.NoError(t, (<-answered).Err)
		}
		assert.Equal(t, []string{"prompt"}, in.wait(t, 1))
		require.NoError(t, dev.SetIdle(false))
		assert.Equal(t, []string{"prompt", "delayed"}, in.wait(t, 2))
	})
}
