package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// program starts the program in its own process.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var stderr lines
	cmd.Stdout, cmd.Stderr = &lines{}, &stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // most tests have ended it already
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("ccs %s\n%s", strings.Join(args, " "), &stderr)
		}
	})
	return cmd
}

// serveProcess starts a server in its own process.
func serveProcess(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ready.json")
	cmd := program(t, append([]string{
		"serve", "--data", dir, "--xmpp-listen", "127.0.0.1:0", "--mcs-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
		"--ready-file", file, "--log-level", "error",
	}, args...)...)
	require.Eventually(t, func() bool {
		_, err := os.Stat(file)
		return err == nil
	}, patience, time.Millisecond)
	return cmd
}

func terminate(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}

// movers are the clients of a server, and what it owes them.
type movers struct {
	*testing.T
	state string // of the device
	token string
	card  *card.Card // of the app server
}

const movingApp = "org.example.chat"

// fillStore makes a server store data of every kind, and ends it.
func fillStore(t *testing.T, dir string, args ...string) *movers {
	t.Helper()
	m := &movers{T: t, state: filepath.Join(t.TempDir(), "phone.json")}
	server := serveProcess(t, dir, args...)
	k, err := card.Read(dir)
	require.NoError(t, err)
	m.card = k
	m.token = strings.TrimSpace(m.must("device", "--data", dir, "--app", movingApp, "--state", m.state, "--register-only"))
	send := func(text string, more ...string) {
		m.must(append([]string{"send", "--data", dir, "--message-id", text, m.token, "text=" + text}, more...)...)
	}

	m.must("device", "--data", dir, "--app", movingApp, "--state", m.state, "--message-id", "up", "--count", "3", "--send", "n=1")
	send("n1", "--priority", "normal", "--receipt")
	send("0-1", "--priority", "normal", "--collapse-key", "score")
	send("n2", "--priority", "normal")
	send("0-2", "--priority", "normal", "--collapse-key", "score")
	send("h", "--priority", "high")

	// Another device has got its message, and its receipt waits because no app server is connected.
	other := []string{"--data", dir, "--app", "org.example.other", "--state", filepath.Join(t.TempDir(), "other.json")}
	token := strings.TrimSpace(m.must(append([]string{"device", "--register-only"}, other...)...))
	m.must("send", "--data", dir, "--message-id", "seen", "--receipt", token, "text=seen")
	device := background(t, append([]string{"device", "--json"}, other...)...)
	device.stdout.waitFor(t, `"seen"`)
	assert.Equal(t, exitDone, device.end(t))
	// By now its first login is acknowledged.
	m.must(append([]string{"device", "--message-id", "up-4", "--send", "n=1"}, other...)...)
	m.must("project", "create", "second", "--data", dir, "--sender-id", "42")
	m.must("project", "limit", "42", "--data", dir, "--per-second", "7")
	terminate(t, server)
	return m
}

// must runs a command that must succeed and returns its output.
func (m *movers) must(args ...string) string {
	m.Helper()
	got := ccs(m.T, args...)
	require.Equal(m, exitDone, got.code, "%q\n%s", args, got.stderr)
	return got.stdout
}

// getTheirs makes all clients log in again, to a server on the store that was moved into.
func (m *movers) getTheirs(dir string, args ...string) {
	m.Helper()
	server := serveProcess(m.T, dir, args...)
	k, err := card.Read(dir)
	require.NoError(m, err)
	asBefore := []string{"--xmpp", k.XMPP, "--ca", k.CAFile, "--sender", m.card.SenderID, "--key", m.card.APIKey}
	device := []string{"device", "--data", dir, "--app", movingApp, "--state", m.state, "--sender", m.card.SenderID}
	run := func(last string, messages, upstream, receipts []string) {
		listen := background(m.T, append(append([]string{"listen"}, asBefore...), "--json")...)
		listen.stdout.waitFor(m.T, `"connected"`)
		phone := background(m.T, append(device, "--json")...)
		phone.stdout.waitFor(m.T, `"connected"`)
		for _, id := range receipts {
			listen.stdout.waitFor(m.T, `:`+id+`"`)
		}
		m.must(append(append([]string{"send"}, asBefore...), "--priority", "normal", m.token, "text="+last)...)
		phone.stdout.waitFor(m.T, `"`+last+`"`)
		assert.Equal(m, exitDone, phone.end(m.T))
		assert.NotContains(m, phone.stderr.String(), "enrolling again", "the server knows the device")
		m.must(append(device, "--message-id", last, "--send", "n=2")...)
		listen.stdout.waitFor(m.T, `"`+last+`"`)
		assert.Equal(m, exitDone, listen.end(m.T))

		assert.Equal(m, append(messages, last), printed(m.T, phone, "message", func(e map[string]any) any { return e["data"].(map[string]any)["text"] }))
		assert.ElementsMatch(m, append(upstream, last), printed(m.T, listen, "upstream", func(e map[string]any) any { return e["message_id"] }))
		assert.Len(m, printed(m.T, listen, "receipt", func(e map[string]any) any { return e["message_id"] }), len(receipts))
	}
	run("last", []string{"h", "n1", "n2", "0-2"}, []string{"up-1", "up-2", "up-3", "up-4"}, []string{"seen", "n1"})
	run("again", nil, nil, nil) // no message comes twice
	assert.Contains(m, m.must("project", "list", "--data", dir), "second")
	terminate(m.T, server)
}

