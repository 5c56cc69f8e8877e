package xmppserver_test

import (
	"crypto/tls"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/xmppserver"
)

// raw writes bytes below TLS.
func (p *peer) raw(b []byte) { p.nc.(*tls.Conn).NetConn().Write(b) }

// newBubble is newWorld for a synctest bubble: peers come through pipes.
func newBubble(t *testing.T, o xmppserver.Options) *world {
	t.Helper()
	l := newMemoryListener()
	w := newWorldOn(t, l, o, ccs.Options{})
	w.raw = l.dial
	return w
}

// An unacknowledged message is sent again exactly after 60 s, and then each time after twice as
// long (CCS 4.3).
func TestResendComesOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, xmppserver.Options{})
		p := w.login()
		p.quiet()
		time.Sleep(3 * time.Second) // the session does not begin with the message
		w.upstream("u-1")
		p.until("</message>")
		time.Sleep(4500 * time.Millisecond)
		w.upstream("u-2")
		p.until("</message>")
		began := time.Now()
		p.patience = time.Hour
		// u-1 went out 4.5 s before began.
		for _, due := range []time.Duration{55500 * time.Millisecond, 60 * time.Second, 175500 * time.Millisecond, 180 * time.Second} {
			p.until("</message>")
			late := time.Since(began) - due
			assert.GreaterOrEqual(t, late, time.Duration(0))
			assert.Less(t, late, time.Second)
		}
	})
}

// A stanza that a peer does not end would hold its buffer forever. It has 60 s from the first byte,
// and more bytes do not prolong that.
func TestAStanzaThatDoesNotEnd(t *testing.T) {
	const end = `<stream:error><connection-timeout xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`
	for _, row := range []struct {
		name  string
		begin func(p *peer)
		more  func(p *peer) // every ten seconds
	}{
		{"a message and silence", func(p *peer) { p.send(`<message>`) }, func(*peer) {}},
		{"a trickle", func(p *peer) { p.send(`<message><gcm>`) }, func(p *peer) { io.WriteString(p.nc, "x") }},
		{"after a whole one", func(p *peer) { p.send(`<presence/>` + ` <`) }, func(p *peer) { io.WriteString(p.nc, "m") }},
		{"a TLS record", func(p *peer) { p.raw([]byte{23, 3, 3, 0x40, 0, 1, 2, 3}) }, func(p *peer) { p.raw([]byte{4}) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newBubble(t, xmppserver.Options{})
				p := w.login()
				p.patience = 24 * time.Hour
				p.quiet()
				time.Sleep(30 * time.Second)
				row.begin(p)
				start := time.Now()
				late := time.AfterFunc(10*time.Minute, func() { p.nc.Close() })
				defer late.Stop()
				go func() {
					for range 5 {
						time.Sleep(10 * time.Second)
						row.more(p)
					}
				}()
				assert.Equal(t, end, strings.TrimLeft(p.until("</stream:stream>"), " "))
				assert.Equal(t, 60*time.Second, time.Since(start))
			})
		})
	}
}

// A slow stanza that ends in time is accepted, and a peer may be silent forever between two.
func TestASlowStanzaIsReadAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBubble(t, xmppserver.Options{})
		p := w.login()
		p.patience = 24 * time.Hour
		var slow sync.WaitGroup
		defer slow.Wait()
		slow.Go(func() {
			text := `<iq id="slow" type="get"><ping xmlns="urn:xmpp:ping"/></iq>`
			for range 3 {
				for range 10 {
					time.Sleep(50 * time.Second)
					io.WriteString(p.nc, " ") // no stanza has begun
				}
				for i := range text {
					time.Sleep(59 * time.Second / time.Duration(len(text)))
					io.WriteString(p.nc, text[i:i+1])
				}
			}
		})
		for range 3 {
			p.until(`<iq id="slow" type="result"/>`)
		}
	})
}
