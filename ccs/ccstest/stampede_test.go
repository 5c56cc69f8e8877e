package ccstest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"openccs/ccs/card"
	"openccs/ccs/ccsclient"
	"openccs/ccs/mcsclient"
)

var devicesFlag = flag.Int("devices", 10_000, "how many devices BenchmarkIdleDevices connects")

// census is what a server process says of itself, after a garbage collection.
type census struct {
	Goroutines int
	Heap       uint64 // bytes that are in use
	Stack      uint64
}

// answerCensus has the server process answer each line on its standard input, until that ends.
func answerCensus(in io.Reader, out io.Writer) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		json.NewEncoder(out).Encode(census{runtime.NumGoroutine(), m.HeapInuse, m.StackInuse})
	}
}

// subject is a server process that is asked what it needs.
type subject struct {
	b   *testing.B
	dir string
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (s *subject) start() (c card.Card) {
	s.b.Helper()
	s.cmd = exec.Command(os.Args[0])
	s.cmd.Env = append(os.Environ(), serveEnv+"="+s.dir)
	s.cmd.Stderr = os.Stderr
	var err error
	s.in, err = s.cmd.StdinPipe()
	require.NoError(s.b, err)
	out, err := s.cmd.StdoutPipe()
	require.NoError(s.b, err)
	require.NoError(s.b, s.cmd.Start())
	s.out = bufio.NewReader(out)
	s.answer(&c)
	return c
}

func (s *subject) answer(v any) {
	s.b.Helper()
	line, err := s.out.ReadBytes('\n')
	require.NoError(s.b, err, "the server has ended")
	require.NoError(s.b, json.Unmarshal(line, v))
}

func (s *subject) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// weigh returns the resident memory of the server in KiB, and what the server says of itself.
func (s *subject) weigh() (rss int, c census) {
	s.b.Helper()
	_, err := io.WriteString(s.in, "\n")
	require.NoError(s.b, err)
	s.answer(&c)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.b.Skip("resident memory is read from /proc: ", err)
	}
	_, value, ok := strings.Cut(string(status), "VmRSS:")
	require.True(s.b, ok)
	_, err = fmt.Sscan(value, &rss)
	require.NoError(s.b, err)
	return rss, c
}

// fleet is devices that keep themselves connected.
type fleet struct {
	online atomic.Int64
	failed atomic.Int64 // attempts
	change chan struct{}
}

// addresses is how many addresses the devices come from: each has ports enough for its part.
const addresses = 8

// run connects devices until the context ends.
func (f *fleet) run(ctx context.Context, wg *sync.WaitGroup, addr string, trust *tls.Config, ids []mcsclient.Identity) {
	for i, id := range ids {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%addresses))}}
		var here atomic.Bool
		d := mcsclient.NewDevice(addr, id, mcsclient.DeviceOptions{
			Options:   mcsclient.Options{TLS: trust, DialContext: dialer.DialContext},
			OnConnect: func() { here.Store(true); f.count(&f.online, 1) },
			OnDisconnect: func(error, time.Duration) {
				if here.Swap(false) {
					f.count(&f.online, -1)
				} else {
					f.count(&f.failed, 1)
				}
			},
		})
		wg.Go(func() { d.Run(ctx) })
	}
}

func (f *fleet) count(n *atomic.Int64, by int64) {
	n.Add(by)
	select {
	case f.change <- struct{}{}:
	default:
	}
}

// wait returns when so many are online, or fewer if below.
func (f *fleet) wait(b *testing.B, reached func(online int64) bool) time.Duration {
	b.Helper()
	start := time.Now()
	late := time.After(2 * time.Minute)
	for {
		if reached(f.online.Load()) {
			return time.Since(start)
		}
		select {
		case <-f.change:
		case <-late:
			require.FailNow(b, "the devices are not back", "%d are, %d attempts failed", f.online.Load(), f.failed.Load())
		}
	}
}

// enrol checks devices in, over one connection.
func enrol(b *testing.B, hc *http.Client, c card.Card, n int) []mcsclient.Identity {
	b.Helper()
	ids := make([]mcsclient.Identity, n)
	for i := range ids {
		var err error
		ids[i], err = mcsclient.CheckIn(b.Context(), hc, c.HTTP, mcsclient.Identity{})
		require.NoError(b, err)
	}
	return ids
}

