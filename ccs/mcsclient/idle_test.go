package mcsclient_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// Chromium sends this stanza (DEV 9.4).
func TestSetIdle(t *testing.T) {
	bubble(t, func(t *testing.T, n *network) {
		c, p := n.connected(mcsclient.Options{})
		for _, value := range []string{"true", "false"} {
			require.NoError(t, c.SetIdle(value == "true"))
			assert.Equal(t, mcs.DataMessage{
				From: "gcm@android.com", Category: "com.google.android.gsf.gtalkservice", LastStreamID: 1, HasTTL: true,
				AppData: []mcs.KV{{Key: "IdleNotification", Value: value}},
			}, p.expectData())
		}
		p.goodbye()
		<-c.Done()
		assert.ErrorIs(t, c.SetIdle(true), mcsclient.ErrClosedByServer)
	})
}
