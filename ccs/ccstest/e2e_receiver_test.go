//go:build e2e

package ccstest_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/server"
)

// Numbers of messages that the npm receiver gets, and of the connections that it loses.
const (
	receiverMessages   = 500
	receiverReconnects = 3
)

// receiverHosts are the hosts that the npm receiver connects to, at ports 443 and 5228 (DEV 13).
var receiverHosts = []string{"android.clients.google.com", "mtalk.google.com", "firebaseinstallations.googleapis.com"}

// receiverEndToEnd makes @liamcottle/push-receiver take the server for Google's hosts, by name. It
// acknowledges only when it logs in, and then forgets its messages. So a message that the server
// sent twice would show up twice.
func receiverEndToEnd(t *testing.T, done *steps) {
	const name = "@liamcottle/push-receiver"
	watched, logs := watch(zap.InfoLevel)
	r := &receiver{t: t, logs: logs, events: newInbox[receiverEvent]()}
	r.server = ccstest.Start(t, ccstest.Disk, watched, func(c *server.Config) {
		c.HTTPListen, c.MCSListen = ownAddress+":443", ownAddress+":5228"
	})
	done.do(t, name, "checks in and registers", r.registers)
	done.do(t, name, "receives, and loses its connection meanwhile", r.receives)
	done.do(t, name, "ends", r.ends)
}

// receiver is the npm receiver's process and its server.
type receiver struct {
	t      *testing.T
	server *ccstest.Server
	logs   *observer.ObservedLogs
	events *inbox[receiverEvent]
	stop   func()
	token  string
}

// receiverEvent is a line that the program prints.
type receiverEvent struct {
	Event        string            `json:"event"`
	Token        string            `json:"token"`
	PersistentID string            `json:"persistent_id"`
	From         string            `json:"from"`
	Data         map[string]string `json:"data"`
}

// start starts the program, which ends with its standard input.
func (r *receiver) start() {
	r.t.Helper()
	args := withHosts(r.t, receiverHosts, "node", "../../testdata/e2e/node/receiver.mjs", r.server.Sender)
	process := exec.Command(args[0], args[1:]...)
	process.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+r.server.CAFile())
	process.WaitDelay = exitTimeout
	var stderr bytes.Buffer
	process.Stderr = &stderr
	stdin, err := process.StdinPipe()
	require.NoError(r.t, err)
	stdout, err := process.StdoutPipe()
	require.NoError(r.t, err)
	require.NoError(r.t, process.Start())
	ended := make(chan error, 1)
	go func() {
		r.read(stdout)
		ended <- process.Wait()
	}()
	r.stop = func() {
		r.stop = func() {}
		stdin.Close()
		late := time.AfterFunc(exitTimeout, func() { process.Process.Kill() })
		defer late.Stop()
		assert.NoError(r.t, <-ended)
		if r.t.Failed() {
			r.t.Logf("the receiver's last words:\n%s", tail(stderr.Bytes(), lastWords))
		}
	}
	r.t.Cleanup(func() { r.stop() })
}

func (r *receiver) read(stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var e receiverEvent
		if assert.NoError(r.t, json.Unmarshal(lines.Bytes(), &e), "%s", lines.Bytes()) {
			r.events.add(e)
		}
	}
}

func (r *receiver) registers() string {
	r.start()
	e := r.events.wait(r.t, 1)[0]
	require.Equal(r.t, "registered", e.Event)
	r.token = e.Token
	logged(r.t, r.logs, "mcs", "session open", 1)
	return "1 token"
}

// receives restarts the server several times, each time with messages that wait until the receiver
// is back.
func (r *receiver) receives() string {
	var sent []string
	for round := range receiverReconnects + 1 {
		if round > 0 {
			r.server.Restart()
		}
		app := r.server.AppServer(ccsclient.Options{})
		for range receiverMessages / (receiverReconnects + 1) {
			id := fmt.Sprint(len(sent))
			accepted(r.t, app, message(r.token, id))
			sent = append(sent, id)
		}
		r.events.wait(r.t, 1+round+len(sent)) // and with the events that are no messages
		app.Close()
	}
	var got []string
	ids, reconnects := make(map[string]bool), 0
	for _, e := range r.events.all()[1:] {
		switch e.Event {
		case "disconnected":
			reconnects++
		case "message":
			assert.Equal(r.t, r.server.Sender, e.From)
			got = append(got, e.Data["id"])
			ids[e.PersistentID] = true
		}
	}
	require.Equal(r.t, sent, got)
	require.Equal(r.t, receiverReconnects, reconnects)
	require.Len(r.t, ids, receiverMessages)
	return fmt.Sprintf("%d of %d, %d persistent ids, %d reconnects", len(got), receiverMessages, len(ids), reconnects)
}

// ends counts the messages on the wire, without the receiver's own filter.
func (r *receiver) ends() string {
	r.stop()
	logged(r.t, r.logs, "mcs", "session closed", receiverReconnects+1)
	var delivered int64
	for _, e := range r.logs.FilterMessage("session closed").All() {
		if e.LoggerName == "mcs" {
			delivered += e.ContextMap()["delivered"].(int64)
		}
	}
	require.EqualValues(r.t, receiverMessages, delivered)
	return fmt.Sprintf("%d delivered by the server", delivered)
}
