package ccstest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
)

// sendUpstream makes each device send its messages, numbered, and returns when all are
// acknowledged.
func sendUpstream(t *testing.T, s *ccstest.Server, devices []*ccstest.Device, each int) {
	t.Helper()
	var wg sync.WaitGroup
	for d, dev := range devices {
		c := s.Connect(dev, mcsclient.Options{})
		wg.Go(func() {
			acked := make(chan error, each)
			for i := range each {
				id := fmt.Sprintf("%d-%d", d, i)
				err := c.Send(context.Background(), &mcsclient.Upstream{To: s.Sender, Category: dev.App, ID: id, PersistentID: id}, func(err error) { acked <- err })
				if !assert.NoError(t, err) {
					return
				}
			}
			for range each {
				assert.NoError(t, <-acked)
			}
		})
	}
	wg.Wait()
}

// With several connections each message comes once. Those of one device come in order and over one
// connection, as long as that stays and has room (CCS 4.4).
func TestUpstreamIsSpread(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		// In total they are fewer than a window, so no session is skipped for lack of room.
		const conns, devices, each = 4, 12, 80
		s := ccstest.Start(t, store)
		var enrolled []*ccstest.Device
		for range devices {
			enrolled = append(enrolled, s.Enrol("com.example.app"))
		}
		all := newInbox[string]()
		shares := make([]int, conns)
		for i := range conns {
			s.AppServer(ccsclient.Options{OnUpstream: func(m *ccsclient.Upstream) error {
				all.add(m.MessageID)
				shares[i]++
				return nil
			}})
		}
		sendUpstream(t, s, enrolled, each)
		next := make([]int, devices)
		for _, id := range all.wait(t, devices*each) {
			var d, i int
			_, err := fmt.Sscanf(id, "%d-%d", &d, &i)
			require.NoError(t, err)
			require.Equal(t, next[d], i, "%s is out of order, or came twice", id)
			next[d]++
		}
		s.Stop()
		used := 0
		for _, n := range shares {
			if n > 0 {
				used++
			}
		}
		assert.Greater(t, used, 1, "shares: %v", shares)
	})
}

// Connections that come and go, with windows that are always full, lose no message and leave none
// in the queue.
func TestUpstreamWhileConnectionsComeAndGo(t *testing.T) {
	t.Parallel()
	const conns, devices, each = 4, 8, 500
	s := ccstest.Start(t, ccstest.Disk, func(c *server.Config) { c.UpstreamWindow = 7 })
	var enrolled []*ccstest.Device
	for range devices {
		enrolled = append(enrolled, s.Enrol("com.example.app"))
	}
	var mu sync.Mutex
	seen := make(map[string]int)
	progress := make(chan struct{}, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			for {
				c, err := ccsclient.Dial(context.Background(), s.XMPPAddr(), s.Sender, s.Key, ccsclient.Options{TLS: s.TLS(), OnUpstream: func(m *ccsclient.Upstream) error {
					mu.Lock()
					seen[m.MessageID]++
					mu.Unlock()
					select {
					case progress <- struct{}{}:
					default:
					}
					return nil
				}})
				if !assert.NoError(t, err) {
					return
				}
				select {
				case <-stop:
					c.Close()
					return
				case <-time.After(time.Duration(rand.IntN(60)) * time.Millisecond):
					c.Close()
				}
			}
		})
	}
	sendUpstream(t, s, enrolled, each)
	late := time.After(patience)
	for done := false; !done; {
		mu.Lock()
		done = len(seen) == devices*each
		mu.Unlock()
		select {
		case <-progress:
		case <-late:
			require.FailNow(t, "messages are stuck", "%d of %d came", len(seen), devices*each)
		case <-time.After(time.Millisecond):
		}
	}
	close(stop)
	wg.Wait()
}
