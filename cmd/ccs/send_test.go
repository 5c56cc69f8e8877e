package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// answers is a sender that answers at once.
type answers struct {
	sent   []ccsclient.Message
	answer func(m *ccsclient.Message) ccsclient.Reply
	err    error // result of Send once answer is nil
}

func (a *answers) Send(_ context.Context, m *ccsclient.Message, done func(ccsclient.Reply)) error {
	if a.answer == nil {
		return a.err
	}
	a.sent = append(a.sent, *m)
	done(a.answer(m))
	return nil
}

func ack(m *ccsclient.Message) ccsclient.Reply {
	return ccsclient.Reply{Ack: ccsclient.Ack{MessageID: m.MessageID}}
}

func canonical(m *ccsclient.Message) ccsclient.Reply {
	return ccsclient.Reply{Ack: ccsclient.Ack{MessageID: m.MessageID, RegistrationID: "NEWER"}}
}

func nack(m *ccsclient.Message) ccsclient.Reply {
	err := &ccsclient.Nack{Code: stanza.BadRegistration, Description: "Invalid token"}
	return ccsclient.Reply{Ack: ccsclient.Ack{MessageID: m.MessageID}, Err: err}
}

func lost(m *ccsclient.Message) ccsclient.Reply {
	return ccsclient.Reply{Ack: ccsclient.Ack{MessageID: m.MessageID}, Err: errors.New("connection lost")}
}

func TestSendPrintsTheAnswer(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		answer func(*ccsclient.Message) ccsclient.Reply
		stdout string
		code   int
		stderr string
	}{
		{name: "an ack", answer: ack, stdout: "ack m1\n"},
		{name: "an ack as JSON", args: []string{"--json"}, answer: ack, stdout: `{"event":"ack","message_id":"m1","from":"TOKEN","registration_id":""}` + "\n"},
		{name: "an ack with a newer token", answer: canonical, stdout: "ack m1; the device's newer token is NEWER\n"},
		{
			name: "an ack with a newer token as JSON", args: []string{"--json"}, answer: canonical,
			stdout: `{"event":"ack","message_id":"m1","from":"TOKEN","registration_id":"NEWER"}` + "\n",
		},
		{name: "a nack", answer: nack, code: exitFailed, stdout: "nack m1 BAD_REGISTRATION: Invalid token\n"},
		{
			name: "a nack as JSON", args: []string{"--json"}, answer: nack, code: exitFailed,
			stdout: `{"event":"nack","message_id":"m1","error":"BAD_REGISTRATION","error_description":"Invalid token"}` + "\n",
		},
		{name: "no answer", answer: lost, code: exitFailed, stderr: "ccs: message m1: connection lost\n"},
		{name: "many acks are counted", args: []string{"--count", "3"}, answer: ack, stdout: "acked 3, refused 0 of 3\n"},
		{
			name: "many acks as JSON", args: []string{"--count", "2", "--json"}, answer: ack,
			stdout: `{"event":"ack","message_id":"m1-1","from":"TOKEN","registration_id":""}
{"event":"ack","message_id":"m1-2","from":"TOKEN","registration_id":""}
`,
		},
		{
			name: "each nack of many is shown", args: []string{"--count", "2"}, answer: nack, code: exitFailed,
			stdout: "nack m1-1 BAD_REGISTRATION: Invalid token\nnack m1-2 BAD_REGISTRATION: Invalid token\nacked 0, refused 2 of 2\n",
		},
		{name: "a connection that takes nothing", code: exitFailed, stderr: "ccs: connection lost\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parse(t, append([]string{"send", "TOKEN", "--message-id", "m1"}, tt.args...)...)
			require.NoError(t, err)
			m, err := c.Send.message()
			require.NoError(t, err)
			var stdout, stderr bytes.Buffer
			out := &output{stdout: &stdout, stderr: &stderr}
			client := &answers{answer: tt.answer, err: errors.New("connection lost")}
			code := out.fail(c.Send.sendAll(t.Context(), out, client, m))
			assert.Equal(t, tt.code, code)
			assert.Equal(t, tt.stdout, stdout.String())
			assert.Equal(t, tt.stderr, stderr.String())
		})
	}
}

func TestSendSaysWhatTheFlagsSay(t *testing.T) {
	c, err := parse(t, "send", "TOKEN", "text=a <b> & c=d", "n=1", "--ttl", "60", "--collapse-key", "k",
		"--priority", "high", "--receipt", "--dry-run")
	require.NoError(t, err)
	m, err := c.Send.message()
	require.NoError(t, err)
	assert.Equal(t, ccsclient.Message{
		To: "TOKEN", TTL: 60e9, CollapseKey: "k", Priority: ccsclient.High, ReceiptRequested: true, DryRun: true,
		Data: map[string]string{"text": "a <b> & c=d", "n": "1"},
	}, m)

	c, err = parse(t, "send", "TOKEN")
	require.NoError(t, err)
	m, err = c.Send.message()
	require.NoError(t, err)
	assert.Equal(t, ccsclient.Message{To: "TOKEN"}, m)
}

func TestRandomMessageIDsDiffer(t *testing.T) {
	f := messageFlags{Count: 2}
	first, second := f.id(1), f.id(2)
	assert.NotEqual(t, first, second)
	assert.True(t, strings.HasPrefix(first, "m-"))
}

// An interrupted run says so and does not wait for answers that will not come.
func TestSendCanBeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	out := &output{stdout: &stdout, stderr: &stderr}
	c := &sendCmd{messageFlags: messageFlags{Count: 1}}
	silent := silence{sent: cancel}
	assert.Equal(t, exitFailed, out.fail(c.sendAll(ctx, out, silent, ccsclient.Message{})))
	assert.Equal(t, "ccs: interrupted\n", stderr.String())
}

// silence is a sender that never answers.
type silence struct{ sent func() }

func (s silence) Send(context.Context, *ccsclient.Message, func(ccsclient.Reply)) error {
	s.sent()
	return nil
}
