package eagerconn_test

import (
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/internal/eagerconn"
	"github.com/openccs/openccs/flowcontrol"
)

// A peer that sends without a pause does not keep the processor. With only one processor, others
// run while it is read.
func TestAnEagerReaderGivesWay(t *testing.T) {
	const bytes = 8 << 20
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	out, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer out.Close()
	in, err := l.Accept()
	require.NoError(t, err)
	defer in.Close()
	go func() {
		_, _ = out.Write(make([]byte, bytes))
		_ = out.(*net.TCPConn).CloseWrite()
	}()

	var read, others, together atomic.Int64 // reads; turns of others; of them with another read before
	stop := make(chan struct{})
	go func() {
		for last := int64(-1); ; runtime.Gosched() {
			select {
			case <-stop:
				return
			default:
			}
			others.Add(1)
			if n := read.Load(); n != last {
				last = n
				together.Add(1)
			}
		}
	}()
	b := eagerconn.New(in)
	b.Eager(func() eagerconn.Turn { return new(flowcontrol.Turn[int]) })
	p := make([]byte, 4<<10)
	for {
		_, err := b.Read(p)
		if eagerconn.WouldWait(err) {
			b.Wait()
			continue
		}
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		read.Add(1)
		for end := time.Now().Add(20 * time.Microsecond); time.Now().Before(end); { // handling takes time
		}
	}
	close(stop)
	t.Logf("%d reads, and turns of others at %d places between them", read.Load(), together.Load())
	assert.Greater(t, together.Load(), read.Load()/20)
}
