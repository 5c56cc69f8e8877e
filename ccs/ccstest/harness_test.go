package ccstest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

func TestMain(m *testing.M) {
	if serveChild() || fleetChild() {
		return
	}
	// The Redis client checks once a second whether a failed Redis is back, or its pool closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// patience is how long a test waits for an expected event.
const patience = 30 * time.Second

// eachStore runs a test on each kind of store.
func eachStore(t *testing.T, f func(t *testing.T, store ccstest.Option)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { t.Parallel(); f(t, func(*server.Config) {}) })
	t.Run("disk", func(t *testing.T) { t.Parallel(); f(t, ccstest.Disk) })
	t.Run("redis", func(t *testing.T) { t.Parallel(); f(t, ccstest.Store(redistest.Single(t).URL(""))) })
}

// inbox collects items in order, from any goroutine.
type inbox[T any] struct {
	mu   sync.Mutex
	got  []T
	more chan struct{}
}

func newInbox[T any]() *inbox[T] { return &inbox[T]{more: make(chan struct{}, 1)} }

func (b *inbox[T]) add(v T) {
	b.mu.Lock()
	b.got = append(b.got, v)
	b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
}

func (b *inbox[T]) all() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]T(nil), b.got...)
}

// wait returns the items after n have come.
func (b *inbox[T]) wait(t testing.TB, n int) []T {
	t.Helper()
	late := time.After(patience)
	for {
		if got := b.all(); len(got) >= n {
			return got
		}
		select {
		case <-b.more:
		case <-late:
			require.FailNow(t, "not all came", "want %d, have %d", n, len(b.all()))
		}
	}
}

// receive connects a device and collects the IDs in its messages.
func receive(s *ccstest.Server, d *ccstest.Device, o mcsclient.Options) (*mcsclient.Client, *inbox[string]) {
	in := newInbox[string]()
	o.OnMessage = func(m *mcsclient.Message) {
		id, ok := m.Get("id")
		if !ok {
			id = m.Type
		}
		in.add(id)
	}
	return s.Connect(d, o), in
}

// message returns a message that has its ID in its data too.
func message(token, id string) *ccsclient.Message {
	return &ccsclient.Message{To: token, MessageID: id, TTL: time.Hour, Object: stanza.Object(fmt.Sprintf(`{"id":%q}`, id))}
}

// send sends messages with IDs 0 to n-1, as many at a time as the window allows, and waits for the
// acks.
func send(t testing.TB, c *ccsclient.Client, token string, n int) {
	t.Helper()
	replies := make(chan ccsclient.Reply, n)
	for i := range n {
		require.NoError(t, c.Send(context.Background(), message(token, fmt.Sprint(i)), func(r ccsclient.Reply) { replies <- r }))
	}
	seen := make(map[string]bool, n)
	for range n {
		r := <-replies
		require.NoError(t, r.Err)
		require.False(t, seen[r.MessageID], "%s was answered twice", r.MessageID)
		seen[r.MessageID] = true
	}
}

func numbers(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	return ids
}

func httpClient(trust *tls.Config) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}}
}
