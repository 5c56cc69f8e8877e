package admission_test

import (
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/internal/admission"
)

// failing is a listener that has no open file left until some time has passed.
type failing struct {
	*door
	until time.Time
	calls atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	f.calls.Add(1)
	if time.Now().Before(f.until) {
		return nil, syscall.EMFILE
	}
	return f.door.Accept()
}

func TestAcceptWaitsWhileItFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, admission.Options{})
		f := &failing{door: newDoor(), until: time.Now().Add(time.Minute)}
		l := b.gate.Listener(f)
		defer l.Close()
		accepted := make(chan net.Conn)
		go func() {
			c, err := l.Accept()
			assert.NoError(t, err)
			accepted <- c
		}()
		time.Sleep(50 * time.Second)
		assert.Equal(t, 1, b.lines("accept failed; trying again"))
		time.Sleep(15 * time.Second)
		here, there := net.Pipe()
		defer here.Close()
		f.come <- there
		(<-accepted).Close()
		assert.Less(t, f.calls.Load(), int32(80), "in a minute")
		assert.Equal(t, 1, b.lines("accept failed; trying again"))
		assert.Equal(t, 1, b.lines("accepting again"))
	})
}

func TestCloseEndsAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, o := range map[string]admission.Options{"direct": {}, "behind proxies": behindProxies()} {
			l := admission.New(o).Listener(newDoor())
			ended := make(chan error)
			go func() {
				_, err := l.Accept()
				ended <- err
			}()
			synctest.Wait()
			require.NoError(t, l.Close())
			assert.ErrorIs(t, <-ended, net.ErrClosed, name)
			_, err := l.Accept()
			assert.ErrorIs(t, err, net.ErrClosed, name)
		}
	})
}

func TestCloseEndsWaitingForFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := admission.New(admission.Options{}).Listener(&failing{door: newDoor(), until: time.Now().Add(time.Hour)})
		ended := make(chan error)
		go func() {
			_, err := l.Accept()
			ended <- err
		}()
		time.Sleep(time.Minute)
		began := time.Now()
		require.NoError(t, l.Close())
		assert.ErrorIs(t, <-ended, net.ErrClosed)
		assert.Zero(t, time.Since(began))
	})
}

func TestCloseEndsWhatNobodyAccepted(t *testing.T) {
	t.Parallel()
	d := newDoor()
	g := admission.New(behindProxies())
	l := g.Listener(d)
	here, there := net.Pipe()
	d.come <- there
	require.NoError(t, l.Close())
	_, err := here.Read(make([]byte, 1))
	assert.Error(t, err)
	_, err = l.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, l.Close())
}
