package ccstest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/card"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"

	core "github.com/openccs/openccs/ccs"
)

// maxProjects is the maximum number of senders of a registration. More app servers share them.
const maxProjects = 50

const benchApp = "com.example.app"

// bed is a server process whose store holds the projects and devices of a shape.
type bed struct {
	victim
	card    card.Card
	trust   *tls.Config
	senders []admin.Credentials
	devices []mcsclient.Identity // devices that connect and send or receive
	idle    []mcsclient.Identity // devices that connect and receive nothing
	tokens  []string             // registration tokens, or channel IDs, that receive messages
	access  string               // access token for GCM for Chrome
	started time.Duration        // from exec until all listeners accept
}

func (s *shape) makeBed(b testing.TB) *bed {
	bed := &bed{victim: victim{t: b, dir: b.TempDir(), store: s.store}}
	bed.observer = s.observer
	if *countSyncs {
		bed.syncs = "1"
	}
	bed.card = bed.start()
	b.Cleanup(func() { bed.kill() })
	pem, err := os.ReadFile(bed.card.CAFile)
	require.NoError(b, err)
	roots := x509.NewCertPool()
	require.True(b, roots.AppendCertsFromPEM(pem))
	bed.trust = &tls.Config{RootCAs: roots, ServerName: "localhost"}
	bed.senders = []admin.Credentials{{SenderID: bed.card.SenderID, APIKey: bed.card.APIKey}}
	projects, err := admin.Dial(bed.dir)
	require.NoError(b, err)
	defer projects.Close()
	for len(bed.senders) < min(s.senders, maxProjects) {
		made, err := projects.Create(context.Background(), "more", "")
		require.NoError(b, err)
		bed.senders = append(bed.senders, *made)
	}
	if !s.away {
		bed.enrol(b, s.devices)
	}
	bed.checkIn(b, s.idle)
	if s.chrome {
		bed.openChannels(b, projects)
	}
	if s.store == "memory:" {
		return bed
	}
	bed.kill()
	if s.away || s.queued > 0 {
		bed.fill(b, s)
	}
	began := time.Now()
	bed.card = bed.start()
	bed.started = time.Since(began)
	return bed
}

// senderIDs returns the sender IDs of the projects.
func (d *bed) senderIDs() (ids []string) {
	for _, s := range d.senders {
		ids = append(ids, s.SenderID)
	}
	return ids
}

// enrol makes devices that can connect.
func (d *bed) enrol(b testing.TB, n int) {
	hc := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: d.trust}}
	defer hc.CloseIdleConnections()
	for range n {
		id, err := mcsclient.CheckIn(context.Background(), hc, d.card.HTTP, mcsclient.Identity{})
		require.NoError(b, err)
		token, err := mcsclient.Register(context.Background(), hc, d.card.HTTP, id, mcsclient.Registration{App: benchApp, Senders: d.senderIDs()})
		require.NoError(b, err)
		d.devices, d.tokens = append(d.devices, id), append(d.tokens, token)
	}
}

// checkIn makes devices without a registration.
func (d *bed) checkIn(b testing.TB, n int) {
	hc := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: d.trust}}
	defer hc.CloseIdleConnections()
	d.idle = enrol(b, hc, d.card, n)
}

