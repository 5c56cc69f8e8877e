package ccstest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// goXMPP is an app server by other authors, in its own process. It keeps a thousand messages in
// flight.
type goXMPP struct {
	Acked    int    `json:"acked"`
	Nack     string `json:"nack"`
	Repeated int    `json:"repeated"`
	Errors   int    `json:"errors"`
}

// buildProgram builds a program of testdata/interop and returns its path.
func buildProgram(t *testing.T, name string) (bin string) {
	t.Helper()
	bin = filepath.Join(t.TempDir(), name)
	build := exec.Command("go", "build", "-o", bin, "./"+name)
	build.Dir = filepath.Join("..", "..", "testdata", "interop")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return bin
}

// runGoXMPP starts it on a node, to send to a device. The result comes after the node was drained.
func runGoXMPP(t *testing.T, bin string, s *ccstest.Server, token string, total int) <-chan goXMPP {
	t.Helper()
	run := exec.Command(bin, "--addr", s.XMPPAddr(), "--ca", s.CAFile(), "--sender", s.Sender, "--key", s.Key,
		"--token", token, "--count", fmt.Sprint(total), "--window", "1000")
	run.Stderr = os.Stderr
	stdout, err := run.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, run.Start())
	result := make(chan goXMPP, 1)
	go func() {
		var got goXMPP
		assert.NoError(t, json.NewDecoder(stdout).Decode(&got))
		assert.NoError(t, run.Wait())
		result <- got
	}()
	return result
}

// countTo connects a device and collects the numbers in its messages.
func countTo(s *ccstest.Server, d *ccstest.Device) *inbox[string] {
	in := newInbox[string]()
	s.Connect(d, mcsclient.Options{OnMessage: func(m *mcsclient.Message) {
		n, _ := m.Get("n")
		in.add(n)
	}})
	return in
}

// An unmodified XMPP library of other authors keeps a thousand messages in flight. Each of ten
// thousand is answered once, and the device gets all of them in order. make interop tests other
// features with this library and others.
func TestUnmodifiedGoXMPP(t *testing.T) {
	t.Parallel()
	const total = 10_000
	s := ccstest.Start(t, ccstest.Disk)
	d := s.Enrol("com.example.app")
	in := countTo(s, d)
	result := runGoXMPP(t, buildProgram(t, "xmppo"), s, d.Token, total)
	assert.Equal(t, numbers(total), in.wait(t, total)[:total], "all received in order, once each; the last words of the program follow")
	require.NoError(t, s.Drain(t.Context()))
	got := <-result
	t.Logf("go-xmpp: %+v", got)
	assert.Equal(t, goXMPP{Acked: total, Nack: got.Nack}, got)
}

// Two nodes share one Redis. Each has such an app server and the device that the other node's app
// server sends to.
func TestUnmodifiedGoXMPPOnTwoNodes(t *testing.T) {
	t.Parallel()
	const total = 5000
	bin := buildProgram(t, "xmppo")
	a := ccstest.Start(t, ccstest.Store(redistest.Single(t).URL("")))
	nodes := []*ccstest.Server{a, a.Another()}
	var inboxes []*inbox[string]
	var results []<-chan goXMPP
	for i, s := range nodes {
		other := nodes[1-i]
		d := other.Enrol("com.example.app")
		inboxes = append(inboxes, countTo(other, d))
		results = append(results, runGoXMPP(t, bin, s, d.Token, total))
	}
	for i, in := range inboxes {
		assert.Equal(t, numbers(total), in.wait(t, total)[:total], "node %d", i)
	}
	for i, s := range nodes {
		require.NoError(t, s.Drain(t.Context()))
		got := <-results[i]
		t.Logf("go-xmpp on node %d: %+v", i, got)
		assert.Equal(t, goXMPP{Acked: total, Nack: got.Nack}, got)
	}
}
