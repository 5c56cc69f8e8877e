package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parse reads a command line without running it.
func parse(t *testing.T, args ...string) (*cli, error) {
	t.Helper()
	var c cli
	parser, err := newParser(&c)
	require.NoError(t, err)
	_, err = parser.Parse(args)
	return &c, err
}

func configAt(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ccs.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestTheNearestSettingWins(t *testing.T) {
	const file = "xmpp-listen: 127.0.0.1:3\n"
	tests := []struct {
		name            string
		flag, env, file string
		want            string
	}{
		{name: "the default, if nothing is set", want: "127.0.0.1:5235"},
		{name: "the file over the default", file: file, want: "127.0.0.1:3"},
		{name: "the environment over the file", env: "127.0.0.1:2", file: file, want: "127.0.0.1:2"},
		{name: "the flag over all", flag: "127.0.0.1:1", env: "127.0.0.1:2", file: file, want: "127.0.0.1:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"serve"}
			if tt.flag != "" {
				args = append(args, "--xmpp-listen", tt.flag)
			}
			if tt.env != "" {
				t.Setenv("CCS_XMPP_LISTEN", tt.env)
			}
			if tt.file != "" {
				args = append(args, "--config", configAt(t, tt.file))
			}
			c, err := parse(t, args...)
			require.NoError(t, err)
			assert.Equal(t, tt.want, c.Serve.XMPPListen)
		})
	}
}

func TestTheFileSaysWhatFlagsSay(t *testing.T) {
	t.Setenv("CCS_CONFIG", configAt(t, `
# numbers, durations, switches and lists
device-backlog: 77
drain-timeout: 1m30s
json: true
ttl: 60
send: [a=1, "b=x,y"]
`))
	c, err := parse(t, "serve")
	require.NoError(t, err)
	assert.Equal(t, 77, c.Serve.DeviceBacklog)
	assert.Equal(t, "1m30s", c.Serve.DrainTimeout.String())

	c, err = parse(t, "device")
	require.NoError(t, err)
	assert.True(t, c.Device.JSON)
	assert.Equal(t, 60, *c.Device.TTL)
	assert.Equal(t, []string{"a=1", "b=x,y"}, c.Device.Send)
}

func TestAFileThatCannotBeObeyed(t *testing.T) {
	tests := []struct {
		name, text string
		stderr     []string
	}{
		{name: "an unknown key", text: "xmpp-port: 5235", stderr: []string{`unknown key "xmpp-port"`, "names of flags"}},
		{name: "a key in another spelling", text: "xmpp_listen: :5235", stderr: []string{`did you mean "xmpp-listen"?`}},
		{name: "every mistake at once", text: "foo: 1\nbar: 2", stderr: []string{`"foo"`, `"bar"`}},
		{name: "a key without a value", text: "store:", stderr: []string{`key "store"`, "line 1"}},
		{name: "a key with keys", text: "store: {url: disk:}", stderr: []string{`key "store"`}},
		{name: "a list of lists", text: "send: [[a]]", stderr: []string{`key "send"`, "plain values"}},
		{name: "a key that comes twice", text: "store: a\nstore: b", stderr: []string{"already defined"}},
		{name: "help is no setting", text: "help: true", stderr: []string{`unknown key "help"`}},
		{name: "no YAML", text: "\t", stderr: []string{"ccs.yaml"}},
		{name: "a number that is none", text: "device-backlog: many", stderr: []string{"--device-backlog", "many"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ccs(t, "serve", "--config", configAt(t, tt.text))
			assert.Equal(t, exitUsage, got.code)
			for _, part := range tt.stderr {
				assert.Contains(t, got.stderr, part)
			}
		})
	}
	t.Run("a file that is not there", func(t *testing.T) {
		got := ccs(t, "serve", "--config", "absent.yaml")
		assert.Equal(t, exitUsage, got.code)
		assert.Contains(t, got.stderr, "absent.yaml")
	})
	t.Run("a variable that cannot be obeyed", func(t *testing.T) {
		t.Setenv("CCS_DEVICE_BACKLOG", "many")
		got := ccs(t, "serve")
		assert.Equal(t, exitUsage, got.code)
		assert.Contains(t, got.stderr, "CCS_DEVICE_BACKLOG")
		assert.Contains(t, got.stderr, "many")
	})
}

// A flag name means the same in all commands: the same kind of value everywhere.
func TestAFlagIsTheSameInEveryCommand(t *testing.T) {
	parser, err := newParser(&cli{})
	require.NoError(t, err)
	seen := map[string]*kong.Flag{}
	for _, n := range parser.Model.Leaves(true) {
		for _, flag := range n.Flags {
			if flag.Name == "help" {
				continue
			}
			require.Len(t, flag.Envs, 1, flag.Name)
			if other := seen[flag.Name]; other != nil {
				assert.Equal(t, other.Target.Type(), flag.Target.Type(), flag.Name)
				assert.Equal(t, other.Envs, flag.Envs, flag.Name)
			}
			seen[flag.Name] = flag
		}
	}
}

func TestMistakesInServeAreReportedAtOnce(t *testing.T) {
	got := ccs(t, "serve", "--xmpp-listen", "nowhere", "--mcs-listen", "127.0.0.1:99999", "--store", "tape:", "--device-backlog", "0")
	assert.Equal(t, exitUsage, got.code)
	for _, part := range []string{`--xmpp-listen "nowhere"`, `--mcs-listen "127.0.0.1:99999"`, `--store "tape:"`, `--device-backlog "0"`, "127.0.0.1:5235"} {
		assert.Contains(t, got.stderr, part)
	}
}
