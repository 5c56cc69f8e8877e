//go:build e2e

package ccstest_test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/stanza"
)

// chromiumAPI is one of the two ways in which extensions get a token. SENDER stands for the sender
// ID.
type chromiumAPI struct{ name, register, unregister string }

var chromiumAPIs = []chromiumAPI{
	{
		name:       "chrome.gcm",
		register:   `chrome.gcm.register(["SENDER"])`,
		unregister: `chrome.gcm.unregister()`,
	},
	{
		name:       "chrome.instanceID",
		register:   `chrome.instanceID.getToken({authorizedEntity: "SENDER", scope: "GCM"})`,
		unregister: `chrome.instanceID.deleteToken({authorizedEntity: "SENDER", scope: "GCM"})`,
	},
}

// Numbers of messages that Chromium receives and sends.
const (
	chromiumDown = 200
	chromiumUp   = 200
)

// chromiumEndToEnd takes Debian's Chromium through an app's life. It installs nothing but our
// extension.
func chromiumEndToEnd(t *testing.T, done *steps, api chromiumAPI) {
	c := newChromium(t, done, api)
	for _, step := range []struct {
		name string
		do   func() string
	}{
		{"checks in and registers", c.registers},
		{"receives", c.receives},
		{"sends upstream", c.sends},
		{"killed, 5 of one collapse key and 5 without wait", c.comesBack},
		{"killed, 101 are too many to wait", c.missesTooMany},
		{"sends, and no app server takes it in time", c.sendsInVain},
		{"unregisters, and is sent to", c.unregisters},
	} {
		done.do(t, "Chromium, "+api.name, step.name, step.do)
	}
}

// chromium is a browser, its server and an app server.
type chromium struct {
	*browser
	api      chromiumAPI
	done     *steps
	server   *ccstest.Server
	logs     *observer.ObservedLogs
	app      *ccsclient.Client
	upstream *inbox[ccsclient.Upstream]
	receipts *inbox[string]
	token    string
}

func newChromium(t *testing.T, done *steps, api chromiumAPI) *chromium {
	t.Helper()
	watched, logs := watch(zap.DebugLevel)
	c := &chromium{api: api, done: done, server: ccstest.Start(t, ccstest.Disk, watched), logs: logs, upstream: newInbox[ccsclient.Upstream](), receipts: newInbox[string]()}
	c.app = c.server.AppServer(ccsclient.Options{
		OnUpstream: func(m *ccsclient.Upstream) error { c.upstream.add(*m); return nil },
		OnReceipt:  func(m *ccsclient.Receipt) { c.receipts.add(m.MessageID) },
	})
	c.browser = newBrowser(t, c.server)
	return c
}

// call calls a function of the API.
func (c *chromium) call(expression string) string {
	c.t.Helper()
	return c.eval("%s", strings.ReplaceAll(expression, "SENDER", c.server.Sender))
}

func (c *chromium) registers() string {
	c.start()
	c.token = c.call(c.api.register)
	require.NotEmpty(c.t, c.token)
	logged(c.t, c.logs, "mcs", "session open", 1)
	checkins := c.logs.FilterMessage("call").FilterField(zap.Bool("enrolled", true)).Len()
	assert.Equal(c.t, 1, checkins)
	return fmt.Sprintf("%d check-in, 1 token", checkins)
}

func (c *chromium) receives() string {
	send(c.t, c.app, c.token, chromiumDown)
	var ids []string
	for _, e := range c.events(chromiumDown) {
		assert.Equal(c.t, c.server.Sender, e.From)
		ids = append(ids, e.Data["id"])
	}
	require.Equal(c.t, numbers(chromiumDown), ids)
	return fmt.Sprintf("%d of %d, in order, once each", len(ids), chromiumDown)
}

func (c *chromium) sends() string {
	c.eval(`send(Array.from({length: %d}, (_, i) => (
		{destinationId: "%s@gcm.googleapis.com", messageId: "up-" + i, data: {n: String(i)}}
	)))`, chromiumUp, c.server.Sender)
	var ids []string
	for _, m := range c.upstream.wait(c.t, chromiumUp) {
		n, _ := m.Data.Get("n")
		assert.Equal(c.t, []string{"up-" + n, extensionID, c.token}, []string{m.MessageID, m.Category, m.From})
		ids = append(ids, n)
	}
	require.ElementsMatch(c.t, numbers(chromiumUp), ids)
	return fmt.Sprintf("%d of %d, once each", len(ids), chromiumUp)
}

// away kills the browser and waits until the server has noticed. By then every message is
// acknowledged that Chromium acknowledges at once: each tenth one (DEV 7.2), and one with a
// receipt. Chromium lists the others when it is back, except those that it got only a few
// milliseconds before the kill and had not saved.
func (c *chromium) away() {
	c.t.Helper()
	gone := timesLogged(c.logs, "mcs", "session closed")
	c.kill()
	logged(c.t, c.logs, "mcs", "session closed", gone+1)
}

