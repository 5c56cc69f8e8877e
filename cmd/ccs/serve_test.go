package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card"
)

// command is a command that runs beside the test.
type command struct {
	stop   context.CancelFunc // has the effect of SIGTERM
	stdout *lines
	stderr *lines
	code   chan int
}

// background runs a command until stop, or until the test ends.
func background(t *testing.T, args ...string) *command {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &command{stop: stop, stdout: &lines{}, stderr: &lines{}, code: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.code <- run(ctx, "ccs", args, c.stdout, c.stderr)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if t.Failed() {
			t.Logf("ccs %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), c.stdout, c.stderr)
		}
	})
	return c
}

// end stops the command and returns its exit code.
func (c *command) end(t *testing.T) int {
	t.Helper()
	c.stop()
	return c.wait(t)
}

// wait returns the exit code of a command that ends by itself.
func (c *command) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-c.code:
		return code
	case <-time.After(patience):
		require.Fail(t, "the command does not end", "stdout:\n%s\nstderr:\n%s", c.stdout, c.stderr)
		return 0
	}
}

// patience is how long a test waits for an expected event.
const patience = 30 * time.Second

// lines collects the output of a command.
type lines struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// waitFor waits for the first line that contains a text, and returns it.
func (l *lines) waitFor(t *testing.T, text string) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		l.mu.Lock()
		have := l.b.String()
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		for line := range strings.Lines(have) {
			if strings.Contains(line, text) && strings.HasSuffix(line, "\n") {
				return strings.TrimSuffix(line, "\n")
			}
		}
		select {
		case <-changed:
		case <-timeout:
			require.Fail(t, "not printed", "%q is not in:\n%s", text, have)
		}
	}
}

// serve runs a server on any ports and returns the contents of its ready file.
func serve(t *testing.T, dir string, args ...string) (*command, ready) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	t.Cleanup(func() { assert.NoFileExists(t, file, "it goes when the server ends") })
	args = append([]string{
		"serve", "--data", dir, "--xmpp-listen", "127.0.0.1:0", "--mcs-listen", "127.0.0.1:0",
		"--http-listen", "127.0.0.1:0", "--ready-file", file, "--log-level", "error",
	}, args...)
	c := background(t, args...)
	c.stdout.waitFor(t, "ccs listen")
	var r ready
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(b, &r) == nil
	}, patience, time.Millisecond)
	return c, r
}

func TestServeTellsPeopleAndScripts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c, r := serve(t, dir)
	k, err := card.Read(dir)
	require.NoError(t, err)
	assert.Equal(t, ready{XMPP: k.XMPP, MCS: k.MCS, HTTP: k.HTTP, CAFile: k.CAFile, PID: os.Getpid()}, r)
	assert.FileExists(t, r.CAFile)
	for _, addr := range []string{r.XMPP, r.MCS, strings.TrimPrefix(r.HTTP, "https://")} {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err, "the listener accepts")
		require.NoError(t, conn.Close())
	}
	for _, part := range []string{r.XMPP, r.MCS, r.HTTP, k.SenderID, "in " + card.Path(dir), r.CAFile, "ccs device --data " + dir, "ccs send --data " + dir + " TOKEN key=value"} {
		assert.Contains(t, c.stdout.String(), part)
	}
	assert.NotContains(t, c.stdout.String(), k.APIKey, "nobody but a person at a terminal may read it there")
	assert.Equal(t, exitDone, c.end(t), "to be told to end is to succeed")
}

func TestALaterStartUsesTheSameAgain(t *testing.T) {
	dir := t.TempDir()
	c, r := serve(t, dir)
	first, err := card.Read(dir)
	require.NoError(t, err)
	ca, err := os.ReadFile(r.CAFile)
	require.NoError(t, err)
	require.Equal(t, exitDone, c.end(t))

	_, r = serve(t, dir)
	second, err := card.Read(dir)
	require.NoError(t, err)
	again, err := os.ReadFile(r.CAFile)
	require.NoError(t, err)
	assert.Equal(t, first.SenderID, second.SenderID)
	assert.Equal(t, first.APIKey, second.APIKey)
	assert.Equal(t, ca, again)
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	dir := t.TempDir()
	_, r := serve(t, dir)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	tests := []struct {
		name   string
		args   []string
		stderr []string
	}{
		{name: "a second server on the directory", args: []string{"--data", dir, "--xmpp-listen", "127.0.0.1:0"}, stderr: []string{dir, "another"}},
		{name: "a busy port", args: []string{"--data", t.TempDir(), "--xmpp-listen", r.XMPP}, stderr: []string{"--xmpp-listen", r.XMPP, "in use"}},
		{name: "a data directory that is none", args: []string{"--data", file, "--xmpp-listen", "127.0.0.1:0"}, stderr: []string{"--data", file}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"serve", "--mcs-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"}, tt.args...)
			c := background(t, args...)
			assert.Equal(t, exitFailed, c.wait(t))
			for _, part := range tt.stderr {
				assert.Contains(t, c.stderr.String(), part)
			}
		})
	}
}

func TestProjectsWhileTheServerRuns(t *testing.T) {
	dir := t.TempDir()
	c, _ := serve(t, dir)
	got := ccs(t, "project", "create", "--sender-id", "4711", "--data", dir)
	require.Equal(t, exitDone, got.code, got.stderr)
	require.Equal(t, exitDone, c.end(t))

	got = ccs(t, "project", "list", "--data", dir)
	require.Equal(t, exitDone, got.code, got.stderr)
	assert.Contains(t, got.stdout, "4711", "it is in the store")
}

// A zero that would silently become the default is refused; TCP keep-alive may be off.
func TestZeroIsNotTheDefault(t *testing.T) {
	for flag, mend := range map[string]string{
		"window":                  "leave it out for the profile's",
		"upstream-window":         "leave it out for the profile's",
		"sender-backlog":          "leave it out for the profile's",
		"device-backlog":          "leave it out for the default",
		"max-conns":               "leave it out for as many as the process may have open files for",
		"new-devices-per-address": "leave it out for the default; --trusted-networks has no limit",
		"http-rate":               "leave it out for the default; --trusted-networks has no limit",
	} {
		got := ccs(t, "serve", "--data", t.TempDir(), "--"+flag+"=0", "--xmpp-listen=nowhere")
		assert.Equal(t, exitUsage, got.code, flag)
		assert.Contains(t, got.stderr, "--"+flag+` "0": must be above zero; `+mend)
		assert.Contains(t, got.stderr, "--xmpp-listen", "other mistakes are reported too")
	}
	got := ccs(t, "serve", "--data", t.TempDir(), "--mcs-keepalive=0", "--xmpp-listen=nowhere")
	assert.NotContains(t, got.stderr, "--mcs-keepalive")
	assert.Contains(t, strings.Join(strings.Fields(ccs(t, "serve", "--help").stdout), " "), "0 for no probes")
}
