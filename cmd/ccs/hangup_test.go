package main

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ownProcess is a server in its own process.
type ownProcess struct {
	*exec.Cmd
	readyFile string
}

// startServer starts a server whose standard output and standard error are one pipe, and returns
// the end to read.
func startServer(t *testing.T) (*ownProcess, *os.File) {
	t.Helper()
	read, write, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { read.Close() })
	s := &ownProcess{readyFile: filepath.Join(t.TempDir(), "ready.json")}
	s.Cmd = exec.CommandContext(t.Context(), os.Args[0], "serve", "--data", t.TempDir(), "--store", "memory:",
		"--xmpp-listen", "127.0.0.1:0", "--mcs-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ready-file", s.readyFile)
	s.Env = append(os.Environ(), asProgram+"=1")
	s.Stdout, s.Stderr = write, write
	require.NoError(t, s.Start())
	write.Close()
	return s, read
}

// ready waits until the server accepts.
func (s *ownProcess) ready(t *testing.T) (r ready) {
	t.Helper()
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(s.readyFile)
		return err == nil && json.Unmarshal(b, &r) == nil
	}, patience, time.Millisecond, "the server is ready")
	return r
}

// provoke makes the server log a line, because a peer speaks no TLS. It returns after the server
// has closed the connection.
func provoke(t *testing.T, addr string) {
	t.Helper()
	peer, err := net.Dial("tcp", addr)
	require.NoError(t, err, "the server accepts")
	defer peer.Close()
	_, err = peer.Write([]byte("no handshake\n"))
	require.NoError(t, err)
	peer.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, 100); err == nil; {
		_, err = peer.Read(buf)
	}
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// end tells the server to end, and checks that it did so in order.
func (s *ownProcess) end(t *testing.T) {
	t.Helper()
	require.NoError(t, s.Process.Signal(syscall.SIGTERM))
	assert.NoError(t, s.Wait(), "it ends with exit code 0")
	assert.NoFileExists(t, s.readyFile)
}

func TestAServerOutlivesTheReaderOfItsOutput(t *testing.T) {
	t.Run("one that reads a line", func(t *testing.T) {
		s, output := startServer(t)
		_, err := bufio.NewReader(output).ReadString('\n')
		require.NoError(t, err)
		r := s.ready(t)
		require.NoError(t, output.Close())
		for range 3 {
			provoke(t, r.XMPP)
		}
		s.end(t)
	})
	t.Run("one that reads nothing", func(t *testing.T) {
		s, output := startServer(t)
		require.NoError(t, output.Close())
		provoke(t, s.ready(t).XMPP)
		s.end(t)
	})
}

func TestAServerOutlivesItsTerminal(t *testing.T) {
	s, output := startServer(t)
	log := bufio.NewScanner(output)
	r := s.ready(t)
	require.NoError(t, s.Process.Signal(syscall.SIGHUP))
	for log.Scan() {
		if line := log.Text(); line != "" && line[0] == '{' && fields(t, line)["msg"] == "SIGHUP ignored: there is nothing to reload" {
			break
		}
	}
	assert.FileExists(t, s.readyFile)
	provoke(t, r.XMPP)
	s.end(t)
}
