package ccstest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/openccs/openccs/ccs"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/diskstore/disktest"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// serveEnv makes the test binary a server on the directory in its value. storeEnv names the store
// if it is not the embedded one. auditEnv makes the server count messages, and syncsEnv the syncs
// of its files.
const (
	serveEnv = "CCSTEST_SERVE"
	storeEnv = "CCSTEST_STORE"
	auditEnv = "CCSTEST_AUDIT"
	syncsEnv = "CCSTEST_SYNCS"

	observerEnv = "CCSTEST_OBSERVER"
)

// syncsFile is the file in the data directory with a byte for each sync of a file, if syncs are
// counted.
const syncsFile = "syncs"

// countingSyncs makes a server count the syncs of its files.
func countingSyncs(conf *server.Config) {
	conf.OpenDisk = func(dir string) (store.Store, error) {
		count, err := os.OpenFile(filepath.Join(conf.DataDir, syncsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		disk := disktest.New(1 << 40)
		disk.Break(func(op disktest.Op, _ string) error {
			if op == disktest.Sync {
				_, err := count.Write([]byte{'.'})
				return err
			}
			return nil
		})
		return diskstore.Open(dir, diskstore.Options{}.WithFS(disk))
	}
}

// serveChild is the server process of the crash test and of the benchmarks. It ends with its input,
// at the latest at the end of the test.
func serveChild() bool {
	dir := os.Getenv(serveEnv)
	if dir == "" {
		return false
	}
	conf := server.Default()
	conf.SenderBacklog = 1_000_000 // one device sends for many, whose shares are a hundredth each
	conf.DataDir = dir
	// This logger costs as much as a real one.
	conf.Logger = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.InfoLevel))
	conf.XMPPListen, conf.MCSListen, conf.HTTPListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	if url := os.Getenv(storeEnv); url != "" {
		ccstest.Store(url)(&conf)
		conf.RememberRepeats = true
		beating(&conf)
	}
	if os.Getenv(syncsEnv) != "" {
		countingSyncs(&conf)
	}
	if old, err := card.Read(dir); err == nil { // listen where the clients expect the server
		conf.XMPPListen, conf.MCSListen = old.XMPP, old.MCS
		conf.HTTPListen = old.HTTP[len("https://"):]
	}
	var verdict error
	if os.Getenv(auditEnv) != "" {
		atStart := waitingIn(conf)
		conf.Audit = func(tally *ccs.Tally, st store.Store) error {
			verdict = auditLife(tally, st, atStart)
			return verdict
		}
	}
	if os.Getenv(observerEnv) != "" {
		conf.Observer = newEventRing()
	}
	server.TuneGC()
	s, err := server.Start(context.Background(), conf)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(s.Card())
	answerCensus(os.Stdin, os.Stdout) // until the test ends in any way
	if conf.Audit != nil {
		s.Shutdown(context.Background())
		json.NewEncoder(os.Stdout).Encode(fmt.Sprint(verdict))
	}
	os.Exit(0)
	return true
}

// waitingIn counts the contents of a store before a server starts on it. On Redis, other nodes must
// be dead for that.
func waitingIn(conf server.Config) map[ccs.Direction]int64 {
	st, err := server.OpenStore(context.Background(), conf)
	if err == nil {
		defer st.Close()
		var waiting map[ccs.Direction]int64
		for late := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			waiting, err = ccstest.Waiting(context.Background(), st)
			if !errors.Is(err, store.ErrLocked) || time.Now().After(late) {
				break
			}
		}
		if err == nil {
			return waiting
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
	return nil
}

// auditLife compares the counts of one life of a server with the messages that waited before and
// after it.
func auditLife(tally *ccs.Tally, st store.Store, before map[ccs.Direction]int64) error {
	after, err := ccstest.Waiting(context.Background(), st)
	errs := []error{err}
	for d := ccs.Down; d <= ccs.Receipts; d++ {
		c := tally.Counts(d)
		errs = append(errs, ccstest.Accounted(&c, after[d]-before[d]))
	}
	if c := tally.Counts(ccs.Down); c.Accepted == 0 {
		errs = append(errs, errors.New("no message was accepted"))
	}
	return errors.Join(errs...)
}

// victim is a server process that the test kills and starts again.
type victim struct {
	t        testing.TB
	dir      string
	store    string // "" for the embedded one
	audit    string // set to make the next life count messages
	syncs    string // set to count the syncs of files
	observer string // "ring" for one that encodes each event into a ring
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *json.Decoder
}

// start starts the server. It tries again for a while: a client that dials the port of a dead
// server may have connected to itself, and then holds the port.
func (v *victim) start() card.Card {
	v.t.Helper()
	for late := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := v.tryStart()
		if err == nil {
			return c
		}
		v.kill()
		require.True(v.t, time.Now().Before(late), "the server did not start: %v", err)
	}
}