// back starts the browser again, sends a last message after it has connected, and returns the
// messages before that one. The last message asks for a receipt, so it is acknowledged at once
// (DEV 7.2), with all before it.
func (c *chromium) back(last string) []extensionEvent {
	c.t.Helper()
	receipts := len(c.receipts.all())
	c.startConnected()
	m := message(c.token, last)
	m.ReceiptRequested = true
	accepted(c.t, c.app, m)
	assert.Equal(c.t, "dr2:"+last, c.receipts.wait(c.t, receipts+1)[receipts])
	for n := 1; ; n++ {
		if got := c.events(n); got[n-1].Data["id"] == last {
			return got[:n-1]
		}
	}
}

// maxStarts is how often startConnected starts the browser. In rare runs there is no session after
// the first start.
const maxStarts = 2

// startConnected starts the browser and waits for its session. If Chromium opens no connection, it
// is started once more, and the table shows it. If it opens one and gets no session, the server is
// at fault.
func (c *chromium) startConnected() {
	c.t.Helper()
	open := timesLogged(c.logs, "mcs", "session open")
	for n := 1; ; n++ {
		began := time.Now()
		c.start()
		for timesLogged(c.logs, "mcs", "session open") <= open && time.Since(began) < patience {
			time.Sleep(5 * time.Millisecond)
		}
		if timesLogged(c.logs, "mcs", "session open") > open {
			return
		}
		_, port, err := net.SplitHostPort(c.server.MCSAddr())
		require.NoError(c.t, err)
		connections := establishedTo(c.t, port)
		c.done.add(step{"Chromium, " + c.api.name, "does not log in after a start",
			fmt.Sprintf("%d connections; last log lines of the server: %s", connections, lastLines(c.logs, 5)), time.Since(began)})
		if n == maxStarts || connections > 0 {
			require.FailNow(c.t, "Chromium does not log in", "start %d, connections %d", n, connections)
		}
		c.kill()
	}
}

// establishedTo returns how many established TCP connections to a local port this machine has.
func establishedTo(t *testing.T, port string) (n int) {
	t.Helper()
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(b)) {
			// "sl local_address rem_address st ...": the addresses end with the port in
			// hexadecimal, and 01 is ESTABLISHED.
			if f := strings.Fields(line); len(f) > 3 && f[3] == "01" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) {
				n++
			}
		}
	}
	return n
}

// lastLines returns the last n lines of a log, in one line.
func lastLines(logs *observer.ObservedLogs, n int) string {
	all := logs.All()
	var lines []string
	for _, e := range all[max(0, len(all)-n):] {
		lines = append(lines, fmt.Sprintf("%s %s %s %v", e.Time.Format("15:04:05.000"), e.LoggerName, e.Message, e.ContextMap()))
	}
	return strings.Join(lines, "; ")
}

func (c *chromium) comesBack() string {
	c.away()
	for i := range 5 {
		m := message(c.token, fmt.Sprint("collapsing-", i))
		m.CollapseKey = "news"
		accepted(c.t, c.app, m)
		accepted(c.t, c.app, message(c.token, fmt.Sprint("waiting-", i)))
	}
	var waited, collapsed []string
	for _, e := range c.back("back") {
		if e.CollapseKey == "news" {
			collapsed = append(collapsed, e.Data["id"])
		} else {
			waited = append(waited, e.Data["id"])
		}
	}
	require.Equal(c.t, []string{"collapsing-4"}, collapsed)
	require.Equal(c.t, []string{"waiting-0", "waiting-1", "waiting-2", "waiting-3", "waiting-4"}, waited)
	return fmt.Sprintf("%d + %d, nothing again", len(collapsed), len(waited))
}

func (c *chromium) missesTooMany() string {
	c.away()
	for i := range 101 {
		accepted(c.t, c.app, message(c.token, fmt.Sprint("many-", i)))
	}
	require.Equal(c.t, []extensionEvent{{Type: "deleted"}}, c.back("back again"))
	return "1 onMessagesDeleted, 0 messages"
}

// sendsInVain sends two messages that outlive their TTL: one that is now or never, and one that
// waits a second.
func (c *chromium) sendsInVain() string {
	c.app.Close()
	logged(c.t, c.logs, "xmpp", "session closed", 1)
	require.Len(c.t, c.upstream.all(), chromiumUp, "nothing has come again, though the browser was killed twice")
	before := len(c.events(0))
	for ttl := range 2 {
		c.eval(`chrome.gcm.send({destinationId: "%s@gcm.googleapis.com", messageId: "vain-%d", timeToLive: %[2]d, data: {a: "b"}})`, c.server.Sender, ttl)
		e := c.events(before + ttl + 1)[before+ttl]
		require.Equal(c.t, []string{"send_error", fmt.Sprint("vain-", ttl), "TtlExceeded"}, []string{e.Type, e.MessageID, e.Details["error"]})
	}
	return "2 onSendError"
}

func (c *chromium) unregisters() string {
	c.call(c.api.unregister)
	app := c.server.AppServer(ccsclient.Options{})
	_, err := app.SendWait(c.t.Context(), &ccsclient.Message{To: c.token, MessageID: "too late", TTL: time.Hour})
	var refused *ccsclient.Nack
	require.ErrorAs(c.t, err, &refused)
	require.Equal(c.t, stanza.DeviceUnregistered, refused.Code)
	return "1 nack " + string(refused.Code)
}
