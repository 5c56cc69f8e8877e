//go:build interop

package ccstest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/server"
)

const (
	interopDir = "../../testdata/interop"
	// debianPython is the Python of Debian's packages; PATH may lead to another.
	debianPython = "/usr/bin/python3"
	// interopTimeout bounds a program. It should take seconds.
	interopTimeout = 2 * time.Minute
)

// requireInteropTools fails if a tool is missing, and says how to get it. A skipped test would look
// like a passed one.
func requireInteropTools(t *testing.T) {
	t.Helper()
	var missing []string
	for _, check := range [][]string{
		{debianPython, "-c", "import slixmpp"},
		{debianPython, "-c", "import aioxmpp"},
		{"node", "-e", "require('./node/node_modules/node-xcs/package.json'), require('./node/node_modules/@xmpp/client/package.json'), require('./node/node_modules/node-gcm/package.json')"},
		{"curl", "--version"},
		{"java", "-version"},
		{"keytool", "-help"},
		unshare("true"),
	} {
		cmd := exec.Command(check[0], check[1:]...)
		cmd.Dir = interopDir
		if out, err := cmd.CombinedOutput(); err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v\n%s", strings.Join(check, " "), err, out))
		}
	}
	require.Empty(t, missing, "tools are missing: make interop installs them")
}

// buildInterop builds the programs in Go and returns their directory.
func buildInterop(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+"/", "./...")
	build.Dir = interopDir
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return dir
}

// atOwnAddress is for clients with a fixed port.
func atOwnAddress(c *server.Config) {
	c.XMPPListen, c.XMPPTestListen = ownAddress+":5235", ownAddress+":5236"
}

// interopProgram is a running program.
type interopProgram struct {
	t      *testing.T
	exited chan error
	out    bytes.Buffer // read it after the program has ended
	err    bytes.Buffer
}

func startInterop(t *testing.T, c *interopClient, programs string, s *ccstest.Server, d *ccstest.Device) *interopProgram {
	t.Helper()
	argv := slices.Clone(c.program)
	if c.language == "Go" {
		argv[0] = filepath.Join(programs, argv[0])
	}
	argv = append(argv, "--addr", s.XMPPAddr(), "--ca", s.CAFile(), "--sender", s.Sender, "--key", s.Key, "--token", d.Token,
		"--count", strconv.Itoa(interopDown), "--upstream", strconv.Itoa(interopUp), "--window", strconv.Itoa(c.window), "--receipt")
	env := append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.CAFile(), "PYTHONDONTWRITEBYTECODE=1")
	if c.fixedHost {
		argv = withHosts(t, []string{"fcm-xmpp.googleapis.com"}, argv...)
		env = append(env, "SSL_CERT_FILE="+s.CAFile())
	}
	// go-xmpp would use a proxy even for loopback.
	env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(strings.ToLower(kv), "http_proxy=") })

	ctx, cancel := context.WithTimeout(context.Background(), interopTimeout)
	p := &interopProgram{t: t, exited: make(chan error, 1)}
	run := exec.CommandContext(ctx, argv[0], argv[1:]...)
	run.Dir, run.Env, run.Stdout, run.Stderr = interopDir, env, &p.out, &p.err
	require.NoError(t, run.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.exited <- run.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return p
}

// await waits for an effect of the program.
func (p *interopProgram) await(event <-chan struct{}, what string) {
	p.t.Helper()
	select {
	case <-event:
	case err := <-p.exited:
		require.FailNow(p.t, "the program did not "+what, "%v\n%s", err, p.err.String())
	}
}

// report waits for the program and reads what it printed.
func (p *interopProgram) report() (r interopReport) {
	p.t.Helper()
	require.NoError(p.t, <-p.exited, "%s", &p.err)
	in := json.NewDecoder(&p.out)
	in.DisallowUnknownFields()
	require.NoError(p.t, in.Decode(&r), "%s", &p.err)
	assert.False(p.t, in.More(), "one object is all it prints")
	return r
}
