//go:build e2e

package ccstest_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// extensionID is Chromium's ID for the key in the extension's manifest.
const extensionID = "abebbaoboeficpkmpcadfkbblmbjkklf"

// worker is the extension's service worker in a running browser.
type worker struct {
	t        *testing.T
	devtools *devtools
	session  string // set by attach
	attached chan string
	reports  *inbox[extensionEvent]
}

// extensionEvent is a report of the worker: its start, or an event of chrome.gcm.
type extensionEvent struct {
	Type        string            `json:"type"`
	Data        map[string]string `json:"data"`
	From        string            `json:"from"`
	CollapseKey string            `json:"collapseKey"`

	// These belong to a message to a channel, as chrome.pushMessaging gives it.
	Payload    string `json:"payload"`
	Subchannel int    `json:"subchannelId"`

	// These belong to a send_error.
	MessageID string            `json:"messageId"`
	Details   map[string]string `json:"details"`
}

func newWorker(t *testing.T, d *devtools) *worker {
	return &worker{t: t, devtools: d, attached: make(chan string, 1), reports: newInbox[extensionEvent]()}
}

// attach waits for the worker and follows its console. Runtime.enable also brings its earlier
// output.
func (w *worker) attach() {
	w.t.Helper()
	require.NoError(w.t, w.devtools.call("", "Target.setAutoAttach", map[string]any{
		"autoAttach": true, "waitForDebuggerOnStart": false, "flatten": true, "filter": []map[string]string{{"type": "service_worker"}},
	}, nil))
	select {
	case w.session = <-w.attached:
	case <-time.After(patience):
		require.FailNow(w.t, "the extension's worker does not start")
	}
	require.NoError(w.t, w.devtools.call(w.session, "Runtime.enable", struct{}{}, nil))
	require.Equal(w.t, "started", w.reports.wait(w.t, 1)[0].Type)
}

// onEvent handles the DevTools' events.
func (w *worker) onEvent(m *devtoolsMessage) {
	switch m.Method {
	case "Target.attachedToTarget":
		var p struct {
			Session string `json:"sessionId"`
		}
		if json.Unmarshal(m.Params, &p) != nil {
			return
		}
		select {
		case w.attached <- p.Session:
		default: // it should live as long as the browser
			w.reports.add(extensionEvent{Type: "another worker"})
		}
	case "Runtime.consoleAPICalled":
		var p struct {
			Args []struct {
				Value string `json:"value"`
			} `json:"args"`
		}
		var e extensionEvent
		if json.Unmarshal(m.Params, &p) != nil || len(p.Args) != 1 || json.Unmarshal([]byte(p.Args[0].Value), &e) != nil {
			e = extensionEvent{Type: "not one of ours: " + string(m.Params)}
		}
		w.reports.add(e)
	}
}

// events waits for n events of chrome.gcm since the start and returns them.
func (w *worker) events(n int) []extensionEvent {
	w.t.Helper()
	return w.reports.wait(w.t, n+1)[1:] // the first is the start
}

// eval evaluates an expression in the worker, waits if it is a promise, and returns its value, or
// "" if that is no text.
func (w *worker) eval(format string, args ...any) string {
	w.t.Helper()
	expression := fmt.Sprintf(format, args...)
	var got struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		Exception *struct {
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	require.NoError(w.t, w.devtools.call(w.session, "Runtime.evaluate",
		map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &got))
	if got.Exception != nil {
		require.FailNow(w.t, got.Exception.Exception.Description, "%s", expression)
	}
	value, _ := got.Result.Value.(string)
	return value
}
