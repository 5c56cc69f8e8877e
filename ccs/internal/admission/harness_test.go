package admission_test

import (
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/internal/admission"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// door is a listener whose connections have addresses of the test's choice.
type door struct {
	come   chan any // a net.Conn or an error
	closed chan struct{}
	once   sync.Once
}

func newDoor() *door { return &door{come: make(chan any), closed: make(chan struct{})} }

func (d *door) Accept() (net.Conn, error) {
	select {
	case v := <-d.come:
		if err, ok := v.(error); ok {
			return nil, err
		}
		return v.(net.Conn), nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *door) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5228} }

func (d *door) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

// from is one end of a pipe with an address.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// bed is a gate with one listener.
type bed struct {
	t     *testing.T
	door  *door
	l     net.Listener
	logs  *observer.ObservedLogs
	gate  *admission.Gate
	conns chan net.Conn
}

func newBed(t *testing.T, o admission.Options) *bed {
	core, logs := observer.New(zap.InfoLevel)
	o.Logger = zap.New(core)
	b := &bed{t: t, door: newDoor(), gate: admission.New(o), logs: logs, conns: make(chan net.Conn)}
	b.l = b.gate.Listener(b.door)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			c, err := b.l.Accept()
			if err != nil {
				return
			}
			b.conns <- c
		}
	})
	t.Cleanup(func() { b.l.Close(); accepting.Wait() })
	return b
}

// arrive makes a connection come from an address, and returns its far end.
func (b *bed) arrive(addr string) net.Conn {
	here, there := net.Pipe()
	b.t.Cleanup(func() { here.Close(); there.Close() })
	b.door.come <- from{there, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))}
	return here
}

// connect makes a connection come and returns the accepted one, or nil if it was refused.
func (b *bed) connect(addr string) net.Conn {
	b.t.Helper()
	far := b.arrive(addr)
	refused := make(chan struct{})
	go func() {
		far.Read(make([]byte, 1))
		close(refused)
	}()
	select {
	case c := <-b.conns:
		require.Equal(b.t, addr, c.RemoteAddr().String())
		return c
	case <-refused:
		return nil
	}
}

// lines counts the lines of the log with a message.
func (b *bed) lines(message string) int { return b.logs.FilterMessage(message).Len() }
