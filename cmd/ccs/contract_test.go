package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card"
)

// fields decodes a line of JSON.
func fields(t *testing.T, line string) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(line), &m), line)
	return m
}

// This is the whole contract for scripts at once: a server, a device, an app server, and a restart.
func TestMessagesTravelBothWays(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "phone.json")
	server, _ := serve(t, dir)
	got := ccs(t, "device", "--data", dir, "--app", "org.example.chat", "--state", state, "--register-only", "--json")
	require.Equal(t, exitDone, got.code, got.stderr)
	token, _ := fields(t, got.stdout)["token"].(string)
	require.NotEmpty(t, token)

	device := background(t, "device", "--data", dir, "--app", "org.example.chat", "--state", state, "--json")
	device.stdout.waitFor(t, `"connected"`)
	listen := background(t, "listen", "--data", dir, "--json")
	listen.stdout.waitFor(t, `"connected"`)

	t.Run("down", func(t *testing.T) {
		got := ccs(t, "send", "--data", dir, "--json", "--message-id", "m1", "--collapse-key", "score", "--receipt", token, "text=two words")
		require.Equal(t, exitDone, got.code, got.stderr)
		assert.Contains(t, got.stdout, `{"event":"ack","message_id":"m1","from":"`+token+`","registration_id":""}`)
		message := fields(t, device.stdout.waitFor(t, `"two words"`))
		assert.Equal(t, "message", message["event"])
		assert.Equal(t, map[string]any{"text": "two words"}, message["data"])
		assert.Equal(t, "score", message["collapse_key"])
		assert.NotEmpty(t, message["persistent_id"])
		k, err := card.Read(dir)
		require.NoError(t, err)
		assert.Equal(t, k.SenderID, message["from"])
	})
	t.Run("down to nobody", func(t *testing.T) {
		got := ccs(t, "send", "--data", dir, "--json", "--message-id", "m2", "nobody", "a=1")
		assert.Equal(t, exitFailed, got.code)
		for line := range strings.Lines(got.stdout) {
			// The receipt of m1 may come to any connection.
			if event := fields(t, line); event["event"] != "receipt" {
				assert.Equal(t, "nack", event["event"])
				assert.Equal(t, "BAD_REGISTRATION", event["error"])
			}
		}
		assert.Contains(t, got.stdout, `"nack"`)
	})
	t.Run("down over HTTP", func(t *testing.T) {
		got := ccs(t, "send", "--data", dir, "--via", "http", "--json", "--ttl", "60", token, "text=over HTTP")
		require.Equal(t, exitDone, got.code, got.stderr)
		answer := fields(t, got.stdout)
		assert.Equal(t, "ack", answer["event"])
		assert.Regexp(t, `^0:[0-9]{16}%[0-9a-f]{16}$`, answer["message_id"])
		device.stdout.waitFor(t, `"over HTTP"`)
		got = ccs(t, "send", "--data", dir, "--via", "http", "nobody", "a=1")
		assert.Equal(t, exitFailed, got.code)
		assert.Equal(t, "nack InvalidRegistration\n", got.stdout)
		got = ccs(t, "send", "--data", dir, "--via", "http", token, "from=x")
		assert.Equal(t, "nack InvalidDataKey\n", got.stdout)
		got = ccs(t, "send", "--data", dir, "--via", "http", "--key", "AIzaWrong", token, "a=1")
		assert.Equal(t, exitFailed, got.code)
		assert.NotContains(t, got.stderr, "AIzaWrong")
		got = ccs(t, "send", "--data", dir, "--via", "http", "--receipt", token, "a=1")
		assert.Equal(t, exitUsage, got.code)
	})
	t.Run("up", func(t *testing.T) {
		sender := ccs(t, "device", "--data", dir, "--app", "org.example.other", "--json",
			"--send", "n=1", "text=hello", "--message-id", "u", "--count", "3")
		require.Equal(t, exitDone, sender.code, sender.stderr)
		for _, id := range []string{"u-1", "u-2", "u-3"} {
			assert.Contains(t, sender.stdout, `{"event":"sent","message_id":"`+id+`"}`)
			message := fields(t, listen.stdout.waitFor(t, `"`+id+`"`))
			assert.Equal(t, "upstream", message["event"])
			assert.Equal(t, "org.example.other", message["category"])
			assert.Equal(t, map[string]any{"n": "1", "text": "hello"}, message["data"])
		}
	})
	t.Run("many", func(t *testing.T) {
		got := ccs(t, "send", "--data", dir, "--count", "2000", "--message-id", "many", token, "a=1")
		assert.Equal(t, exitDone, got.code, got.stderr)
		assert.Equal(t, "acked 2000, refused 0 of 2000\n", got.stdout)
	})
	t.Run("a wrong key", func(t *testing.T) {
		got := ccs(t, "send", "--data", dir, "--key", "AIzaWrong", token, "a=1")
		assert.Equal(t, exitFailed, got.code)
		assert.NotEmpty(t, got.stderr)
		assert.NotContains(t, got.stderr, "AIzaWrong")
	})

	assert.Equal(t, exitDone, server.end(t), "it drains with clients connected")
	device.stdout.waitFor(t, `"disconnected"`)
	listen.stdout.waitFor(t, `"disconnected"`)
	assert.Equal(t, exitDone, device.end(t))
	assert.Equal(t, exitDone, listen.end(t))

	t.Run("after a restart", func(t *testing.T) {
		serve(t, dir)
		got := ccs(t, "send", "--data", dir, token, "text=while away")
		require.Equal(t, exitDone, got.code, got.stderr)
		device := background(t, "device", "--data", dir, "--app", "org.example.chat", "--state", state, "--json")
		device.stdout.waitFor(t, `"while away"`)
		assert.Equal(t, exitDone, device.end(t))
		assert.NotContains(t, device.stdout.String(), "two words", "what was received does not come again")
	})
}