// printed returns what a command has printed of events of one kind, in order.
func printed(t *testing.T, c *command, kind string, what func(event map[string]any) any) (all []string) {
	t.Helper()
	for line := range strings.Lines(c.stdout.String()) {
		if e := fields(t, line); e["event"] == kind {
			all = append(all, what(e).(string))
		}
	}
	return all
}

func copyStore(t *testing.T, from, to string, more ...string) (r copied) {
	t.Helper()
	got := ccs(t, append([]string{"store", "copy", "--from", from, "--to", to, "--json"}, more...)...)
	require.Equal(t, exitDone, got.code, got.stderr)
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &r))
	return r
}

func TestAServerMovesWithoutItsClientsNoticing(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	m := fillStore(t, in("old"))
	redis := redistest.Single(t).URL("moved:")

	first := copyStore(t, in("old"), redis, "--verify")
	assert.Equal(t, counts{
		Projects: 2, Secrets: 4, Registrations: 2, Queues: 3, Messages: 9, Remembered: first.Remembered,
	}, first.counts)
	assert.True(t, first.Verified)
	assert.Equal(t, first, copyStore(t, redis, "disk:"+in("plain"), "--verify"), "nothing is lost on the way")
	assert.Equal(t, first, copyStore(t, "disk:"+in("plain"), in("new"), "--verify"))

	t.Run("to another directory, by way of Redis", func(t *testing.T) {
		m := *m
		m.T, m.state = t, copyFile(t, m.state)
		m.getTheirs(in("new"))
	})
	t.Run("to Redis", func(t *testing.T) {
		m := *m
		m.T, m.state = t, copyFile(t, m.state)
		m.getTheirs(in("beside"), "--store", redis)
	})
	t.Run("what is in use is not copied", func(t *testing.T) {
		server := serveProcess(t, in("beside"), "--store", redis)
		for _, ends := range [][]string{{"--from", redis, "--to", in("none")}, {"--from", in("old"), "--to", redis}} {
			got := ccs(t, append([]string{"store", "copy"}, ends...)...)
			assert.Equal(t, exitFailed, got.code)
			assert.Contains(t, got.stderr, "in use by another process")
		}
		terminate(t, server)
		server = serveProcess(t, in("new"))
		got := ccs(t, "store", "copy", "--from", in("new"), "--to", in("none"))
		assert.Equal(t, exitFailed, got.code)
		assert.Contains(t, got.stderr, "another ccs runs on")
		terminate(t, server)
	})
}

func copyFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	to := filepath.Join(t.TempDir(), filepath.Base(path))
	require.NoError(t, os.WriteFile(to, b, 0o600))
	return to
}

func TestAStoreThatHoldsSomethingElseIsNotCopiedInto(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a", "b"} {
		require.Equal(t, exitDone, ccs(t, "project", "create", "--sender-id", "42", "--data", in(name)).code)
	}
	got := ccs(t, "store", "copy", "--from", in("a"), "--to", in("b"))
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, "--to: exists already: it has projects 1,")
	assert.Contains(t, got.stderr, "hint: copy into an empty store")
	assert.NoFileExists(t, in("a/store.copy.json"))

	assert.Equal(t, "projects 1, OAuth clients 0, refresh tokens 0, apps 0, users 0, channels 0, daily counts 0, secrets 0, registrations 0, subscriptions 0, groups 0, fan-outs 0, queues 0, messages 0, remembered 0\n",
		ccs(t, "store", "copy", "--from", in("a"), "--to", in("c")).stdout)
	got = ccs(t, "store", "copy", "--from", in("a"), "--to", in("c"))
	assert.Equal(t, exitDone, got.code)
	assert.Contains(t, got.stderr, "has all of it already")
}

func TestWhatCannotBeCopied(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, from, to string
		code           int
		stderr         string
	}{
		{"no store at all", "", dir, exitUsage, `--from "": names no store`},
		{"a store that ends with the command", dir, "memory:", exitUsage, `--to "memory:"`},
		{"a URL of nothing known", "tape:x", dir, exitUsage, `--from "tape:x": unknown kind of store`},
		{"a store and itself", dir, "disk:" + filepath.Join(dir, "store"), exitUsage, "are the same store"},
		{"a directory that is not there", filepath.Join(dir, "none"), filepath.Join(dir, "new"), exitFailed, "--from: stat"},
		{"Redis to Redis, with no place for a checkpoint", "redis://h/1", "redis://h/2", exitUsage, "--checkpoint: name a file"},
		{"a Redis that is not there", "redis://u:secret@127.0.0.1:1", filepath.Join(dir, "new"), exitFailed, "redis://u:xxxxx@127.0.0.1:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ccs(t, "store", "copy", "--from", tt.from, "--to", tt.to)
			assert.Equal(t, tt.code, got.code, got.stderr)
			assert.Contains(t, got.stderr, tt.stderr)
			assert.NotContains(t, got.stderr, "secret")
			assert.Empty(t, got.stdout)
		})
	}
	assert.NoDirExists(t, filepath.Join(dir, "new"))
}
