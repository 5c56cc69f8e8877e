package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/mcs"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// enrolment is the HTTP side of a server. It hands out identities 1, 2, … and counts its calls.
type enrolment struct {
	*httptest.Server
	checkIns, registrations int
	last                    uint64 // the last android ID handed out
	forgotten               uint64 // android IDs up to this are unknown now
}

func startEnrolment(t *testing.T) *enrolment {
	t.Helper()
	e := &enrolment{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /checkin", func(w http.ResponseWriter, r *http.Request) {
		e.checkIns++
		body, err := io.ReadAll(r.Body)
		var req mcs.CheckinRequest
		if err != nil || req.Unmarshal(body) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		switch {
		case req.AndroidID == 0:
			e.last++
			req.AndroidID = e.last
		case req.AndroidID <= e.forgotten:
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		resp := mcs.CheckinResponse{StatsOK: true, TimeMS: 1, AndroidID: req.AndroidID, SecurityToken: 100 + req.AndroidID}
		_, _ = w.Write(resp.Append(nil))
	})
	mux.HandleFunc("POST /c2dm/register3", func(w http.ResponseWriter, r *http.Request) {
		e.registrations++
		if id, _ := strconv.ParseUint(r.FormValue("device"), 10, 64); id <= e.forgotten {
			fmt.Fprint(w, "Error=PHONE_REGISTRATION_ERROR")
			return
		}
		fmt.Fprintf(w, "token=%s:%s:%s", r.FormValue("device"), r.FormValue("app"), r.FormValue("sender"))
	})
	e.Server = httptest.NewServer(mux)
	t.Cleanup(e.Close)
	return e
}

// registerOnly runs the command and returns its token.
func (e *enrolment) registerOnly(t *testing.T, state string, args ...string) string {
	t.Helper()
	args = append([]string{"device", "--register-only", "--json", "--http", e.URL, "--state", state, "--data", t.TempDir()}, args...)
	got := ccs(t, args...)
	require.Equal(t, exitDone, got.code, got.stderr)
	var out map[string]string
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &out), got.stdout)
	assert.Len(t, out, 3, "the contract names three fields")
	assert.NotEmpty(t, out["android_id"])
	assert.NotEmpty(t, out["security_token"])
	return out["token"]
}

// A state file that cannot be written is refused before a device exists that would be lost.
func TestADeviceNeedsItsState(t *testing.T) {
	dir := t.TempDir()
	got := ccs(t, "device", "--http", "https://127.0.0.1:1", "--sender", "1", "--register-only", "--state", filepath.Join(dir, "absent", "device.json"))
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, "--state", "and not that there is no server")
}

func TestADeviceStaysTheSame(t *testing.T) {
	e := startEnrolment(t)
	state := filepath.Join(t.TempDir(), "phone.json")
	assert.Equal(t, "1:chat:111", e.registerOnly(t, state, "--sender", "111", "--app", "chat"))
	assert.Equal(t, "1:chat:111", e.registerOnly(t, state, "--sender", "111", "--app", "chat"))
	assert.Equal(t, 1, e.checkIns, "the second run asks for nothing")
	assert.Equal(t, 1, e.registrations)

	assert.Equal(t, "1:mail:111", e.registerOnly(t, state, "--sender", "111", "--app", "mail"), "another app on the device")
	assert.Equal(t, "1:chat:222", e.registerOnly(t, state, "--sender", "222", "--app", "chat"), "another sender for the app")
	assert.Equal(t, 3, e.registrations)
	assert.Equal(t, "1:mail:111", e.registerOnly(t, state, "--sender", "111", "--app", "mail"))
	assert.Equal(t, 3, e.registrations, "the other app's token was kept")

	info, err := os.Stat(state)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode(), "the state holds a secret")
}

func TestADeviceTakesItsIdentityToAnotherServer(t *testing.T) {
	first, second := startEnrolment(t), startEnrolment(t)
	state := filepath.Join(t.TempDir(), "phone.json")
	first.registerOnly(t, state, "--sender", "111", "--app", "chat")
	assert.Equal(t, "1:chat:111", second.registerOnly(t, state, "--sender", "111", "--app", "chat"))
	assert.Equal(t, 1, second.registrations)
	assert.Zero(t, second.last, "it did not enrol again")
}

func TestADeviceThatTheServerForgotEnrolsAgain(t *testing.T) {
	e := startEnrolment(t)
	state := filepath.Join(t.TempDir(), "phone.json")
	e.registerOnly(t, state, "--sender", "111", "--app", "chat")
	e.forgotten = 1
	assert.Equal(t, "2:mail:111", e.registerOnly(t, state, "--sender", "111", "--app", "mail"))
	assert.Equal(t, "2:chat:111", e.registerOnly(t, state, "--sender", "111", "--app", "chat"), "the old token went with the old identity")
}

func TestADamagedStateIsNotOverwritten(t *testing.T) {
	state := filepath.Join(t.TempDir(), "phone.json")
	require.NoError(t, os.WriteFile(state, []byte("{"), 0o600))
	got := ccs(t, "device", "--register-only", "--http", "http://127.0.0.1:1", "--sender", "1", "--state", state, "--data", t.TempDir())
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, state)
	assert.Contains(t, got.stderr, "hint: ")
}

func TestADeviceWithoutAServerSaysSo(t *testing.T) {
	got := ccs(t, "device", "--register-only", "--http", "http://127.0.0.1:1", "--sender", "1", "--data", t.TempDir())
	assert.Equal(t, exitFailed, got.code)
	assert.Contains(t, got.stderr, "is the server running?")
}

