package ccstest_test

import (
	"bufio"
	"bytes"
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

// fleetEnv tells the test binary to be devices: what fleetOrder says, on its standard input.
const fleetEnv = "CCSTEST_FLEET"

// fleetOrder is which devices a process is to keep connected.
type fleetOrder struct {
	MCS    string
	CAFile string
	IDs    []mcsclient.Identity
}

// report is how a fleet is doing. The process writes one for every change, or for several at once.
type report struct {
	Online int
	Failed int // attempts
}

// addresses is how many addresses the devices come from: each has ports enough for its part.
const addresses = 8

// fleetChild is the process of the devices. They live until it is killed.
func fleetChild() bool {
	if os.Getenv(fleetEnv) == "" {
		return false
	}
	var order fleetOrder
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pem, _ := os.ReadFile(order.CAFile)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	trust := &tls.Config{RootCAs: roots, ServerName: "localhost"}

	var mu sync.Mutex
	var now report
	change := make(chan struct{}, 1)
	count := func(n *int, by int) {
		mu.Lock()
		*n += by
		mu.Unlock()
		select {
		case change <- struct{}{}:
		default:
		}
	}
	for i, id := range order.IDs {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%addresses))}}
		var here atomic.Bool
		d := mcsclient.NewDevice(order.MCS, id, mcsclient.DeviceOptions{
			Options:   mcsclient.Options{TLS: trust, DialContext: dialer.DialContext},
			OnConnect: func() { here.Store(true); count(&now.Online, 1) },
			OnDisconnect: func(error, time.Duration) {
				if here.Swap(false) {
					count(&now.Online, -1)
				} else {
					count(&now.Failed, 1)
				}
			},
		})
		go d.Run(context.Background())
	}
	for out := json.NewEncoder(os.Stdout); ; {
		<-change
		mu.Lock()
		r := now
		mu.Unlock()
		if out.Encode(r) != nil {
			return true
		}
	}
}

// fleet is a process of devices.
type fleet struct {
	b   *testing.B
	cmd *exec.Cmd
	out *json.Decoder
}

func (f *fleet) start(order fleetOrder) {
	f.b.Helper()
	f.cmd = exec.Command(os.Args[0])
	f.cmd.Env = append(os.Environ(), fleetEnv+"=1")
	f.cmd.Stderr = os.Stderr
	in, err := json.Marshal(order)
	require.NoError(f.b, err)
	f.cmd.Stdin = bytes.NewReader(in)
	out, err := f.cmd.StdoutPipe()
	require.NoError(f.b, err)
	require.NoError(f.b, f.cmd.Start())
	f.out = json.NewDecoder(out)
}

// wait returns when so many are online.
func (f *fleet) wait(online int) (took time.Duration, failed int) {
	f.b.Helper()
	start := time.Now()
	for {
		var r report
		require.NoError(f.b, f.out.Decode(&r), "the devices have ended")
		if r.Online == online {
			return time.Since(start), r.Failed
		}
		require.Less(f.b, time.Since(start), 2*time.Minute, "%+v", r)
	}
}

func (f *fleet) kill() {
	f.cmd.Process.Kill()
	f.cmd.Wait()
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

	emptyRSS, empty := s.weigh()
	f := &fleet{b: b}
	f.start(fleetOrder{MCS: where.MCS, CAFile: where.CAFile, IDs: ids})
	defer f.kill()
	took, failed := f.wait(n)
	b.Logf("%d devices are online after %.1fs, %d attempts failed", n, took.Seconds(), failed)
	fullRSS, full := s.weigh()
	per := func(before, after uint64) float64 { return (float64(after) - float64(before)) / 1024 / float64(n) }
	b.Logf("of each connection, KiB: heap %.1f, stack %.1f", per(empty.Heap, full.Heap), per(empty.Stack, full.Stack))
	b.ReportMetric(float64(fullRSS-emptyRSS)/float64(n), "KiB/conn")
	b.ReportMetric(float64(full.Goroutines-empty.Goroutines)/float64(n), "goroutines/conn")

	s.kill()
	_, before := f.wait(0)
	s.start()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	app, err := ccsclient.Dial(ctx, where.XMPP, where.SenderID, where.APIKey, ccsclient.Options{TLS: trust})
	require.NoError(b, err)
	defer app.Close()
	var acks []time.Duration
	var refused int
	var beats sync.WaitGroup
	sending, stop := context.WithCancel(ctx)
	beats.Go(func() { acks, refused = pulse(sending, app, token) })
	took, failed = f.wait(n)
	stop()
	beats.Wait()
	assert.Zero(b, refused)
	slices.Sort(acks)
	p99 := acks[len(acks)*99/100]
	b.Logf("all back after %.1fs, %d attempts failed; %d acks, the last after %v", took.Seconds(), failed-before, len(acks), acks[len(acks)-1])
	b.ReportMetric(took.Seconds(), "s/stampede")
	b.ReportMetric(float64(p99)/1e6, "ms/ack-p99")
}
