package ccstest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// ledger records the fate of each message, as both ends see it.
type ledger struct {
	progress chan struct{} // capacity 1: something was delivered
	resend   bool          // unanswered messages are sent again

	mu        sync.Mutex
	sent      int
	acked     map[string]bool
	nacked    int
	delivered map[string]int
	open      []string // unanswered, to send again
	again     int      // number of messages sent again
}

func newLedger() *ledger {
	return &ledger{progress: make(chan struct{}, 1), acked: map[string]bool{}, delivered: map[string]int{}}
}

// String returns the counts.
func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	again := 0
	for _, n := range l.delivered {
		if n > 1 {
			again++
		}
	}
	return fmt.Sprintf("sent %d, again %d, acked %d, nacked %d, delivered %d, lost %d, repeated %d",
		l.sent, l.again, len(l.acked), l.nacked, len(l.delivered), l.missing(), again)
}

// deliver records a message at the device.
func (l *ledger) deliver(m *mcsclient.Message) {
	id, ok := m.Get("id")
	if !ok {
		id = m.Type
	}
	l.mu.Lock()
	l.delivered[id]++
	l.mu.Unlock()
	select {
	case l.progress <- struct{}{}:
	default:
	}
}

// sendUntilItEnds keeps the window of a connection full.
func (l *ledger) sendUntilItEnds(ctx context.Context, c *ccsclient.Client, token string, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-c.Done():
			return
		default:
		}
		l.mu.Lock()
		// Otherwise the device's queue would fill, and further messages be nacked.
		if l.resend && len(l.acked)-len(l.delivered) > maxBehind {
			l.mu.Unlock()
			time.Sleep(time.Millisecond)
			continue
		}
		id := fmt.Sprint("m-", l.sent)
		if n := len(l.open); n > 0 {
			id, l.open = l.open[n-1], l.open[:n-1]
			l.again++
		} else {
			l.sent++
		}
		l.mu.Unlock()
		c.Send(ctx, message(token, id), func(r ccsclient.Reply) {
			l.mu.Lock()
			defer l.mu.Unlock()
			var nack *ccsclient.Nack
			switch {
			case r.Err == nil:
				l.acked[r.MessageID] = true
			case errors.As(r.Err, &nack):
				l.nacked++
			case l.resend:
				l.open = append(l.open, id)
			}
		})
	}
}

func (l *ledger) ackedSoFar() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// missing returns how many acknowledged messages were not delivered. The caller must hold l.mu.
func (l *ledger) missing() int {
	n := 0
	for id := range l.acked {
		if l.delivered[id] == 0 {
			n++
		}
	}
	return n
}

// nothingIsLost waits until all acknowledged messages have been delivered.
func (l *ledger) nothingIsLost(t *testing.T) {
	t.Helper()
	late := time.After(patience)
	for {
		l.mu.Lock()
		missing := l.missing()
		l.mu.Unlock()
		if missing == 0 {
			return
		}
		select {
		case <-l.progress:
			time.Sleep(time.Millisecond)
		case <-late:
			l.mu.Lock()
			markers := l.delivered[mcsclient.TypeDeletedMessages]
			l.mu.Unlock()
			require.FailNow(t, "acknowledged messages are lost", "%s; deleted_messages came %d times", l, markers)
		}
	}
}

// repeated returns how many messages came more than once. It fails the test for a message that was
// never sent.
func (l *ledger) repeated(t *testing.T) int {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for id, times := range l.delivered {
		var seq int
		_, err := fmt.Sscanf(id, "m-%d", &seq)
		assert.True(t, err == nil && seq < l.sent, "%q was never sent", id)
		if times > 1 {
			n++
		}
	}
	return n
}

// settles waits until no more messages come.
func (l *ledger) settles() {
	const quiet = 3 * time.Second
	for {
		select {
		case <-l.progress:
		case <-time.After(quiet):
			return
		}
	}
}
