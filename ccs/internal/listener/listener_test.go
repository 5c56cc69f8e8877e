package listener_test

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/internal/listener"
)

func TestSet(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := listener.New[net.Conn](2, zap.NewNop())
	done := make(chan error, 1)
	go func() {
		done <- s.Serve(l, func(c net.Conn) net.Conn { return c }, func(c net.Conn) listener.Next {
			_, err := io.CopyN(c, c, 1)
			if err != nil {
				c.Close()
				return nil
			}
			return func() listener.Next {
				io.Copy(c, c)
				c.Close()
				return nil
			}
		})
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	echoes := func(c net.Conn) bool {
		c.Write([]byte("x"))
		_, err := c.Read(make([]byte, 1))
		return err == nil
	}
	first, second := dial(), dial()
	require.True(t, echoes(first))
	require.True(t, echoes(first), "also in its next goroutine")
	require.True(t, echoes(second))
	assert.False(t, echoes(dial()), "one too many")
	n := 0
	s.Each(func(net.Conn) { n++ })
	assert.Equal(t, 2, n)
	s.Close(func(c net.Conn) { c.Close() })
	s.Wait()
	assert.ErrorIs(t, <-done, listener.ErrClosed)
	assert.False(t, echoes(first))
	late, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	assert.ErrorIs(t, s.Serve(late, nil, nil), listener.ErrClosed)
	_, err = late.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
}
