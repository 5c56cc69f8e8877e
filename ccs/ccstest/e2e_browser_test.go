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
	// exitTimeout is for processes to end, and to let go of their output.
	exitTimeout = 10 * time.Second
	// lastWords is how much of a program's output a failed test shows.
	lastWords = 4 << 10
)

// browser is an installation of Chromium with our extension: a profile, which outlives its processes.
type browser struct {
	t    *testing.T
	home string
	args []string

	*worker // nil while the browser is off

	// Of the process.
	process  *exec.Cmd
	output   *bytes.Buffer // to be read when it has ended
	commands *os.File
	read     chan struct{} // closed when nothing more comes
}

// newBrowser makes a profile that trusts the server's CA, as that of a user who has imported it does, and points
// Chromium's GCM at the server by its own switches (DEV 13). All of it goes over TLS and is verified.
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
	b.process.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as --remote-debugging-pipe has it
	b.process.Stdout, b.process.Stderr = b.output, b.output
	b.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that kill gets all of it
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

// kill ends the browser as a crash would. When it returns, all its processes have ended.
func (b *browser) kill() {
	if b.worker == nil {
		return
	}
	b.worker = nil
	if b.process.Process != nil {
		assert.NoError(b.t, syscall.Kill(-b.process.Process.Pid, syscall.SIGKILL))
		b.process.Wait() // says that it was killed
	}
	b.commands.Close()
	<-b.read
	if b.t.Failed() {
		b.t.Logf("Chromium's last words:\n%s", tail(b.output.Bytes(), lastWords))
	}
}

// tail is the end of b, at most n bytes.
func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }
