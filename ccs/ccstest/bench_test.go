package ccstest_test

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shape is one kind of load. The server runs in its own process, so that its CPU time can be told
// from that of the clients, which share the machine with it. A number that is zero means one.
type shape struct {
	name      string
	store     string // "memory:" or, by default, "disk:"
	senders   int    // projects, each with one connection of an app server
	devices   int    // devices that receive or send the messages
	window    int    // unanswered messages of a connection; default 1000
	away      bool   // the devices are not connected
	up        bool   // the devices send the messages
	perRecord bool   // one stanza per TLS record, as simple clients do
	rate      int    // messages a second; 0: as the window allows
	queued    int    // other devices that have ten waiting messages each
	idle      int    // devices that are connected and receive nothing
	value     string // of a message's only pair; default benchValue
	bad       bool   // the messages have no addressee
	hold      bool   // the devices acknowledge nothing
	observer  string // "ring" for one that encodes each event into a ring; "" for none
	http      int    // keep-alive connections over HTTP that send the messages; 0: XMPP
	multicast int    // recipients of each request over HTTP; 0: one, as "to"
	chrome    bool   // the requests go to channels of GCM for Chrome, each with an instance
}

func (s *shape) text() string { return cmp.Or(s.value, benchValue) }

// arrives reports whether messages reach the other end. One to a channel may be replaced by its
// successor.
func (s *shape) arrives() bool { return !s.away && !s.bad && !s.hold && !s.chrome }

// refused reports whether messages are nacked.
func (s *shape) refused() bool { return s.bad || s.hold }

var shapes = []shape{
	{name: "Downstream"},
	{name: "DownstreamMemory", store: "memory:"},
	{name: "Away", devices: 20_000, away: true},
	{name: "Upstream", up: true},
	{name: "HundredDevices", devices: 100},
	{name: "TenSenders", senders: 10, devices: 100},
	{name: "OnePerRecord", perRecord: true},
	{name: "Rate5k", rate: 5000},
	{name: "Rate20k", rate: 20_000},
	{name: "Senders200", senders: 200, devices: 100, window: 100},
	{name: "Queued1M", queued: 1_000_000},
	{name: "QueuedAway1M", queued: 1_000_000, devices: 20_000, away: true},
	{name: "QueuedUpstream1M", queued: 1_000_000, up: true},
	{name: "Idle10k", idle: 10_000},
	{name: "HTTPSingle", http: 64},
	{name: "HTTPSingle100Devices", http: 64, devices: 100},
	{name: "HTTPMulticast1000", http: 2, multicast: 1000, devices: 1000},
	{name: "HTTPMulticast1000Away", http: 2, multicast: 1000, devices: 20_000, away: true},
	{name: "Chrome", http: 64, devices: 1000, chrome: true},
	{name: "ThousandDevices", devices: 1000}, // the same as HTTPMulticast1000 over XMPP
}

// chunk is the number of messages that one iteration of a benchmark gives to the clients.
const chunk = 1000

// BenchmarkServer measures the messages of each shape from the socket to the last acknowledgement.
// It reports the CPU time of the server per message, the rate of answers per second, and how long
// the answers took.
func BenchmarkServer(b *testing.B) {
	for _, s := range shapes {
		s.senders, s.devices, s.window = cmp.Or(s.senders, 1), cmp.Or(s.devices, 1), cmp.Or(s.window, 1000)
		b.Run(s.name, func(b *testing.B) { s.run(b) })
	}
}

func (s shape) run(b *testing.B) {
	m := s.measure(b, func(l *load) {
		for b.Loop() {
			l.hand(chunk)
		}
	})
	n := float64(m.messages)
	b.ReportMetric(0, "ns/op") // of a chunk
	b.ReportMetric(float64(m.cpu.Nanoseconds())/1000/n, "server-µs/msg")
	b.ReportMetric(n/m.took.Seconds(), "acked/s")
	b.ReportMetric(m.load.percentile(0.50), "p50-ms")
	b.ReportMetric(m.load.percentile(0.99), "p99-ms")
	b.ReportMetric(float64(m.allocs)/n, "allocs/msg")
	b.ReportMetric(m.rest, "rest-MiB")
	b.ReportMetric(m.memory, "MiB")
	b.ReportMetric(float64(m.started.Milliseconds()), "start-ms")
	if *countSyncs {
		b.ReportMetric(float64(m.syncs)/n, "syncs/msg")
	}
}

