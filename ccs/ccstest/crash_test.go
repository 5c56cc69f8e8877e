package ccstest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"openccs/ccs/card"
	"openccs/ccs/ccsclient"
	"openccs/ccs/mcsclient"
	"openccs/ccs/server"
)

// serveEnv tells the test binary to be a server on the directory that it names.
const serveEnv = "CCSTEST_SERVE"

// serveChild is the server process of the crash test. It never ends by itself.
func serveChild() bool {
	dir := os.Getenv(serveEnv)
	if dir == "" {
		return false
	}
	conf := server.Default()
	conf.DataDir = dir
	conf.XMPPListen, conf.MCSListen, conf.HTTPListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	if old, err := card.Read(dir); err == nil { // back to where the clients look
		conf.XMPPListen, conf.MCSListen = old.XMPP, old.MCS
		conf.HTTPListen = old.HTTP[len("https://"):]
	}
	s, err := server.Start(context.Background(), conf)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(s.Card())
	select {}
}

// victim is a server process that is killed and started again.
type victim struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
}

func (v *victim) start() (c card.Card) {
	v.t.Helper()
	v.cmd = exec.Command(os.Args[0])
	v.cmd.Env = append(os.Environ(), serveEnv+"="+v.dir)
	v.cmd.Stderr = os.Stderr
	out, err := v.cmd.StdoutPipe()
	require.NoError(v.t, err)
	require.NoError(v.t, v.cmd.Start())
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(v.t, err, "the server did not start")
	require.NoError(v.t, json.Unmarshal(line, &c))
	return c
}

// kill is kill -9.
func (v *victim) kill() {
	v.cmd.Process.Kill()
	v.cmd.Wait()
}

// ledger is what became of each message, by both ends' own account.
type ledger struct {
	mu        sync.Mutex
	sent      int
	acked     map[string]bool
	delivered map[string]int
}

// An ACK is a promise: a server that is killed again and again, with a thousand messages in flight, loses none
// that it acknowledged and makes none up.
func TestKillNine(t *testing.T) {
	const kills = 20
	v := &victim{t: t, dir: t.TempDir()}
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
	token, err := mcsclient.Register(ctx, hc, where.HTTP, id, mcsclient.Registration{App: "app", Senders: []string{where.SenderID}})
	require.NoError(t, err)

	l := ledger{acked: map[string]bool{}, delivered: map[string]int{}}
	progress := make(chan struct{}, 1)
	dev := mcsclient.NewDevice(where.MCS, id, mcsclient.DeviceOptions{
		Options: mcsclient.Options{TLS: trust, OnMessage: func(m *mcsclient.Message) {
			key, _ := m.Get("id")
			if key == "" {
				key = m.Type
			}
			l.mu.Lock()
			l.delivered[key]++
			l.mu.Unlock()
			select {
			case progress <- struct{}{}:
			default:
			}
		}},
		Backoff: func(int) time.Duration { return 5 * time.Millisecond },
	})
	var wg sync.WaitGroup
	wg.Go(func() { dev.Run(ctx) })
	stop := make(chan struct{})
	var connected atomic.Int32
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			c, err := ccsclient.Dial(ctx, where.XMPP, where.SenderID, where.APIKey, ccsclient.Options{TLS: trust})
			if err != nil {
				time.Sleep(5 * time.Millisecond)
				continue
			}
			connected.Add(1)
			sendUntilItEnds(ctx, c, token, &l, stop)
			c.Close()
		}
	})

	for range kills {
		before := connected.Load()
		require.Eventually(t, func() bool { return connected.Load() > before || before > 0 && connected.Load() == before }, patience, time.Millisecond)
		time.Sleep(time.Duration(50+rand.IntN(250)) * time.Millisecond) // a moment of traffic; when exactly is what the test varies
		v.kill()
		v.start()
	}
	time.Sleep(100 * time.Millisecond)
	close(stop)

	missing := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for id := range l.acked {
			if l.delivered[id] == 0 {
				n++
			}
		}
		return n
	}
	late := time.After(patience)
	for missing() > 0 {
		select {
		case <-progress:
			time.Sleep(time.Millisecond)
		case <-late:
			l.mu.Lock()
			markers := l.delivered[mcsclient.TypeDeletedMessages]
			l.mu.Unlock()
			require.FailNow(t, "acknowledged messages are lost", "%d of %d; deleted_messages came %d times", missing(), len(l.acked), markers)
		}
	}
	cancel()
	wg.Wait()
	repeated := 0
	for id, n := range l.delivered {
		var seq int
		_, err := fmt.Sscanf(id, "m-%d", &seq)
		assert.True(t, err == nil && seq < l.sent, "%q was never sent", id)
		if n > 1 {
			repeated++
		}
	}
	assert.Zero(t, repeated, "the device names what it has at each login")
	t.Logf("%d kills: sent %d, acked %d, delivered %d, lost 0, repeated %d", kills, l.sent, len(l.acked), len(l.delivered), repeated)
	assert.Greater(t, len(l.acked), 1000*kills/10, "there was traffic worth the name")
}

// sendUntilItEnds keeps the window of a connection full.
func sendUntilItEnds(ctx context.Context, c *ccsclient.Client, token string, l *ledger, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-c.Done():
			return
		default:
		}
		l.mu.Lock()
		id := fmt.Sprint("m-", l.sent)
		l.sent++
		l.mu.Unlock()
		c.Send(ctx, message(token, id), func(r ccsclient.Reply) {
			if r.Err == nil {
				l.mu.Lock()
				l.acked[r.MessageID] = true
				l.mu.Unlock()
			}
		})
	}
}
