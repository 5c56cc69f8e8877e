//go:build e2e

package ccstest_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/server"
)

// steps is a table of the steps done, for people. Concurrent clients share it.
type steps struct {
	mu   sync.Mutex
	rows []step
}

type step struct {
	client, name, counts string
	took                 time.Duration
}

// do runs a client's step, which returns its counts. If it fails, the client stops.
func (s *steps) do(t *testing.T, client, name string, f func() (counts string)) {
	t.Helper()
	row := step{client: client, name: name, counts: "FAILED"}
	began := time.Now()
	defer func() {
		row.took = time.Since(began)
		s.add(row)
	}()
	counts := f()
	if t.Failed() {
		t.FailNow()
	}
	row.counts = counts
}

// add adds a row to the table.
func (s *steps) add(row step) {
	row.took = row.took.Round(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, row)
}

// String returns the table, with each client's steps together and in order.
func (s *steps) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.rows, func(a, b step) int { return cmp.Compare(a.client, b.client) })
	b := new(strings.Builder)
	w := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	for _, r := range s.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.client, r.name, r.counts, r.took)
	}
	w.Flush()
	return b.String()
}

// watch makes a server log to memory. Only the log shows that the server has noticed a device's
// end.
func watch(level zapcore.Level) (ccstest.Option, *observer.ObservedLogs) {
	core, logs := observer.New(level)
	return func(c *server.Config) { c.Logger = zap.New(core) }, logs
}

// timesLogged returns how often a part of the server has logged a message.
func timesLogged(logs *observer.ObservedLogs, part, message string) int {
	return logs.Filter(func(e observer.LoggedEntry) bool { return e.LoggerName == part && e.Message == message }).Len()
}

// logged waits until a part of the server has logged a message n times.
func logged(t *testing.T, logs *observer.ObservedLogs, part, message string, times int) {
	t.Helper()
	require.Eventually(t, func() bool { return timesLogged(logs, part, message) >= times },
		patience, 5*time.Millisecond, "%s: %q, %d times", part, message, times)
}

// accepted sends a message that the server must accept.
func accepted(t *testing.T, c *ccsclient.Client, m *ccsclient.Message) {
	t.Helper()
	_, err := c.SendWait(t.Context(), m)
	require.NoError(t, err)
}
