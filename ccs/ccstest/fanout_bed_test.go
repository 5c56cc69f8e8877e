package ccstest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/payload"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
)

// The topic of the tests of fan-out. Its subscribers are devices that are away, with the IDs 1 to
// n, and one that is connected: its ID is higher, so it has the last place, and what it receives
// was copied to all others before.
const fanoutTopic = "news"

// storeAt opens the store of a stopped server.
func storeAt(t testing.TB, dir, url string) store.Store {
	t.Helper()
	conf := server.Default()
	conf.DataDir, conf.Store = dir, "disk:"
	if url != "" {
		ccstest.Store(url)(&conf)
		beating(&conf)
	}
	st, err := server.OpenStore(context.Background(), conf)
	require.NoError(t, err)
	return st
}

// subscribeDevices fills the store of a stopped server with n subscribers, and subscribes the
// registration token too.
func subscribeDevices(t testing.TB, dir, url, sender string, n int, token string) {
	t.Helper()
	st := storeAt(t, dir, url)
	defer func() { require.NoError(t, st.Close()) }()
	ctx, now := context.Background(), time.Now()
	topic := store.Topic{Sender: sender, Name: fanoutTopic}
	regs, err := st.Registrations(ctx, nil, []string{token})
	require.NoError(t, err)
	require.NotNil(t, regs[0])
	require.NoError(t, st.SubscribeTopic(ctx, topic, regs, now))
	const together = 1000
	for from := 0; from < n; from += together {
		batch := make([]*store.Registration, min(together, n-from))
		var g errgroup.Group
		g.SetLimit(128)
		for i := range batch {
			g.Go(func() (err error) {
				batch[i], err = st.Register(ctx, store.Registration{
					Token: fmt.Sprintf("APA91b%0134d", from+i), Device: uint64(1 + from + i), App: benchApp, Senders: []string{sender}, Created: now,
				}, now)
				return err
			})
		}
		require.NoError(t, g.Wait())
		require.NoError(t, st.SubscribeTopic(ctx, topic, batch, now))
	}
}

// lastSubscriber is the device that is connected. It puts the IDs of what it receives into got.
func lastSubscriber(t testing.TB, trust *tls.Config, c card.Card, id mcsclient.Identity) (got chan string) {
	t.Helper()
	got = make(chan string, 1000)
	dev := mcsclient.NewDevice(c.MCS, id, mcsclient.DeviceOptions{
		Options: mcsclient.Options{TLS: trust, OnMessage: func(m *mcsclient.Message) {
			id, _ := m.Get("id")
			got <- id
		}},
		Backoff: func(int) time.Duration { return 5 * time.Millisecond },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = dev.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return got
}

// sendToTopic sends a message to the topic and returns when it is acknowledged.
func sendToTopic(t testing.TB, app *ccsclient.AppServer, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := app.SendWait(ctx, &ccsclient.Message{
		To: payload.TopicPrefix + fanoutTopic, MessageID: id, Data: map[string]string{"id": id, "k": benchValue},
	})
	require.NoError(t, err)
}

// dumpOf reads the store of a stopped server. On Redis, the node must be dead for that.
func dumpOf(t testing.TB, st store.Store) (pages []*store.Page) {
	t.Helper()
	late := time.Now().Add(patience)
	for {
		pages = nil
		var failed error
		for p, err := range st.(store.Movable).Dump(context.Background(), "", time.Now()) {
			if failed = err; err != nil {
				break
			}
			pages = append(pages, p)
		}
		if failed == nil {
			return pages
		}
		if !errors.Is(failed, store.ErrLocked) || time.Now().After(late) {
			require.NoError(t, failed)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
