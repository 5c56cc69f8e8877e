package ccstest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

var (
	fanoutKills       = flag.Int("fanoutkills", 3, "how often TestKillNineFanout kills the server")
	fanoutSubscribers = flag.Int("fanoutsubscribers", 20_000, "how many devices TestKillNineFanout subscribes")
)

// A topic message that was acknowledged reaches each subscriber once, although the server is killed
// while it copies the message (TOPICS 2.5). For 100,000 subscribers: -fanoutkills 20
// -fanoutsubscribers 100000.
func TestKillNineFanout(t *testing.T) {
	t.Run("disk", func(t *testing.T) { killNineFanout(t, "") })
	t.Run("redis", func(t *testing.T) { killNineFanout(t, redistest.Single(t).URL("")) })
}

func killNineFanout(t *testing.T, url string) {
	n := *fanoutSubscribers
	v := &victim{t: t, dir: t.TempDir(), store: url}
	where := v.start()
	defer func() { v.kill() }()
	pem, err := os.ReadFile(where.CAFile)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	trust := &tls.Config{RootCAs: roots}
	hc := httpClient(trust)
	defer hc.CloseIdleConnections()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	id, err := mcsclient.CheckIn(ctx, hc, where.HTTP, mcsclient.Identity{})
	require.NoError(t, err)
	token, err := mcsclient.Register(ctx, hc, where.HTTP, id, mcsclient.Registration{App: benchApp, Senders: []string{where.SenderID}})
	require.NoError(t, err)
	v.kill()
	subscribeDevices(t, v.dir, url, where.SenderID, n, token)
	v.start()

	got := lastSubscriber(t, trust, where, id)
	app := ccsclient.NewAppServer(where.XMPP, where.SenderID, where.APIKey, ccsclient.AppServerOptions{
		Options: ccsclient.Options{TLS: trust}, Backoff: func(int) time.Duration { return 5 * time.Millisecond },
	})
	var running sync.WaitGroup
	running.Go(func() { _ = app.Run(ctx) })
	defer running.Wait()
	defer cancel()
	arrived := func(id string) {
		t.Helper()
		late := time.After(2 * patience)
		for {
			select {
			case got := <-got:
				if got == id {
					return
				}
			case <-late:
				require.Fail(t, "the last subscriber does not get the message", id)
			}
		}
	}
	began := time.Now()
	sendToTopic(t, app, "whole")
	arrived("whole")
	whole := time.Since(began)
	ids := []string{"whole"}
	var at []time.Duration
	for life := range *fanoutKills {
		id := fmt.Sprint("m-", life)
		ids = append(ids, id)
		sendToTopic(t, app, id)
		wait := time.Duration(rand.Int64N(int64(whole)))
		time.Sleep(wait) // when exactly is what the test varies
		at = append(at, wait.Round(time.Millisecond))
		v.kill()
		v.start()
		arrived(id)
	}
	v.kill()

	st := storeAt(t, v.dir, url)
	defer st.Close()
	all, err := st.Fanouts(ctx, "")
	require.NoError(t, err)
	assert.Empty(t, all, "all are done")
	copies := make(map[string][]uint8, len(ids))
	for _, id := range ids {
		copies[id] = make([]uint8, n+1)
	}
	for _, page := range dumpOf(t, st) {
		for _, e := range page.Entries {
			var m ccs.Message
			require.NoError(t, m.Decode(e.Body))
			if e.Key.Kind == store.KindDevice && e.Key.ID <= uint64(n) {
				copies[m.ID][e.Key.ID]++
			}
		}
	}
	for _, id := range ids {
		lost, twice := 0, 0
		for _, c := range copies[id][1:] {
			switch {
			case c == 0:
				lost++
			case c > 1:
				twice++
			}
		}
		assert.Zero(t, lost, "%s: subscribers without a copy", id)
		assert.Zero(t, twice, "%s: subscribers with two copies", id)
	}
	t.Logf("%d subscribers; a whole fan-out takes %s; killed after %v", n, whole.Round(time.Millisecond), at)
}
