package ccstest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"openccs/ccs/ccstest"
	"openccs/ccs/mcsclient"
)

// An unmodified XMPP library that is not ours, in a process of its own, keeps a thousand messages in flight:
// each of ten thousand is answered once, and the device gets them all, in order. (make interop runs this
// library and others through everything else.)
func TestUnmodifiedGoXMPP(t *testing.T) {
	t.Parallel()
	const total = 10_000
	bin := filepath.Join(t.TempDir(), "xmppo")
	build := exec.Command("go", "build", "-o", bin, "./xmppo")
	build.Dir = filepath.Join("..", "..", "testdata", "interop")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)

	s := ccstest.Start(t, ccstest.Disk)
	d := s.Enrol("com.example.app")
	in := newInbox[string]()
	s.Connect(d, mcsclient.Options{OnMessage: func(m *mcsclient.Message) {
		n, _ := m.Get("n")
		in.add(n)
	}})
	run := exec.Command(bin, "--addr", s.XMPPAddr(), "--ca", s.CAFile(), "--sender", s.Sender, "--key", s.Key,
		"--token", d.Token, "--count", "10000", "--window", "1000")
	run.Stderr = os.Stderr
	stdout, err := run.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, run.Start())
	assert.Equal(t, numbers(total), in.wait(t, total)[:total], "all received in order, once each; the last words of the program follow")
	require.NoError(t, s.Drain(t.Context()))
	var got struct {
		Acked    int    `json:"acked"`
		Nack     string `json:"nack"`
		Repeated int    `json:"repeated"`
		Errors   int    `json:"errors"`
	}
	require.NoError(t, json.NewDecoder(stdout).Decode(&got))
	require.NoError(t, run.Wait())
	t.Logf("go-xmpp: %+v", got)
	assert.Equal(t, total, got.Acked)
	assert.Zero(t, got.Repeated)
	assert.Zero(t, got.Errors)
}