// measured is the cost of a load for the server.
type measured struct {
	*load
	messages     int64
	cpu, took    time.Duration // of the server; from the first message to the last answer
	allocs       int
	rest, memory float64       // MiB before and after
	started      time.Duration // from the server's start until it accepts
	syncs        int64         // of files, if they are counted
}

// measure runs the load that drive gives to the clients.
func (s *shape) measure(b testing.TB, drive func(*load)) *measured {
	bed := s.makeBed(b)
	l := &load{shape: s, work: make(chan int), failed: make(chan struct{})}
	s.connect(b, bed, l)
	m := &measured{load: l, rest: bed.resident(b), started: bed.started}
	l.warm()
	profiled := bed.profile(b, s.name)
	m.messages, m.allocs, m.cpu, m.syncs = -l.sent.Load(), -bed.allocs(b), -bed.cpu(b), -bed.synced()
	began := time.Now()
	drive(l)
	close(l.work)
	l.sending.Wait()
	m.took = time.Since(began)
	l.arrived() // at the other end, and the server knows
	require.NoError(b, l.err)
	m.cpu += bed.cpu(b)
	m.allocs += bed.allocs(b)
	m.syncs += bed.synced()
	m.messages += l.sent.Load()
	m.memory = bed.resident(b)
	profiled()
	return m
}

// load is the state that the clients of a run share.
type load struct {
	*shape
	work    chan int // numbers of messages to send
	sending sync.WaitGroup
	sent    atomic.Int64
	got     atomic.Int64 // at the far ends

	once   sync.Once
	failed chan struct{} // closed when a client has failed
	err    error         // the reason; set before failed is closed

	mu   sync.Mutex
	took []time.Duration // from when a message was due to its answer
}

// fail ends the run, unless the connection was closed at its end.
func (l *load) fail(err error) {
	if !errors.Is(err, net.ErrClosed) {
		l.once.Do(func() { l.err = err; close(l.failed) })
	}
}

// hand gives the clients messages to send. They take few at a time, so that none runs far ahead of
// its window.
func (l *load) hand(messages int) {
	few := 100
	if l.http > 0 {
		few = max(l.multicast, 10) // the connections are many, or each request is large
	}
	for ; messages > 0; messages -= few {
		select {
		case l.work <- few:
		case <-l.failed:
			return
		}
	}
}

// warm sends a message to every device, so that a server that has just started knows them.
func (l *load) warm() {
	l.hand(max(l.devices, chunk))
	l.arrived()
	l.mu.Lock()
	l.took = l.took[:0]
	l.mu.Unlock()
}

// arrived waits until all messages have arrived.
func (l *load) arrived() {
	late := time.After(patience)
	for l.arrives() && l.got.Load() < l.sent.Load() {
		select {
		case <-time.After(time.Millisecond):
		case <-l.failed:
			return
		case <-late:
			l.fail(fmt.Errorf("%d of %d messages arrived", l.got.Load(), l.sent.Load()))
			return
		}
	}
}

func (l *load) percentile(p float64) float64 {
	slices.Sort(l.took)
	return float64(l.took[int(p*float64(len(l.took)-1))].Microseconds()) / 1000
}

// profileDir is the directory for the server's profiles of each shape.
var profileDir = flag.String("serverprofile", "", "write CPU and allocation profiles of the server into this directory")

// countSyncs makes the server count the syncs of its files, which costs it a little.
var countSyncs = flag.Bool("serversyncs", false, "report the server's file syncs per message")

// profile starts to profile the server. The returned function writes the profile.
func (d *bed) profile(b testing.TB, name string) func() {
	if *profileDir == "" {
		return func() {}
	}
	path := func(kind string) string {
		return filepath.Join(*profileDir, strings.ToLower(name)+"."+kind+".pprof")
	}
	var done sync.WaitGroup
	done.Go(func() { d.save(b, "/debug/pprof/profile?seconds=3", path("cpu")) })
	return func() {
		done.Wait()
		d.save(b, "/debug/pprof/allocs", path("allocs"))
	}
}

func (d *bed) save(b testing.TB, from, to string) {
	got, err := d.control(from)
	if err == nil {
		err = os.WriteFile(to, got, 0o600)
	}
	if err != nil {
		b.Error(err)
	}
}