func (v *victim) tryStart() (c card.Card, err error) {
	v.t.Helper()
	v.cmd = exec.Command(os.Args[0])
	v.cmd.Env = append(os.Environ(), serveEnv+"="+v.dir, storeEnv+"="+v.store, auditEnv+"="+v.audit, syncsEnv+"="+v.syncs, observerEnv+"="+v.observer)
	v.cmd.Stderr = os.Stderr
	v.in, err = v.cmd.StdinPipe()
	require.NoError(v.t, err)
	out, err := v.cmd.StdoutPipe()
	require.NoError(v.t, err)
	require.NoError(v.t, v.cmd.Start())
	v.out = json.NewDecoder(out)
	err = v.out.Decode(&c)
	return c, err
}

// kill ends the process like kill -9.
func (v *victim) kill() {
	v.cmd.Process.Kill()
	v.cmd.Wait()
}

// stop ends the server on purpose, and checks that it has accounted for each message of its last
// life. The counts of earlier lives died with them.
func (v *victim) stop() {
	v.t.Helper()
	require.NoError(v.t, v.in.Close())
	var verdict string
	require.NoError(v.t, v.out.Decode(&verdict))
	assert.Equal(v.t, "<nil>", verdict)
}

// An ACK is a promise. A server that is killed again and again, with a thousand messages in flight,
// loses no acknowledged message and invents none. Its client sends unanswered messages again, and
// those that were stored come no second time (CCS 4.3).
func TestKillNine(t *testing.T) {
	t.Run("disk", func(t *testing.T) { killNine(t, "", 20) })
	t.Run("redis", func(t *testing.T) { killNine(t, redistest.Single(t).URL(""), 8) })
}

func killNine(t *testing.T, url string, kills int) {
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
	token, err := mcsclient.Register(ctx, hc, where.HTTP, id, mcsclient.Registration{App: "app", Senders: []string{where.SenderID}})
	require.NoError(t, err)

	l := newLedger()
	l.resend = true
	online := make(chan struct{})
	dev := mcsclient.NewDevice(where.MCS, id, mcsclient.DeviceOptions{
		Options:   mcsclient.Options{TLS: trust, OnMessage: l.deliver},
		OnConnect: sync.OnceFunc(func() { close(online) }),
		Backoff:   func(int) time.Duration { return 5 * time.Millisecond },
	})
	var wg sync.WaitGroup
	wg.Go(func() { dev.Run(ctx) })
	// More than a hundred messages for a device that never connected would be discarded (CCS 5.5).
	<-online
	var senders sync.WaitGroup
	stop := make(chan struct{})
	var connected atomic.Int32
	senders.Go(func() {
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
			l.sendUntilItEnds(ctx, c, token, stop)
			c.Close()
		}
	})

	for life := range kills {
		if life == kills-1 {
			v.audit = "yes" // for the life that begins after this kill
		}
		before, acked := connected.Load(), l.ackedSoFar()
		require.Eventually(t, func() bool { return connected.Load() > before || before > 0 && connected.Load() == before }, patience, time.Millisecond)
		// On Redis, a device gets service after the other nodes have declared its last node dead.
		require.Eventually(t, func() bool { return l.ackedSoFar() > acked+1000 }, patience, time.Millisecond)
		// The traffic before the kill lasts a random moment.
		time.Sleep(time.Duration(50+rand.IntN(250)) * time.Millisecond)
		v.kill()
		v.start()
	}
	acked := l.ackedSoFar()
	require.Eventually(t, func() bool { return l.ackedSoFar() > acked }, patience, time.Millisecond)
	close(stop)
	senders.Wait()
	l.nothingIsLost(t)
	cancel()
	wg.Wait()
	v.stop()
	t.Logf("%d kills: %s", kills, l)
	assert.Zero(t, l.repeated(t), "the device names what it has at each login, and the server knows what is sent again")
	assert.Greater(t, len(l.acked), 1000*kills/10, "there was traffic worth the name")
}