// pulse is an app server that sends at a steady rate and notes how long each ack takes, from when the message was
// due. It ends with the context.
func pulse(ctx context.Context, c *ccsclient.Client, token string) (acks []time.Duration, refused int) {
	const every = 5 * time.Millisecond
	var mu sync.Mutex
	var wg sync.WaitGroup
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			wg.Wait()
			return acks, refused
		case due := <-tick.C:
			wg.Add(1)
			m := message(token, fmt.Sprint("p-", i))
			m.CollapseKey = "pulse" // the device may be away
			err := c.Send(ctx, m, func(r ccsclient.Reply) {
				defer wg.Done()
				took := time.Since(due)
				mu.Lock()
				defer mu.Unlock()
				if acks = append(acks, took); r.Err != nil {
					refused++
				}
			})
			if err != nil {
				wg.Done()
			}
		}
	}
}

// BenchmarkIdleDevices connects devices to a server process and weighs it: KiB of resident memory and goroutines a
// connection. Then it kills the server, starts it again, and measures how long the devices need to come back, all at
// once, and how long an app server waits for its acks meanwhile.
func BenchmarkIdleDevices(b *testing.B) {
	for b.Loop() {
		measureIdleDevices(b, *devicesFlag)
	}
}

func measureIdleDevices(b *testing.B, n int) {
	s := &subject{b: b, dir: b.TempDir()}
	where := s.start()
	defer func() { s.kill() }()
	pem, err := os.ReadFile(where.CAFile)
	require.NoError(b, err)
	roots := x509.NewCertPool()
	require.True(b, roots.AppendCertsFromPEM(pem))
	trust := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	hc := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: trust}}
	ids := enrol(b, hc, where, n)
	token, err := mcsclient.Register(b.Context(), hc, where.HTTP, ids[0], mcsclient.Registration{App: "app", Senders: []string{where.SenderID}})
	require.NoError(b, err)
	hc.CloseIdleConnections()

	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	emptyRSS, empty := s.weigh()
	f := fleet{change: make(chan struct{}, 1)}
	f.run(ctx, &wg, where.MCS, trust, ids)
	took := f.wait(b, func(online int64) bool { return online == int64(n) })
	b.Logf("%d devices are online after %.1fs, %d attempts failed", n, took.Seconds(), f.failed.Load())
	fullRSS, full := s.weigh()
	per := func(before, after uint64) float64 { return (float64(after) - float64(before)) / 1024 / float64(n) }
	b.Logf("of each connection, KiB: heap %.1f, stack %.1f", per(empty.Heap, full.Heap), per(empty.Stack, full.Stack))
	b.ReportMetric(float64(fullRSS-emptyRSS)/float64(n), "KiB/conn")
	b.ReportMetric(float64(full.Goroutines-empty.Goroutines)/float64(n), "goroutines/conn")

	s.kill()
	f.wait(b, func(online int64) bool { return online == 0 })
	f.failed.Store(0)
	s.start()
	dialCtx, done := context.WithTimeout(ctx, patience)
	defer done()
	app, err := ccsclient.Dial(dialCtx, where.XMPP, where.SenderID, where.APIKey, ccsclient.Options{TLS: trust})
	require.NoError(b, err)
	defer app.Close()
	calm, stop := context.WithCancel(ctx)
	var acks []time.Duration
	var refused int
	var beats sync.WaitGroup
	beats.Go(func() { acks, refused = pulse(calm, app, token) })
	took = f.wait(b, func(online int64) bool { return online == int64(n) })
	stop()
	beats.Wait()
	assert.Zero(b, refused)
	slices.Sort(acks)
	p99 := acks[len(acks)*99/100]
	b.Logf("all back after %.1fs, %d attempts failed; %d acks, the last after %v", took.Seconds(), f.failed.Load(), len(acks), acks[len(acks)-1])
	b.ReportMetric(took.Seconds(), "s/stampede")
	b.ReportMetric(float64(p99)/1e6, "ms/ack-p99")
}
