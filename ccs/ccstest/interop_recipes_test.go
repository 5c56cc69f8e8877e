//go:build interop

package ccstest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// TestInteropRecipes runs the programs of ccs/docs/clients. Each sends one message, prints its ack,
// prints and acknowledges an upstream message, and ends.
func TestInteropRecipes(t *testing.T) {
	requireInteropTools(t)
	for _, row := range []struct {
		page, language, file string
		command              []string // in the directory of the file
	}{
		{"python.md", "python", "recipe.py", []string{debianPython, "recipe.py"}},
		{"node.md", "js", "recipe.mjs", []string{"node", "recipe.mjs"}},
		{"go.md", "go", "main.go", []string{"go", "run", "main.go"}},
		{"java.md", "java", "AppServer.java", []string{
			"java", "-Djavax.net.ssl.trustStore=ccs-trust.p12", "-Djavax.net.ssl.trustStorePassword=changeit", "AppServer.java",
		}},
	} {
		t.Run(row.page, func(t *testing.T) {
			t.Parallel()
			s := ccstest.Start(t)
			d := s.Enrol("com.example.app")
			in := newInbox[string]()
			dev := s.Connect(d, mcsclient.Options{OnMessage: func(m *mcsclient.Message) {
				greeting, _ := m.Get("greeting")
				in.add(greeting)
			}})
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, row.file), []byte(recipe(t, row.page, row.language)), 0o600))
			env := append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
				// go-xmpp would use it even for loopback.
				return strings.HasPrefix(strings.ToLower(kv), "http_proxy=")
			}), "CCS_XMPP="+s.XMPPAddr(), "CCS_CA="+s.CAFile(), "CCS_SENDER="+s.Sender, "CCS_KEY="+s.Key, "TOKEN="+d.Token,
				"NODE_EXTRA_CA_CERTS="+s.CAFile(), "PYTHONDONTWRITEBYTECODE=1")
			ctx, cancel := context.WithTimeout(t.Context(), interopTimeout)
			defer cancel()
			command := slices.Clone(row.command)
			run := func(args ...string) *exec.Cmd {
				cmd := exec.CommandContext(ctx, args[0], args[1:]...)
				cmd.Dir, cmd.Env = dir, env
				return cmd
			}
			switch row.language {
			case "js":
				modules, err := filepath.Abs(interopDir + "/node/node_modules")
				require.NoError(t, err)
				require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))
			case "go":
				// The recipe uses the library of the other programs' module.
				build := run("go", "build", "-o", dir+"/recipe", filepath.Join(dir, "main.go"))
				build.Dir = interopDir
				out, err := build.CombinedOutput()
				require.NoError(t, err, "%s", out)
				command = []string{dir + "/recipe"}
			case "java":
				out, err := run("sh", "-c", recipe(t, row.page, "sh")).CombinedOutput()
				require.NoError(t, err, "%s", out)
			}

			var out, errs strings.Builder
			cmd := run(command...)
			cmd.Stdout, cmd.Stderr = &out, &errs
			require.NoError(t, cmd.Start())
			exited := make(chan error, 1)
			go func() { exited <- cmd.Wait() }()
			require.Equal(t, []string{"hello"}, in.wait(t, 1))
			require.NoError(t, dev.Send(ctx, &mcsclient.Upstream{
				ID: "u-1", To: s.Sender, Category: "com.example.app", Data: []mcsclient.Pair{{Key: "text", Value: "hi"}}, TTL: time.Hour,
			}, nil))
			require.NoError(t, <-exited, "%s", &errs)
			assert.Contains(t, out.String(), "ack m-1")
			assert.Contains(t, out.String(), "upstream")
			assert.Contains(t, out.String(), "hi")
		})
	}
}
