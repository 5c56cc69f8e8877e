//go:build e2e

package ccstest_test

import (
	"bytes"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccstest"
)

const (
	extensionDir = "../../testdata/e2e/extension"
	// exitTimeout bounds how long processes take to end and to close their output.
	exitTimeout = 10 * time.Second
	// lastWords is how many bytes of a program's output a failed test shows.
	lastWords = 4 << 10
)

// browser is an installation of Chromium with our extension. Its profile outlives its processes.
type browser struct {
	t    *testing.T
	home string
	args []string

	*worker // nil while the browser is off

	// These belong to the process.
	process  *exec.Cmd
	output   *bytes.Buffer // read it after the process has ended
	commands *os.File
	read     chan struct{} // closed at the end of the output
}

// newBrowser makes a profile that trusts the server's CA, as if a user had imported it. Chromium's
// own switches point its GCM at the server (DEV 13). All connections use TLS with verification.
func newBrowser(t *testing.T, s *ccstest.Server) *browser {
	t.Helper()
	b := &browser{t: t, home: t.TempDir()}
	trust := exec.Command("sh", "-ec", recipe(t, "chromium.md", "sh"))
	trust.Dir, trust.Env = t.TempDir(), append(os.Environ(), "HOME="+b.home)
	require.NoError(t, os.Symlink(s.Dir(), filepath.Join(trust.Dir, "data")))
	out, err := trust.CombinedOutput()
	require.NoError(t, err, "make e2e installs certutil\n%s", out)
	extension, err := filepath.Abs(extensionDir)
	require.NoError(t, err)
	web, err := url.Parse(s.HTTPURL())
	require.NoError(t, err)
	_, mcs, err := net.SplitHostPort(s.MCSAddr())
	require.NoError(t, err)
	b.args = []string{
		"--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--user-data-dir=" + filepath.Join(b.home, "profile"),
		"--no-first-run", "--disable-component-update", "--disable-sync", "--disable-quic", "--load-extension=" + extension,
		"--gcm-checkin-url=https://localhost:" + web.Port() + "/checkin",
		"--gcm-registration-url=https://localhost:" + web.Port() + "/c2dm/register3",
		"--gcm-mcs-endpoint=https://localhost:" + mcs,
	}
	t.Cleanup(b.kill)
	return b
}

// start starts the browser and waits for its extension.
func (b *browser) start() {
	b.t.Helper()
	require.Nil(b.t, b.worker, "it runs")
	theirIn, commands, err := os.Pipe()
	require.NoError(b.t, err)
	defer theirIn.Close()
	answers, theirOut, err := os.Pipe()
	require.NoError(b.t, err)
	defer theirOut.Close()
	b.worker, b.commands, b.output, b.read = newWorker(b.t, newDevtools(commands)), commands, new(bytes.Buffer), make(chan struct{})

	b.process = exec.Command("chromium", b.args...)
	b.process.Env = append(os.Environ(), "HOME="+b.home)
	// They become 3 and 4, as --remote-debugging-pipe needs.
	b.process.ExtraFiles = []*os.File{theirIn, theirOut}
	b.process.Stdout, b.process.Stderr = b.output, b.output
	b.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that kill ends all its processes
	b.process.WaitDelay = exitTimeout
	err = b.process.Start()
	go func(w *worker, read chan struct{}) {
		defer close(read)
		defer answers.Close()
		w.devtools.read(answers, w.onEvent)
	}(b.worker, b.read)
	require.NoError(b.t, err, "make e2e installs Chromium")
	theirIn.Close()
	theirOut.Close()
	b.attach()
}

// kill ends the browser as a crash would. When it returns, all processes of the browser have ended.
func (b *browser) kill() {
	if b.worker == nil {
		return
	}
	b.worker = nil
	if b.process.Process != nil {
		assert.NoError(b.t, syscall.Kill(-b.process.Process.Pid, syscall.SIGKILL))
		b.process.Wait() // reports the kill
	}
	b.commands.Close()
	<-b.read
	if b.t.Failed() {
		b.t.Logf("Chromium's last words:\n%s", tail(b.output.Bytes(), lastWords))
	}
}

// tail returns the last n bytes of b.
func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }
