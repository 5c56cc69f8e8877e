//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/stanza"
)

// serveWithFiles runs the program as a child with a limit of open files.
func serveWithFiles(t *testing.T, limit int, dir string, args ...string) (child *exec.Cmd, stderr *lines, r ready) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	args = append([]string{
		"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, limit), os.Args[0], "serve", "--data", dir, "--xmpp-listen", "127.0.0.1:0",
		"--mcs-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ready-file", file,
	}, args...)
	child = exec.CommandContext(t.Context(), "sh", args...)
	child.Env = append(os.Environ(), asProgram+"=1")
	stderr = &lines{}
	child.Stderr = stderr
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		if t.Failed() {
			s := stderr.String()
			t.Logf("stderr:\n%s", s[:min(len(s), 8<<10)])
		}
	})
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(b, &r) == nil
	}, patience, 10*time.Millisecond)
	return child, stderr, r
}

// Silent connections take all places, and nothing else suffers: the store begins new logs, and
// commands are answered.
func TestConnectionsLeaveFilesToTheStoreAndToCommands(t *testing.T) {
	const (
		limit    = 200
		silent   = 400
		messages = 3000
		size     = 3500
	)
	dir := t.TempDir()
	child, stderr, r := serveWithFiles(t, limit, dir)
	var device struct {
		Token string
		mcsclient.Identity
	}
	made := ccs(t, "device", "--data", dir, "--register-only", "--json")
	require.Equal(t, exitDone, made.code, made.stderr)
	require.NoError(t, json.Unmarshal([]byte(made.stdout), &device))
	c, err := card.Read(dir)
	require.NoError(t, err)
	trust, err := clientTLS(c.CAFile)
	require.NoError(t, err)
	delivered, connected := make(chan struct{}, messages), make(chan struct{}, 1)
	d := mcsclient.NewDevice(r.MCS, device.Identity, mcsclient.DeviceOptions{
		Options:   mcsclient.Options{TLS: trust, OnMessage: func(*mcsclient.Message) { delivered <- struct{}{} }},
		OnConnect: func() { connected <- struct{}{} },
	})
	go d.Run(t.Context())
	<-connected
	client, err := ccsclient.Dial(t.Context(), r.XMPP, c.SenderID, c.APIKey, ccsclient.Options{TLS: trust})
	require.NoError(t, err)
	defer client.Close()

	logs := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "store", "*.log"))
		require.NoError(t, err)
		return names
	}
	before := logs()
	for i := range silent {
		nc, err := net.Dial("tcp", []string{r.XMPP, r.MCS}[i%2])
		require.NoError(t, err)
		defer nc.Close()
	}
	var answers sync.WaitGroup
	refused := make(chan error, messages)
	for i := range messages {
		text := make([]byte, size)
		for i := range text {
			text[i] = byte('a' + rand.IntN(26))
		}
		answers.Add(1)
		m := &ccsclient.Message{To: device.Token, MessageID: fmt.Sprint(i), TTL: time.Hour, Object: stanza.Object(fmt.Sprintf(`{"text":%q}`, text))}
		err := client.Send(t.Context(), m, func(r ccsclient.Reply) {
			if r.Err != nil {
				refused <- r.Err
			}
			answers.Done()
		})
		require.NoError(t, err)
	}
	answers.Wait()
	if len(refused) > 0 {
		require.NoError(t, <-refused)
	}
	got := ccs(t, "project", "list", "--data", dir, "--json")
	require.Equal(t, exitDone, got.code, got.stderr)
	for range messages {
		<-delivered
	}
	assert.NotSubset(t, before, logs(), "the store has begun new logs")

	require.NoError(t, child.Process.Signal(syscall.SIGTERM))
	assert.NoError(t, child.Wait())
	said := stderr.String()
	assert.Contains(t, said, `"open_files":200`)
	assert.Equal(t, 1, strings.Count(said, "connections refused: too many"))
	assert.Less(t, strings.Count(said, "\n"), 300)
}

func TestMoreConnectionsThanFilesAreRefusedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ files, flag, want string }{
		{"200", "--max-conns=500", `--max-conns "500": the process may open 200 files and needs 146 of them for other things; raise the limit to`},
		{"50", "--no-first-project", "ccs: the process may open 50 files and needs 146 of them for other things than connections; " +
			"raise the limit to 162 at least, with ulimit -n or LimitNOFILE= of systemd\n"},
	} {
		child := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -n `+tt.files+` && exec "$0" "$@"`, os.Args[0], "serve", "--data", dir, tt.flag)
		child.Env = append(os.Environ(), asProgram+"=1")
		out, err := child.CombinedOutput()
		require.Error(t, err)
		assert.Equal(t, exitUsage, child.ProcessState.ExitCode())
		assert.Contains(t, string(out), tt.want)
	}
}
