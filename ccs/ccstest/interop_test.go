//go:build interop

package ccstest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/stanza"
)

// Numbers of messages that each client sends and receives, besides one to a bogus token and one
// with a receipt.
const (
	interopDown = 2000
	interopUp   = 200
	interopText = `a<b> & "c" 'd' \ é` // in each message, both ways; the programs have it too
)

// interopClient is a published library and its abilities. The README of testdata/interop has the
// same table.
type interopClient struct {
	name     string
	version  string // "" for Debian's version
	language string
	program  []string // command that runs it, from testdata/interop
	// window is 100 by GCM's documentation, or 1000 by that of 2013 (CCS 4.1).
	window int
	// fixedHost makes the library dial fcm-xmpp.googleapis.com:5235 and trust only the system's
	// CAs.
	fixedHost bool
	// moves makes the library leave a draining connection for a new one by itself, so a server must
	// be there. The other libraries have no server then, and see the end of the stream.
	moves   bool
	remarks string
}

var interopClients = []interopClient{
	{
		name: "slixmpp", language: "Python", window: 100,
		program: []string{debianPython, "python/with_slixmpp.py"},
		remarks: "Debian 12 has 1.8.3",
	},
	{
		name: "aioxmpp", language: "Python", window: 1000,
		program: []string{debianPython, "python/with_aioxmpp.py"},
		remarks: "Debian 12 has 0.13.3; the window is that of aiofcm, which is built on it",
	},
	{
		name: "@xmpp/client", version: "0.14.0", language: "JavaScript", window: 100,
		program: []string{"node", "node/with_xmpp_client.mjs"},
		remarks: "the next row has 0.13.6 of it",
	},
	{
		name: "node-xcs", version: "0.1.8", language: "JavaScript", window: 100,
		program: []string{"node", "node/with_node_xcs.mjs"},
		remarks: "acknowledges by itself; `start()` throws when it has launched; would hide a second answer; " +
			"no event tells of the drain, and at the close it rejects a promise that nobody holds",
	},
	{
		name: "github.com/mattn/go-xmpp", version: "v0.0.0-20170423100754-906d9d747d2b", language: "Go", window: 100,
		program: []string{"mattn"},
	},
	{
		name: "github.com/xmppo/go-xmpp", version: "v0.2.10", language: "Go", window: 1000,
		program: []string{"xmppo"},
		remarks: "has to be told PLAIN: offered X-OAUTH2 it picks that, and for want of a token sends nothing",
	},
	{
		name: "github.com/topfreegames/go-gcm", version: "v0.9.2-0.20190502232724-427c8404345d", language: "Go", window: 100,
		program: []string{"gogcm"}, fixedHost: true, moves: true,
		remarks: "host and port are constants, redirected by a hosts file; acknowledges by itself; would hide a second answer; " +
			"with no server to move to it panics at the close",
	},
}

// interopReport is the output of a program.
type interopReport struct {
	Client   string `json:"client"`
	Version  string `json:"version"`
	Sent     int    `json:"sent"`
	Acked    int    `json:"acked"`    // answered once, by an ack
	Nack     string `json:"nack"`     // the answer for the bogus token
	Upstream int    `json:"upstream"` // received once
	Receipt  string `json:"receipt"`
	Drained  bool   `json:"drained"` // CONNECTION_DRAINING was seen
	// Ended means that the end of the stream was seen, or that the client has left it for another.
	Ended    bool `json:"ended"`
	Repeated int  `json:"repeated"` // answered or received again
	Errors   int  `json:"errors"`   // stanza errors, and messages that differ from those sent
}

// want returns the expected output of a client, in any version.
func (c *interopClient) want() interopReport {
	return interopReport{
		Client: c.name, Version: c.version, Sent: interopDown, Acked: interopDown, Nack: string(stanza.BadRegistration),
		Upstream: interopUp, Receipt: "MESSAGE_SENT_TO_DEVICE", Drained: true, Ended: true,
	}
}

// Published clients, unmodified and in their own processes, work with a whole server (CCS 1.11,
// 10.3).
func TestInterop(t *testing.T) {
	requireInteropTools(t)
	programs := buildInterop(t)
	took := make([]string, len(interopClients))
	t.Cleanup(func() { t.Log("\n" + interopTable(took)) })
	for i := range interopClients {
		c := &interopClients[i]
		t.Run(strings.ReplaceAll(strings.TrimPrefix(c.name, "github.com/"), "/", "-"), func(t *testing.T) {
			t.Parallel()
			took[i] = "failed"
			began := time.Now()
			interop(t, c, programs)
			if !t.Failed() {
				took[i] = time.Since(began).Round(10 * time.Millisecond).String()
			}
		})
	}
}