// A person gets the token first, and a command that uses it.
func TestADeviceIntroducesItself(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir)
	device := background(t, "device", "--data", dir)
	first := device.stdout.waitFor(t, "Token  ")
	token := strings.TrimPrefix(first, "Token  ")
	assert.True(t, strings.HasPrefix(device.stdout.String(), first))
	device.stdout.waitFor(t, "ccs send --data "+dir+" "+token+" key=value")
	device.stderr.waitFor(t, "connected")
	assert.Equal(t, exitDone, device.end(t))
}

// GCM for Chrome from the command line: an app, a device of a user, and messages to its channel
// (CCS 7).
func TestMessagesTravelToAChannel(t *testing.T) {
	dir := t.TempDir()
	const user, app = "08144192009958038014", "aaaaaaaaaabbbbbbbbbbcccccccccc"
	_, _ = serve(t, dir)
	got := ccs(t, "device", "--data", dir, "--app", app, "--chrome-user", user, "--register-only")
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, "ccs project apps add "+app)
	got = ccs(t, "project", "apps", "add", "--data", dir, app)
	require.Equal(t, exitDone, got.code, got.stderr)
	got = ccs(t, "device", "--data", dir, "--app", app, "--chrome-user", user, "--register-only", "--json")
	require.Equal(t, exitDone, got.code, got.stderr)
	channel, _ := fields(t, got.stdout)["channel_id"].(string)
	require.Equal(t, user+"/"+app, channel)

	device := background(t, "device", "--data", dir, "--app", app, "--chrome-user", user, "--json")
	device.stdout.waitFor(t, `"connected"`)
	got = ccs(t, "send", "--data", dir, "--via", "chrome", channel, "--subchannel", "1", "--chrome-payload", "two words", "--json")
	require.Equal(t, exitDone, got.code, got.stderr)
	assert.Equal(t, `{"event":"accepted","channel_id":"`+channel+`","subchannel_id":"1","status":204,"reason":"","message":""}`+"\n", got.stdout)
	message := fields(t, device.stdout.waitFor(t, `"two words"`))
	assert.Equal(t, map[string]any{"subchannelId": "1", "payload": "two words", "userId": user}, message["data"])
	assert.Equal(t, "pushMessaging/1", message["collapse_key"])

	got = ccs(t, "send", "--data", dir, "--via", "chrome", channel, "--subchannel", "4")
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stdout, "refused 400 invalid: Subchannel is invalid")
	got = ccs(t, "send", "--data", dir, "--via", "chrome", channel, "--count", "3")
	assert.Equal(t, exitDone, got.code, got.stderr)
	assert.Equal(t, "accepted 3, refused 0 of 3\n", got.stdout)
	got = ccs(t, "project", "oauth", "list", "--data", dir, "--json")
	assert.Equal(t, "[]\n", got.stdout, "the OAuth clients of ccs send are gone")

	got = ccs(t, "project", "oauth", "create", "--data", dir, "--json")
	require.Equal(t, exitDone, got.code, got.stderr)
	made := fields(t, got.stdout)
	got = ccs(t, "send", "--data", dir, "--via", "chrome", channel, "--client-id", made["client_id"].(string),
		"--client-secret", made["client_secret"].(string), "--refresh-token", made["refresh_token"].(string))
	assert.Equal(t, "accepted\n", got.stdout, got.stderr)
	got = ccs(t, "send", "--data", dir, "--via", "chrome", channel, "--access-token", "ya29.x")
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stdout, "refused 401 authError")
}
