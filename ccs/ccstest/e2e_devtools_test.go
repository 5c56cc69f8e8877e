//go:build e2e

package ccstest_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// devtools speaks the Chrome DevTools Protocol over a pair of pipes: JSON objects, each followed by
// a zero byte.
type devtools struct {
	commands io.Writer
	last     int // id of the last call; owned by the caller
	// answers has a capacity of 1, because there is one call at a time. It is closed when the
	// browser ends.
	answers chan devtoolsMessage
}

// devtoolsCommand is a command to the browser.
type devtoolsCommand struct {
	ID      int    `json:"id"`
	Session string `json:"sessionId,omitempty"` // of a target; "" for the browser
	Method  string `json:"method"`
	Params  any    `json:"params"`
}

// devtoolsMessage is a message of the browser: an event, which has no ID, or the answer to a
// command.
type devtoolsMessage struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

var errBrowserGone = errors.New("the browser has gone")

// devtoolsTimeout bounds a call. Registering waits for Chromium's GCM to start, a check-in and the
// registration.
const devtoolsTimeout = time.Minute

func newDevtools(commands io.Writer) *devtools {
	return &devtools{commands: commands, answers: make(chan devtoolsMessage, 1)}
}

// read passes on messages until the browser ends: answers to call, events to onEvent.
func (d *devtools) read(from io.Reader, onEvent func(*devtoolsMessage)) {
	defer close(d.answers)
	for in := bufio.NewReader(from); ; {
		b, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m devtoolsMessage
		if err := json.Unmarshal(b[:len(b)-1], &m); err != nil {
			return
		}
		if m.ID == 0 {
			onEvent(&m)
			continue
		}
		select {
		case d.answers <- m:
		default: // no call waits for the last answer, and none follows
		}
	}
}

// call sends a command to a session ("" for the browser) and decodes its result into result, unless
// that is nil.
func (d *devtools) call(session, method string, params, result any) error {
	d.last++
	b, err := json.Marshal(devtoolsCommand{ID: d.last, Session: session, Method: method, Params: params})
	if err != nil {
		return err
	}
	if _, err := d.commands.Write(append(b, 0)); err != nil {
		return fmt.Errorf("%s: %w: %w", method, errBrowserGone, err)
	}
	select {
	case m, ok := <-d.answers:
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", method, errBrowserGone)
		case m.ID != d.last:
			return fmt.Errorf("%s: answer %d to call %d", method, m.ID, d.last)
		case m.Error != nil:
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-time.After(devtoolsTimeout):
		return fmt.Errorf("%s: no answer within %s", method, devtoolsTimeout)
	}
}