// interop makes a client send, be refused, receive and be drained, and then checks the rest of the
// queue.
func interop(t *testing.T, c *interopClient, programs string) {
	opts := []ccstest.Option{ccstest.Disk}
	if c.fixedHost {
		opts = append(opts, atOwnAddress)
	}
	s := ccstest.Start(t, opts...)
	d := s.Enrol("com.example.app")
	in, first, done := newInbox[string](), make(chan struct{}), make(chan struct{})
	dev := s.Connect(d, mcsclient.Options{OnMessage: func(m *mcsclient.Message) {
		n, _ := m.Get("n")
		text, _ := m.Get("text")
		assert.Equal(t, interopText, text, "message %s", n)
		in.add(n)
		switch n {
		case "0":
			close(first)
		case "done":
			close(done)
		}
	}})

	p := startInterop(t, c, programs, s, d)
	p.await(first, "send its first message")
	sendUp(t, dev, s, d, numbers(interopUp)) // while the client sends
	p.await(done, "finish")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sent := append(numbers(interopDown), "receipt", "done")
	if c.moves {
		assert.Equal(t, 1, s.DrainConnections(s.Sender, ""))
		sent = append(sent, "moved")
	} else {
		require.NoError(t, s.Drain(ctx))
	}
	got := p.report()

	want := c.want()
	if want.Version == "" {
		assert.NotEmpty(t, got.Version)
		want.Version = got.Version
	}
	assert.Equal(t, want, got)
	assert.Equal(t, sent, in.wait(t, len(sent)), "the device has all, in order, once each")

	// Messages that an app server has acknowledged are forgotten: the next one gets only new ones.
	require.NoError(t, dev.Close())
	s.Restart()
	left := newInbox[string]()
	trust := s.TLS()
	trust.ServerName = "gcm.googleapis.com" // the certificate does not have ownAddress
	next, err := ccsclient.Dial(ctx, s.XMPPAddr(), s.Sender, s.Key, ccsclient.Options{TLS: trust, OnUpstream: func(m *ccsclient.Upstream) error {
		left.add(m.MessageID)
		return nil
	}})
	require.NoError(t, err)
	t.Cleanup(func() { next.Close() })
	sendUp(t, s.Connect(d, mcsclient.Options{}), s, d, []string{"last"})
	assert.Equal(t, []string{"last"}, left.wait(t, 1))
}

// sendUp sends upstream messages and waits until the server has them.
func sendUp(t *testing.T, dev *mcsclient.Client, s *ccstest.Server, d *ccstest.Device, ids []string) {
	t.Helper()
	acked := make(chan error, len(ids))
	for _, id := range ids {
		require.NoError(t, dev.Send(context.Background(), &mcsclient.Upstream{
			To: s.Sender + "@gcm.googleapis.com", Category: d.App, ID: id, PersistentID: "p" + id,
			Data: []mcsclient.Pair{{Key: "n", Value: id}, {Key: "text", Value: interopText}},
		}, func(err error) { acked <- err }))
	}
	for range ids {
		require.NoError(t, <-acked)
	}
}

// The table for people agrees with the test.
func TestInteropTable(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join(interopDir, "README.md"))
	require.NoError(t, err)
	table := interopTable(nil)
	assert.True(t, strings.Contains(string(readme), table), "testdata/interop/README.md should have this table:\n%s", table)
}

// interopTable returns the table in Markdown. It ends with the time that each client took, if
// known.
func interopTable(took []string) string {
	b := new(strings.Builder)
	row := func(cells ...string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }
	head := []string{"client", "version", "language", "logs in", "sends", "upstream", "nack", "receipt", "drain", "remarks"}
	if took != nil {
		head = append(head, "took")
	}
	row(head...)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for i, c := range interopClients {
		version := c.version
		if version == "" {
			version = "Debian's"
		}
		drain := "sees the end"
		if c.moves {
			drain = "moves"
		}
		cells := []string{c.name, version, c.language, "yes", fmt.Sprint(c.window, " in flight"), "yes", "yes", "yes", drain, c.remarks}
		if took != nil {
			cells = append(cells, took[i])
		}
		row(cells...)
	}
	return b.String()
}
