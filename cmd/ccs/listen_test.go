package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// fakeConnection ends when the test says so.
type fakeConnection struct {
	done   chan struct{}
	err    error
	closed bool
}

func (c *fakeConnection) Done() <-chan struct{} { return c.done }
func (c *fakeConnection) Err() error            { return c.err }
func (c *fakeConnection) Close() error          { c.closed = true; return nil }

func ended(err error) *fakeConnection {
	c := &fakeConnection{done: make(chan struct{}), err: err}
	close(c.done)
	return c
}

func TestListenConnectsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr bytes.Buffer
		l := &listener{out: &output{stdout: &stdout, stderr: &stderr}, asJSON: true}
		busy := &ccsclient.AuthError{Condition: "temporary-auth-failure"}
		last := &fakeConnection{done: make(chan struct{})}
		dials := []func() (connection, error){
			func() (connection, error) { return ended(errors.New("reset")), nil },
			func() (connection, error) { return nil, errors.New("refused") },
			func() (connection, error) { return nil, busy },
			func() (connection, error) { return ended(nil), nil },
			func() (connection, error) { cancel(); return last, nil },
		}
		err := l.run(ctx, func(context.Context) (connection, error) {
			dial := dials[0]
			dials = dials[1:]
			return dial()
		})
		require.NoError(t, err, "to be interrupted is how it ends")
		assert.Empty(t, dials)
		assert.True(t, last.closed)
		assert.Equal(t, `{"event":"connected"}
{"event":"disconnected","reason":"reset"}
{"event":"disconnected","reason":"refused"}
{"event":"disconnected","reason":"`+busy.Error()+`"}
{"event":"connected"}
{"event":"disconnected","reason":"closed by the server"}
`, stdout.String())
	})
}

func TestListenGivesUp(t *testing.T) {
	refused := &ccsclient.AuthError{Condition: "not-authorized"}
	tests := []struct {
		name  string
		dials []error // nil is a connection that ends at once
		want  error
	}{
		{name: "when the first connect fails", dials: []error{assert.AnError}, want: assert.AnError},
		{name: "when the key is wrong", dials: []error{refused}, want: refused},
		{name: "when the key is revoked", dials: []error{nil, refused}, want: refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &listener{out: &output{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}}
				dials := tt.dials
				err := l.run(t.Context(), func(context.Context) (connection, error) {
					err := dials[0]
					dials = dials[1:]
					if err != nil {
						return nil, err
					}
					return ended(nil), nil
				})
				assert.Same(t, tt.want, err)
			})
		})
	}
}

func TestListenPrintsBeforeItAcknowledges(t *testing.T) {
	upstream := &ccsclient.Upstream{
		From: "APA91bABCDEFGHIJKLMNOPQRSTUVWXYZ", MessageID: "u1", Category: "org.example.app",
		Data: stanza.Data{}.Append("text", "two words").Append("n", "1"),
	}
	receipt := &ccsclient.Receipt{
		From: "gcm.googleapis.com", MessageID: "dr2:m1", Category: "org.example.app",
		Data: stanza.Data{}.Append("message_status", "MESSAGE_SENT_TO_DEVICE"),
	}
	control := &ccsclient.Control{Type: "CONNECTION_DRAINING"}

	play := func(asJSON bool) string {
		var stdout bytes.Buffer
		l := &listener{out: &output{stdout: &stdout, stderr: &bytes.Buffer{}}, asJSON: asJSON}
		o := l.options(nil, zap.NewNop())
		require.NoError(t, o.OnUpstream(upstream))
		o.OnReceipt(receipt)
		o.OnControl(control)
		return stdout.String()
	}
	assert.Equal(t, `{"event":"upstream","from":"APA91bABCDEFGHIJKLMNOPQRSTUVWXYZ","message_id":"u1","category":"org.example.app","data":{"n":"1","text":"two words"}}
{"event":"receipt","from":"gcm.googleapis.com","message_id":"dr2:m1","category":"org.example.app","data":{"message_status":"MESSAGE_SENT_TO_DEVICE"}}
{"event":"control","control_type":"CONNECTION_DRAINING"}
`, play(true))
	assert.Equal(t, `upstream u1 from APA91bABCDEF…UVWXYZ (org.example.app) n=1 text="two words"
receipt dr2:m1 from gcm.googleapis.com (org.example.app) message_status=MESSAGE_SENT_TO_DEVICE
control CONNECTION_DRAINING
`, play(false))
}

func TestWhatCannotBePrintedIsNotAcknowledged(t *testing.T) {
	var reason error
	l := &listener{out: &output{stdout: brokenPipe{}}, fail: func(err error) { reason = err }}
	err := l.options(nil, zap.NewNop()).OnUpstream(&ccsclient.Upstream{})
	assert.ErrorIs(t, err, errBroken)
	assert.ErrorIs(t, reason, errBroken, "and the command ends")
}

var errBroken = errors.New("broken pipe")

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

// A line is one write, so a reader of the pipe gets it at once and whole.
func TestEveryJSONLineIsOneWrite(t *testing.T) {
	var writes [][]byte
	out := &output{stdout: writerFunc(func(b []byte) { writes = append(writes, bytes.Clone(b)) })}
	require.NoError(t, out.json(map[string]string{"text": "a < b & c"}))
	require.Len(t, writes, 1)
	assert.Equal(t, `{"text":"a < b & c"}`+"\n", string(writes[0]))
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
