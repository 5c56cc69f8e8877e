package xmppserver_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/xmppserver"
	"github.com/openccs/openccs/flowcontrol"
)

// Reads before bind are charged to a budget. A connection that exceeds it gets a stream error
// (RFC 6120 §4.9.3.17), and others log in when there is room again.
func TestMemoryBeforeBindIsBounded(t *testing.T) {
	t.Parallel()
	budget := flowcontrol.NewBudget(1 << 20)
	w := newWorld(t, xmppserver.Options{LoginBudget: budget}, ccs.Options{})
	p := w.dial()
	p.send(clientHeader)
	p.until("</stream:features>")

	budget.Add(budget.Limit())
	p.send(plainAuth("\x00" + testSender + "\x00" + testKey))
	assert.Equal(t, `<stream:error><resource-constraint xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error></stream:stream>`, p.rest())

	budget.Add(-budget.Limit())
	w.login().quiet()
	require.Eventually(t, func() bool { return budget.Used() == 0 }, patience, time.Millisecond, "a session is charged nothing")
}

// A stream that never binds is not read forever, whatever it contains.
func TestAStreamThatNeverBindsIsEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, xmppserver.Options{}, ccs.Options{})
	p := w.dial()
	p.send(clientHeader)
	p.until("</stream:features>")
	p.send(plainAuth("\x00" + testSender + "\x00" + testKey))
	p.until(`<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`)
	p.send(clientHeader)
	p.until("</stream:features>")
	session := `<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`
	go io.WriteString(p.nc, strings.Repeat(session, 1<<20/len(session)))
	assert.Contains(t, p.until("</stream:stream>"), `<stream:error><policy-violation xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></stream:error>`)
}
