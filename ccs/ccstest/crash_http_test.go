package ccstest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// A multicast that was answered is a promise too: a server that is killed again and again in the
// middle of multicasts to a thousand loses no copy that it has accepted, and makes none up. A
// multicast without an answer is not sent again, so that no copy of it comes twice.
func TestKillNineDuringMulticasts(t *testing.T) {
	t.Run("disk", func(t *testing.T) { killNineMulticasts(t, "", 20) })
	t.Run("redis", func(t *testing.T) { killNineMulticasts(t, redistest.Single(t).URL(""), 8) })
}

const (
	multicastDevices = 25
	multicastCopies  = 40 // of each multicast for each device: its token is named so often
)

// multicasts is what became of each multicast, by both ends' own account.
type multicasts struct {
	mu       sync.Mutex
	answered map[string]int    // accepted copies by the multicast's number
	got      []map[string]int  // of each device: copies by the multicast's number
	seen     []map[string]bool // of each device: persistent IDs
	repeated int               // copies that came twice
	why      string            // the last one had no answer that counts
	sent     int               // multicasts
}

func (m *multicasts) deliver(device int, msg *mcsclient.Message) {
	id, _ := msg.Get("id")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen[device][msg.PersistentID] {
		m.repeated++
		return
	}
	m.seen[device][msg.PersistentID] = true
	m.got[device][id]++
}

// note keeps why a multicast has no answer that counts.
func (m *multicasts) note(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.why = why
}

// String says how far the multicasts are.
func (m *multicasts) String() string {
	behind := m.behind()
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf("%d multicasts sent, %d answered, %d accepted copies have not come, %d repeated; the last one without an answer: %.300s",
		m.sent, len(m.answered), behind, m.repeated, m.why)
}

// behind returns the number of accepted copies that have not come.
func (m *multicasts) behind() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.answered {
		for _, got := range m.got {
			n += max(0, multicastCopies-got[id])
		}
	}
	return n
}

func (m *multicasts) answers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.answered)
}

// sendUntil sends multicasts, one after the other, until stop is closed.
func (m *multicasts) sendUntil(stop <-chan struct{}, hc *http.Client, where card.Card, tokens []string) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if m.behind() > maxBehind*multicastDevices/4 { // or the devices' queues are full
			time.Sleep(time.Millisecond)
			continue
		}
		m.mu.Lock()
		id := fmt.Sprint(m.sent)
		m.sent++
		m.mu.Unlock()
		body, _ := json.Marshal(map[string]any{"registration_ids": tokens, "data": map[string]string{"id": id}})
		req, _ := http.NewRequest(http.MethodPost, where.HTTP+"/gcm/send", strings.NewReader(string(body)))
		req.Header.Set("Authorization", "key="+where.APIKey)
		req.Header.Set("Content-Type", "application/json")
		resp, err := hc.Do(req)
		if err != nil {
			m.note(err.Error())
			time.Sleep(5 * time.Millisecond)
			continue
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		var got sent
		switch {
		case err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(text, &got) != nil:
			m.note(fmt.Sprint(resp.Status, " ", err, " ", string(text)))
		case got.Failure > 0: // which devices have a copy is not known
			m.note(fmt.Sprint(got.Failure, " refused: ", string(text)))
		default:
			m.mu.Lock()
			m.answered[id] = got.Success
			m.mu.Unlock()
		}
	}
}

func killNineMulticasts(t *testing.T, url string, kills int) {
	v := &victim{t: t, dir: t.TempDir(), store: url}
	where := v.start()
	defer func() { v.kill() }()
	pem, err := os.ReadFile(where.CAFile)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	trust := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	hc := httpClient(trust)

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m := &multicasts{answered: map[string]int{}}
	var tokens []string
	var wg sync.WaitGroup
	var online atomic.Int32
	for i := range multicastDevices {
		id, err := mcsclient.CheckIn(ctx, hc, where.HTTP, mcsclient.Identity{})
		require.NoError(t, err)
		token, err := mcsclient.Register(ctx, hc, where.HTTP, id, mcsclient.Registration{App: "app", Senders: []string{where.SenderID}})
		require.NoError(t, err)
		for range multicastCopies {
			tokens = append(tokens, token)
		}
		m.got, m.seen = append(m.got, map[string]int{}), append(m.seen, map[string]bool{})
		dev := mcsclient.NewDevice(where.MCS, id, mcsclient.DeviceOptions{
			Options:   mcsclient.Options{TLS: trust, OnMessage: func(msg *mcsclient.Message) { m.deliver(i, msg) }},
			OnConnect: sync.OnceFunc(func() { online.Add(1) }),
			Backoff:   func(int) time.Duration { return 20 * time.Millisecond },
		})
		wg.Go(func() { dev.Run(ctx) })
	}
	require.Eventually(t, func() bool { return online.Load() == multicastDevices }, patience, time.Millisecond)
	stop := make(chan struct{})
	var senders sync.WaitGroup
	tr := &http.Transport{TLSClientConfig: trust}
	defer tr.CloseIdleConnections()
	for range 2 {
		senders.Go(func() { m.sendUntil(stop, &http.Client{Timeout: patience, Transport: tr}, where, tokens) })
	}
	for range kills {
		before := m.answers()
		if !assert.Eventually(t, func() bool { return m.answers() > before+3 }, 2*patience, time.Millisecond) {
			require.FailNow(t, "no multicast is answered", "%s", m)
		}
		// The traffic before the kill lasts a random moment.
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
		v.kill()
		v.start()
	}
	close(stop)
	senders.Wait()
	require.Eventually(t, func() bool { return m.behind() == 0 }, patience, 10*time.Millisecond, "accepted copies come")
	cancel()
	wg.Wait()
	halves := 0
	for i, got := range m.got {
		for id, n := range got {
			assert.LessOrEqual(t, n, multicastCopies, "device %d, multicast %s", i, id)
			if n < multicastCopies {
				halves++
			}
		}
	}
	t.Logf("%d kills: %d multicasts sent, %d answered, lost %d, repeated %d; devices that have a part of an unanswered one: %d",
		kills, m.sent, len(m.answered), m.behind(), m.repeated, halves)
	assert.Zero(t, m.repeated)
	if url == "" {
		assert.Zero(t, halves, "a multicast is one write to the embedded store")
	}
}
