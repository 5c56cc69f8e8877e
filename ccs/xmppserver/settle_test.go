package xmppserver_test

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/xmppserver"
)

const clientSession = `<iq id="s1" type="set"><session xmlns="urn:ietf:params:xml:ns:xmpp-session"/></iq>`

// memoryListener accepts the server's ends of connections in memory, which a bubble of synctest can
// wait for.
type memoryListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (l *memoryListener) dial() (net.Conn, error) {
	client, server := net.Pipe()
	l.conns <- server
	return client, nil
}

// Waiting messages are sent to a client that is ready for them, and to one that may be (CCS 1.7).
func TestMessagesWaitForTheClientsHandlers(t *testing.T) {
	const wait = 500 * time.Millisecond
	for _, row := range []struct {
		name  string
		says  func(t *testing.T, p *peer)
		after time.Duration // from bind until the message comes
	}{
		{"nothing", func(*testing.T, *peer) {}, wait},
		{"a presence", func(_ *testing.T, p *peer) { p.send(`<presence/>`) }, 0},
		{"a message", func(_ *testing.T, p *peer) {
			p.send(send(testToken, "m-1", ""))
			p.until("</message>")
		}, 0},
		{"a ping", func(_ *testing.T, p *peer) { p.quiet() }, wait},
		{"a ping, and a presence", func(_ *testing.T, p *peer) {
			p.quiet()
			p.send(`<presence/>`)
		}, 0},
		// xmpppy does this: it registers its handler after the result, and drops messages that came
		// with that.
		{"the request for the session", func(t *testing.T, p *peer) {
			p.send(clientSession)
			assert.Equal(t, `<iq id="s1" type="result"/>`, p.until("/>"))
			p.read = ""
		}, wait},
		{"the request for the session, late", func(t *testing.T, p *peer) {
			time.Sleep(wait - time.Millisecond)
			p.send(clientSession)
			assert.Equal(t, `<iq id="s1" type="result"/>`, p.until("/>"))
			p.read = ""
		}, 2*wait - time.Millisecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newMemoryListener()
				w := newWorldOn(t, l, xmppserver.Options{}, ccs.Options{})
				w.raw = l.dial
				w.upstream("u-1")
				p := w.bind()
				bound := time.Now()
				row.says(t, p)
				assert.Equal(t, upstreamShape("u-1"), p.until("</message>"))
				assert.Equal(t, row.after, time.Since(bound))
				p.send(clientAck(testToken, "u-1"))
				p.quiet()
			})
		})
	}
}