// fill fills the store of a stopped server with devices that never connect, and with messages that
// wait.
func (d *bed) fill(b testing.TB, s *shape) {
	conf := server.Default()
	conf.DataDir, conf.Store = d.dir, "disk:"
	st, err := server.OpenStore(context.Background(), conf)
	require.NoError(b, err)
	var g errgroup.Group
	g.SetLimit(64)
	var mu sync.Mutex
	now := time.Now()
	for i := range s.devices {
		if !s.away {
			break
		}
		g.Go(func() error {
			reg, err := st.Register(context.Background(), store.Registration{
				Token: fmt.Sprintf("APA91b%0134d", i), Device: uint64(1 + i), App: benchApp, Senders: d.senderIDs(), Created: now,
			}, now)
			if err == nil {
				mu.Lock()
				d.tokens = append(d.tokens, reg.Token)
				mu.Unlock()
			}
			return err
		})
	}
	m := core.Message{Kind: core.DataMessage, TTL: time.Hour, From: d.card.SenderID, App: benchApp, ID: "m", Data: stanza.Data{}.Append("k", benchValue)}
	batch := make([]store.Entry, chunk)
	for done := 0; done < s.queued; done += len(batch) {
		for i := range batch {
			batch[i] = store.Entry{
				Key:  core.DeviceID(1 + (done+i)*7919%(s.queued/10)).Key(),
				Rank: store.RankNormal, App: benchApp, Accepted: now, Expires: now.Add(time.Hour),
				Limit: store.Limit{Messages: 100, CollapseKeys: 4, Overflow: store.Discard}, Body: m.Append(nil),
			}
		}
		_, err := st.Put(context.Background(), batch, now)
		require.NoError(b, err)
	}
	require.NoError(b, g.Wait())
	require.NoError(b, st.Close())
}

// connect connects the clients, which start to work.
func (s *shape) connect(b testing.TB, d *bed, l *load) {
	var g errgroup.Group
	run := func(e *endpoint, read func()) {
		g.Go(func() error { read(); return nil })
		b.Cleanup(func() { e.nc.NetConn().Close() })
	}
	b.Cleanup(func() { g.Wait() })
	for _, id := range d.devices {
		dev := l.device(b, d, id)
		run(&dev.endpoint, dev.read)
		if s.up {
			l.sending.Add(1)
			go dev.send(dev.message)
		}
	}
	for i := range s.http {
		h := l.httpSender(b, d, i)
		run(&h.endpoint, func() {})
		l.sending.Add(1)
		go h.sendRequests()
	}
	for i := range s.senders {
		if s.http > 0 {
			break
		}
		p := &d.senders[i%len(d.senders)]
		app := l.appServer(b, d, p.SenderID, p.APIKey)
		app.number = i
		run(&app.endpoint, app.read)
		if !s.up {
			l.sending.Add(1)
			go app.send(app.message)
		}
	}
	for _, id := range d.idle {
		dev := l.device(b, d, id)
		run(&dev.endpoint, dev.read)
	}
}

// cpu returns the CPU time that the server has used.
func (d *bed) cpu(b testing.TB) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	require.NoError(b, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')'):]))
	user, err := strconv.Atoi(fields[12])
	require.NoError(b, err)
	system, err := strconv.Atoi(fields[13])
	require.NoError(b, err)
	const tick = 10 * time.Millisecond // sysconf(_SC_CLK_TCK) is 100 on every Linux
	return time.Duration(user+system) * tick
}

// synced returns the number of syncs that the server has counted.
func (d *bed) synced() int64 {
	info, err := os.Stat(filepath.Join(d.dir, syncsFile))
	if err != nil {
		return 0
	}
	return info.Size()
}

// allocs returns the number of memory allocations of the server.
func (d *bed) allocs(b testing.TB) (n int) {
	text, err := d.control("/debug/pprof/allocs?debug=1")
	require.NoError(b, err)
	_, count, _ := strings.Cut(string(text), "# Mallocs = ")
	_, err = fmt.Sscan(count, &n)
	require.NoError(b, err)
	return n
}

// resident returns the memory of the server in MiB.
func (d *bed) resident(b testing.TB) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", d.cmd.Process.Pid))
	require.NoError(b, err)
	var size, pages float64
	_, err = fmt.Sscan(string(text), &size, &pages)
	require.NoError(b, err)
	return pages * float64(os.Getpagesize()) / (1 << 20)
}

// control requests a path from the server's control socket.
func (d *bed) control(path string) ([]byte, error) {
	hc := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		text, err := os.ReadFile(filepath.Join(d.dir, "control.json"))
		if err != nil {
			return nil, err
		}
		var at struct{ Socket string }
		if err := json.Unmarshal(text, &at); err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, "unix", at.Socket)
	}}}
	resp, err := hc.Get("http://ccs" + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, resp.Status)
	}
	return io.ReadAll(resp.Body)
}
