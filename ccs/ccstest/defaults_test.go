package ccstest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// A field that an app server leaves out has the default of CCS 2.3. The client makes an ID if there
// is none (CCS 2.1).
func TestAMessageNeedsNoMoreThanATokenAndData(t *testing.T) {
	t.Parallel()
	s := ccstest.Start(t)
	d := s.Enrol("com.example.app")
	c := s.AppServer(ccsclient.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	ids := map[string]bool{}
	for _, id := range numbers(3) {
		ack, err := c.SendWait(ctx, &ccsclient.Message{To: d.Token, Data: map[string]string{"id": id}})
		require.NoError(t, err)
		require.NotEmpty(t, ack.MessageID)
		ids[ack.MessageID] = true
	}
	assert.Len(t, ids, 3, "each has an ID of its own")
	_, err := c.SendWait(ctx, &ccsclient.Message{To: d.Token, TTL: ccsclient.NowOrNever, Data: map[string]string{"id": "now"}})
	require.NoError(t, err)

	_, in := receive(s, d, mcsclient.Options{})
	assert.Equal(t, numbers(3), in.wait(t, 3), "they waited for the device, but for the one that may not")
}