func TestDevicePrints(t *testing.T) {
	message := &mcsclient.Message{
		From: "111", PersistentID: "p1", CollapseKey: "score",
		Data: []mcsclient.Pair{{Key: "n", Value: "1"}, {Key: "text", Value: "two words"}},
	}
	deleted := &mcsclient.Message{
		Type: mcsclient.TypeDeletedMessages, Data: []mcsclient.Pair{{Key: "total_deleted", Value: "101"}},
	}
	failed := &mcsclient.Message{
		Type: mcsclient.TypeSendError, PersistentID: "u1", Data: []mcsclient.Pair{{Key: "error", Value: "TTL_EXCEEDED"}},
	}
	tests := []struct {
		name         string
		play         func(*devicePrinter)
		asJSON, text string
	}{
		{
			name:   "a message",
			play:   func(p *devicePrinter) { p.message(message) },
			asJSON: `{"event":"message","from":"111","data":{"n":"1","text":"two words"},"persistent_id":"p1","collapse_key":"score"}` + "\n",
			text:   `message from 111 (score) n=1 text="two words"` + "\n",
		},
		{
			name:   "deleted messages",
			play:   func(p *devicePrinter) { p.message(deleted) },
			asJSON: `{"event":"deleted_messages","total_deleted":"101"}` + "\n",
			text:   "deleted_messages: the server threw 101 messages away\n",
		},
		{
			name:   "a message that failed later",
			play:   func(p *devicePrinter) { p.message(failed) },
			asJSON: `{"event":"send_error","message_id":"u1","error":"TTL_EXCEEDED","data":{"error":"TTL_EXCEEDED"}}` + "\n",
			text:   "send_error u1: TTL_EXCEEDED\n",
		},
		{
			name:   "a message that the server has",
			play:   func(p *devicePrinter) { p.sent("u1", nil) },
			asJSON: `{"event":"sent","message_id":"u1"}` + "\n",
			text:   "sent u1\n",
		},
		{
			name:   "a message that could not be sent",
			play:   func(p *devicePrinter) { p.sent("u1", errors.New("expired")) },
			asJSON: `{"event":"send_error","message_id":"u1","error":"expired","data":{}}` + "\n",
			text:   "send_error u1: expired\n",
		},
		{
			name:   "a type that nobody knows",
			play:   func(p *devicePrinter) { p.message(&mcsclient.Message{Type: "gossip"}) },
			asJSON: "", text: "",
		},
		{
			name: "a connection's life",
			play: func(p *devicePrinter) {
				p.connected()
				p.disconnected(errors.New("reset"), time.Second)
			},
			asJSON: `{"event":"connected"}` + "\n" + `{"event":"disconnected","reason":"reset"}` + "\n",
			text:   "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, asJSON := range []bool{true, false} {
				var stdout bytes.Buffer
				p := &devicePrinter{out: &output{stdout: &stdout, stderr: io.Discard}, asJSON: asJSON}
				tt.play(p)
				want := tt.text
				if asJSON {
					want = tt.asJSON
				}
				assert.Equal(t, want, stdout.String())
			}
		})
	}
}

// upstream is a device's connection that answers at once.
type upstream struct {
	sent   []*mcsclient.Upstream
	answer error
	refuse []error // results of the first calls of Send
}

func (u *upstream) Send(_ context.Context, m *mcsclient.Upstream, done func(error)) error {
	if len(u.refuse) > 0 {
		err := u.refuse[0]
		u.refuse = u.refuse[1:]
		return err
	}
	u.sent = append(u.sent, m)
	done(u.answer)
	return nil
}

func TestDeviceSends(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		client *upstream
		ids    []string
		ttl    time.Duration
		code   int
	}{
		{name: "one", args: []string{"--message-id", "u"}, client: &upstream{}, ids: []string{"u"}, ttl: 24 * time.Hour},
		{
			name: "many", args: []string{"--message-id", "u", "--count", "3", "--ttl", "60"}, client: &upstream{},
			ids: []string{"u-1", "u-2", "u-3"}, ttl: time.Minute,
		},
		{
			name: "now or never waits for the connection", args: []string{"--message-id", "u", "--ttl", "0"},
			client: &upstream{refuse: []error{mcsclient.ErrNotConnected, mcsclient.ErrNotConnected}},
			ids:    []string{"u"}, ttl: mcsclient.NowOrNever,
		},
		{
			name: "what the server did not take", args: []string{"--message-id", "u"},
			client: &upstream{answer: mcsclient.ErrExpired}, ids: []string{"u"}, ttl: 24 * time.Hour, code: exitFailed,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parse(t, append([]string{"device", "--sender", "111", "--app", "chat", "--send", "n=1"}, tt.args...)...)
			require.NoError(t, err)
			out := &output{stdout: io.Discard, stderr: io.Discard}
			d := &device{cmd: &c.Device, out: out, data: map[string]string{"n": "1"}}
			err = d.sendAll(t.Context(), tt.client, &devicePrinter{out: out})
			assert.Equal(t, tt.code, out.fail(err))
			var ids []string
			for _, m := range tt.client.sent {
				ids = append(ids, m.ID)
				assert.Equal(t, "111", m.To)
				assert.Equal(t, "chat", m.Category)
				assert.Equal(t, tt.ttl, m.TTL)
				assert.Equal(t, []mcsclient.Pair{{Key: "n", Value: "1"}}, m.Data)
			}
			assert.Equal(t, tt.ids, ids)
		})
	}
}
