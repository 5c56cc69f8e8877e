package eagerconn_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/internal/eagerconn"
)

// A connection keeps working in both directions after its buffers are freed. Shrink returns true
// if crypto/tls has the fields that Shrink expects. If a new Go version fails here, Shrink must
// learn the new fields.
func TestShrink(t *testing.T) {
	t.Parallel()
	client, _, server, _ := pair(t)
	b := make([]byte, 4)
	for i := range 3 {
		require.True(t, eagerconn.Shrink(server), "round %d", i)
		_, err := client.Write([]byte("ping"))
		require.NoError(t, err)
		_, err = io.ReadFull(server, b)
		require.NoError(t, err)
		require.Equal(t, "ping", string(b))
		_, err = server.Write([]byte("pong"))
		require.NoError(t, err)
		_, err = io.ReadFull(client, b)
		require.NoError(t, err)
		require.Equal(t, "pong", string(b))
	}

	_, err := client.Write([]byte("half"))
	require.NoError(t, err)
	_, err = io.ReadFull(server, b[:2])
	require.NoError(t, err)
	require.False(t, eagerconn.Shrink(server), "nothing is lost that was read and not returned")
	_, err = io.ReadFull(server, b[2:])
	require.NoError(t, err)
	require.Equal(t, "half", string(b))
	require.True(t, eagerconn.Shrink(server))
}
