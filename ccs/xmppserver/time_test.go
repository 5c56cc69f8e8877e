package xmppserver_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"openccs/ccs"
	"openccs/ccs/xmppserver"
)

// newBubble is newWorld for a synctest bubble: peers come through pipes.
func newBubble(t *testing.T, o xmppserver.Options) *world {
	t.Helper()
	l := newMemoryListener()
	w := newWorldOn(t, l, o, ccs.Options{})
	w.raw = l.dial
	return w
}

// A message that nobody acknowledges is sent again after 60 s, not when somebody next looks, and then after twice
// as long each time (CCS 4.3).
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
