package mcsserver_test

import (
	"crypto/tls"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/mcsserver"
)

// wrapping is a listener that wraps its connections and shows them to the test.
type wrapping struct {
	net.Listener
	accepted chan *net.TCPConn
}

type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.accepted <- c.(*net.TCPConn)
	return wrapped{c}, nil
}

// Frequent probes would keep the radio of a phone awake. The kernel's settings apply to a wrapped
// connection too.
func TestKeepAliveProbesAreRare(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options mcsserver.Options
		idle    time.Duration
	}{
		{"by default", mcsserver.Options{}, 15 * time.Minute},
		{"as told", mcsserver.Options{KeepAlive: 90 * time.Second}, 90 * time.Second},
		{"never", mcsserver.Options{KeepAlive: -1}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tcp, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			l := wrapping{tcp, make(chan *net.TCPConn, 1)}
			w := newWorldOn(t, l, func() (net.Conn, error) { return net.Dial("tcp", tcp.Addr().String()) }, tt.options, ccs.Options{})
			nc, err := w.connect()
			require.NoError(t, err)
			defer nc.Close()
			require.NoError(t, tls.Client(nc, w.tls).Handshake())
			raw, err := (<-l.accepted).SyscallConn()
			require.NoError(t, err)
			idle, on := 0, 0
			require.NoError(t, raw.Control(func(fd uintptr) {
				if on, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); on == 0 {
					return
				}
				idle, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
			}))
			require.NoError(t, err)
			assert.Equal(t, tt.idle, time.Duration(idle)*time.Second)
		})
	}
}
