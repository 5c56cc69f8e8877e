package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asProgram is an environment variable that makes the test binary the program itself.
const asProgram = "OPENCCS_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		breakStore(os.Getenv(storeBreaks))
		main()
	}
	for _, v := range os.Environ() { // the settings of the machine's user are not tested
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "CCS_") || name == "COLUMNS" {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// result is the result of a command.
type result struct {
	code           int
	stdout, stderr string
}

// ccs runs the program to its end.
func ccs(t *testing.T, args ...string) result {
	t.Helper()
	return ccsUntil(t.Context(), args...)
}

func ccsUntil(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(ctx, "ccs", args, &stdout, &stderr)
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

func TestExitCodes(t *testing.T) {
	empty := t.TempDir()
	tests := []struct {
		name   string
		args   []string
		code   int
		stderr []string
	}{
		{name: "version works", args: []string{"version"}, code: exitDone},
		{name: "help works", args: []string{"--help"}, code: exitDone},
		{name: "no command", code: exitUsage, stderr: []string{"ccs: expected one of", "ccs: hint: ccs --help"}},
		{name: "an unknown command", args: []string{"fly"}, code: exitUsage, stderr: []string{"fly"}},
		{name: "an unknown flag", args: []string{"send", "T", "--fly"}, code: exitUsage, stderr: []string{"--fly", "ccs send --help"}},
		{name: "a missing argument", args: []string{"send"}, code: exitUsage, stderr: []string{"<token>"}},
		{name: "a word that is no pair", args: []string{"send", "T", "greeting"}, code: exitUsage, stderr: []string{`"greeting" is no key=value`}},
		{name: "a key that comes twice", args: []string{"send", "T", "a=1", "a=2"}, code: exitUsage, stderr: []string{`"a"`}},
		{name: "a count of nothing", args: []string{"send", "T", "--count", "0"}, code: exitUsage, stderr: []string{"--count 0"}},
		{name: "two mistakes are reported at once", args: []string{"send", "T", "--count", "0", "--ttl=-1"}, code: exitUsage, stderr: []string{"--count 0", "--ttl -1"}},
		{name: "a priority that is none", args: []string{"send", "T", "--priority", "urgent"}, code: exitUsage, stderr: []string{"--priority", "urgent"}},
		{name: "pairs without --send", args: []string{"device", "a=1"}, code: exitUsage, stderr: []string{"--send"}},
		{name: "no card", args: []string{"send", "T", "--data", empty}, code: exitFailed, stderr: []string{"no connection card", "ccs serve --data " + empty}},
		{name: "no data directory", args: []string{"project", "list", "--data", empty + "/absent"}, code: exitFailed, stderr: []string{"absent", "hint"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ccs(t, tt.args...)
			assert.Equal(t, tt.code, got.code, got.stderr)
			for _, part := range tt.stderr {
				assert.Contains(t, got.stderr, part)
			}
			if tt.code != exitDone {
				assert.Empty(t, got.stdout, "what is no result goes to stderr")
			}
			for line := range strings.Lines(got.stderr) {
				assert.True(t, strings.HasPrefix(line, "ccs: "), line)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	assert.Contains(t, ccs(t, "version").stdout, "ccs dev (go")

	var got map[string]string
	require.NoError(t, json.Unmarshal([]byte(ccs(t, "version", "--json").stdout), &got))
	assert.Equal(t, "dev", got["version"])
}

func TestEveryCommandShowsExamples(t *testing.T) {
	for _, command := range commands(t) {
		got := ccs(t, append(command, "--help")...)
		assert.Equal(t, exitDone, got.code)
		assert.Contains(t, got.stdout, "Examples:\n\n    ccs "+strings.Join(command, " "), "%v", command)
	}
}

func TestServeHelpShowsDefaults(t *testing.T) {
	help := strings.Join(strings.Fields(ccs(t, "serve", "--help").stdout), " ")
	for _, part := range []string{
		"Default: data. [$CCS_DATA]", "Default: disk:.", "Default: 127.0.0.1:5235.", "Default: 127.0.0.1:5228.",
		"Default: 127.0.0.1:8443.", "Default: gcm.googleapis.com.", "Default: 10000. [$CCS_DEVICE_BACKLOG]", "Default: 5s. [$CCS_NODE_HEARTBEAT]", "Default: info.",
	} {
		assert.Contains(t, help, part)
	}
}

func TestSignalsEndTheProgram(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ready.json")
			program := exec.CommandContext(t.Context(), os.Args[0], "serve", "--data", t.TempDir(), "--store", "memory:",
				"--xmpp-listen", "127.0.0.1:0", "--mcs-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ready-file", file)
			program.Env = append(os.Environ(), asProgram+"=1")
			require.NoError(t, program.Start())
			require.Eventually(t, func() bool {
				_, err := os.Stat(file)
				return err == nil
			}, patience, time.Millisecond)
			second := exec.CommandContext(t.Context(), os.Args[0], "serve", "--data", program.Args[3], "--store", "memory:",
				"--xmpp-listen", "127.0.0.1:0", "--mcs-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--ready-file", file)
			second.Env = program.Env
			assert.Error(t, second.Run(), "a second server on the directory is refused")
			assert.FileExists(t, file, "and leaves the ready file of the first alone")
			require.NoError(t, program.Process.Signal(signal))
			assert.NoError(t, program.Wait(), "it ends with exit code 0")
			assert.NoFileExists(t, file)
		})
	}
}

func TestAReadyFileOfAKilledServerIsRemoved(t *testing.T) {
	dead := exec.Command("true")
	require.NoError(t, dead.Run())
	file := filepath.Join(t.TempDir(), "ready.json")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `{"pid":%d}`, dead.Process.Pid), 0o600))
	// The command fails: the data directory is a file.
	got := ccs(t, "serve", "--data", file, "--ready-file", file)
	assert.Equal(t, exitFailed, got.code)
	assert.NoFileExists(t, file)
}

// The server must remove its ready file, but no other file.
func TestAReadyFileThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"sender_id":"1"}`), 0o600))
	// The command would fail: the data directory is a file.
	got := ccs(t, "serve", "--data", file, "--ready-file", file)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.stderr, "no server has written")
	assert.FileExists(t, file)

	data := filepath.Join(t.TempDir(), "data")
	got = ccs(t, "serve", "--data", data, "--ready-file", filepath.Join(t.TempDir(), "absent", "ready.json"))
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, "--ready-file")
	assert.NoDirExists(t, data, "it is found before the server starts")
}

// commands lists all commands, as words.
func commands(t *testing.T) [][]string {
	t.Helper()
	parser, err := newParser(&cli{})
	require.NoError(t, err)
	var list [][]string
	for _, n := range parser.Model.Leaves(true) {
		list = append(list, strings.Fields(strings.TrimPrefix(commandPath(n), "ccs ")))
	}
	require.NotEmpty(t, list)
	return list
}

func commandPath(n *kong.Node) string {
	if n.Parent == nil {
		return n.Name
	}
	return commandPath(n.Parent) + " " + n.Name
}
