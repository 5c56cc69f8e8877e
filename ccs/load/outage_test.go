package load_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/load"
)

// conductor runs a function at each sample of the measured part, from 1. It runs on the goroutine
// of the test.
type conductor struct {
	watcher
	at func(second int)
}

func (c *conductor) Sample(s *load.Sample) error {
	if s.Phase == load.PhaseMeasure {
		c.samples = append(c.samples, *s)
		c.at(len(c.samples))
	}
	return nil
}

// App servers and devices without a server are in an outage. Messages due in it are late because of
// it, and not because of the load tool.
func TestAServerThatIsRestarted(t *testing.T) {
	s, where := target(t, ccstest.Disk)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var down, up time.Time
	c := &conductor{at: func(second int) {
		switch second {
		case 1:
			s.Stop()
			down = time.Now()
		case 2:
			up = time.Now()
			s.Restart()
		case 4:
			cancel()
		}
	}}
	plan := short(func(p *load.Plan) { p.Rate, p.Upstream, p.Duration = 1000, 200, time.Hour })
	r, err := load.Run(ctx, plan, where, load.Options{Reporters: []load.Reporter{c}})
	require.NoError(t, err)
	exact(t, r)
	outage := up.Sub(down).Seconds()
	require.Greater(t, outage, 0.5)
	outage /= 2 // a busy machine may notice late
	assert.GreaterOrEqual(t, r.Outages.NoConnectionS, outage)
	assert.GreaterOrEqual(t, r.Outages.NoDeviceS, outage)
	assert.GreaterOrEqual(t, r.Outages.Seconds, r.Outages.NoConnectionS)
	assert.GreaterOrEqual(t, r.Outages.MeasuredS, r.Outages.NoConnectionS)
	assert.Greater(t, r.Outages.AckedPerS, r.AckedPerS, "without the outage")
	assert.Equal(t, 1, r.Outages.Count, "both sides lost their connections at once")
	assert.Len(t, r.Outages.List, 2)
	for _, o := range r.Outages.List {
		assert.False(t, o.Storm)
		assert.Less(t, o.From, o.To)
	}
	assert.GreaterOrEqual(t, r.AckMS.Max, 900*outage, "latency counts from when a message was due")
	assert.GreaterOrEqual(t, float64(r.Overdue.NoConnection.SentLate), 0.9*1000*outage)
	assert.Less(t, r.Generator.LateMS.P99, 1000*outage, "it is not the load tool that was late")
	assert.Positive(t, r.LoginFailures)
	assert.Zero(t, r.Upstream.Lost+r.Upstream.Unanswered)
	require.NotEmpty(t, r.Warnings)
	assert.Contains(t, r.Warnings[0], "no app server connected for ")
	assert.Contains(t, r.Summary(), "no device connected for ")
	seen := false
	for _, sample := range c.samples {
		if sample.Outage == load.NoConnection {
			seen = true
			assert.Contains(t, sample.String(), "NO APP SERVER CONNECTED")
		}
	}
	assert.True(t, seen)
}

// relay forwards to a server, and can go away or fall silent.
type relay struct {
	t        *testing.T
	addr, to string

	mu       sync.Mutex // guards the rest
	listener net.Listener
	conns    []net.Conn
	silent   chan struct{} // closed when nothing is silent
	running  sync.WaitGroup
}

func relayTo(t *testing.T, addr string) *relay {
	t.Helper()
	r := &relay{t: t, addr: "127.0.0.1:0", to: addr, silent: make(chan struct{})}
	close(r.silent)
	r.open()
	r.addr = r.listener.Addr().String()
	t.Cleanup(func() {
		r.close()
		r.running.Wait()
	})
	return r
}

// open accepts connections.
func (r *relay) open() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.addr)
	require.NoError(r.t, err)
	r.listener = l
	r.running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", r.to)
			if err != nil {
				near.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, near, far)
			r.mu.Unlock()
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				r.running.Go(func() {
					io.Copy(way[0], &audible{way[1], r})
					way[0].Close()
					way[1].Close()
				})
			}
		}
	})
}

// close refuses connections, and ends the existing ones.
func (r *relay) close() {
	r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

// mute forwards nothing until the returned function is called.
func (r *relay) mute() (unmute func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	silent := make(chan struct{})
	r.silent = silent
	return func() { close(silent) }
}

// audible reads only while nothing is silent.
type audible struct {
	net.Conn
	r *relay
}

func (a *audible) Read(b []byte) (int, error) {
	n, err := a.Conn.Read(b)
	a.r.mu.Lock()
	silent := a.r.silent
	a.r.mu.Unlock()
	<-silent
	return n, err
}

// A run whose server never comes back still ends, and an unmeasured value meets no threshold.
func TestAServerThatStaysAway(t *testing.T) {
	_, where := target(t)
	xmpp, mcs := relayTo(t, where.XMPP[0]), relayTo(t, where.MCS[0])
	where.XMPP, where.MCS = []string{xmpp.addr}, []string{mcs.addr}
	c := &conductor{at: func(second int) {
		if second == 1 {
			xmpp.close()
			mcs.close()
		}
	}}
	plan := short(func(p *load.Plan) {
		p.Devices, p.Rate, p.Upstream, p.Duration, p.Drain = 1, 1000, 2000, 2500*time.Millisecond, 100*time.Millisecond
	})
	r, err := load.Run(t.Context(), plan, where, load.Options{Reporters: []load.Reporter{c}})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, r.Outages.NoConnectionS, 1.0)
	require.NotEmpty(t, r.Outages.List)
	assert.True(t, r.Outages.List[0].Open)
	assert.GreaterOrEqual(t, r.Overdue.NoConnection.Unsent, int64(900), "a second's messages and more")
	assert.Zero(t, r.Overdue.NoConnection.SentLate)
	assert.Zero(t, r.Overdue.WindowFull.Unsent+r.Generator.Unsent)
	assert.Positive(t, r.Upstream.Unanswered, "what devices kept for a connection")
	assert.Zero(t, r.Lost+r.Upstream.Lost, "what the server may still have is not lost")
	assert.Equal(t, r.Sent, r.Acked+r.Unanswered)
	assert.GreaterOrEqual(t, r.Delivered+r.Waiting, r.Acked)
	assert.GreaterOrEqual(t, r.Upstream.Delivered+r.Upstream.Waiting, r.Upstream.Acked)
	assert.Positive(t, r.Upstream.Unsent)
	assert.Contains(t, strings.Join(r.Warnings, "\n"), "never sent")
	for _, text := range []string{"ack.p99<1m", "delivery.p99<1m", "upstream.ack.p99<=1m", "ack.max<1m"} {
		list, err := load.ParseExpectations(text)
		require.NoError(t, err)
		assert.Contains(t, list[0].Miss(r), "have no latency", text)
	}
}

// A server that keeps its connections and does nothing is in an outage too.
func TestAServerThatFallsSilent(t *testing.T) {
	_, where := target(t)
	xmpp := relayTo(t, where.XMPP[0])
	where.XMPP = []string{xmpp.addr}
	var unmute func()
	c := &conductor{at: func(second int) {
		switch second {
		case 1:
			unmute = xmpp.mute()
		case 3:
			unmute()
		}
	}}
	plan := short(func(p *load.Plan) { p.Duration = 3500 * time.Millisecond })
	r, err := load.Run(t.Context(), plan, where, load.Options{Reporters: []load.Reporter{c}})
	require.NoError(t, err)
	exact(t, r)
	assert.Equal(t, 1, r.Outages.Count, r.Outages.List)
	assert.Zero(t, r.Reconnects)
	assert.Zero(t, r.Outages.NoConnectionS+r.Outages.NoDeviceS)
	assert.GreaterOrEqual(t, r.Outages.NoAnswerS, 1.0)
	assert.LessOrEqual(t, r.Outages.NoAnswerS, r.Outages.Seconds)
	assert.Equal(t, load.NoAnswer, c.samples[2].Outage)
	assert.Zero(t, c.samples[2].AckMS.Count)
	assert.Contains(t, c.samples[2].String(), "ack p50 - p99 -", "there is nothing to tell of latency")
	warnings := strings.Join(r.Warnings, "\n")
	assert.Contains(t, warnings, "no answer to app servers for ")
	assert.Contains(t, warnings, "closed loop")
}

// Only delays that the server has caused excuse the load tool.
func TestWhoIsLate(t *testing.T) {
	const ms = time.Millisecond
	var e load.Excuse
	assert.Equal(t, 3*ms, e.Own(3*ms), "there is no excuse yet")
	e.Blocked(5000 * ms)
	assert.Zero(t, e.Own(5000*ms), "the first message after an outage")
	assert.Zero(t, e.Own(4000*ms), "catching up")
	assert.Zero(t, e.Own(100*ms))
	assert.Zero(t, e.Own(0))
	assert.Equal(t, 40*ms, e.Own(40*ms), "it had caught up")

	e.Blocked(1000 * ms)
	assert.Zero(t, e.Own(1000*ms))
	assert.Equal(t, 500*ms, e.Own(1500*ms), "it falls behind further, which the server has not caused")
}

// Outages that the run caused itself are counted apart, and nothing is counted twice.
func TestOutagesAddUp(t *testing.T) {
	at := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	var l load.OutageLog
	add := func(kind load.OutageKind, from, to float64) {
		l.Begin(kind, at(from))
		l.End(kind, at(to))
	}
	add(load.NoConnection, 11, 13)
	add(load.NoConnection, 13.5, 13.55) // a reconnect
	add(load.NoAnswer, 14, 14.8)        // too short to decide
	add(load.NoDevice, 12, 14)
	l.Stormed(at(15), at(17))
	add(load.NoDevice, 15.1, 17.2)
	l.Begin(load.NoDelivery, at(18))
	l.EndAll(at(21))
	l.Begin(load.NoConnection, at(21)) // all clients leave
	l.EndAll(at(30))
	got := l.Result(at(10), at(12), at(20), 4000, 2000)
	assert.Equal(t, []load.Outage{
		{Kind: load.NoConnection, From: 1, To: 3},
		{Kind: load.NoDevice, From: 2, To: 4},
		{Kind: load.NoDevice, From: 5.1, To: 7.2, Storm: true},
		{Kind: load.NoDelivery, From: 8, To: 11, Open: true},
	}, got.List)
	assert.Equal(t, 2, got.Count, "two overlap")
	assert.InDelta(t, 6, got.Seconds, 1e-9)
	assert.InDelta(t, 2, got.NoConnectionS, 1e-9)
	assert.InDelta(t, 2, got.NoDeviceS, 1e-9)
	assert.InDelta(t, 4, got.MeasuredS, 1e-9)
	assert.InDelta(t, 4000/(8-4-2.1), got.AckedPerS, 1e-6, "nor with the storm's")
}

func TestOutagesAreBounded(t *testing.T) {
	var l load.OutageLog
	for i := range 1000 {
		l.Begin(load.NoConnection, time.Duration(2*i)*time.Second)
		l.End(load.NoConnection, time.Duration(2*i+1)*time.Second)
	}
	got := l.Result(0, 0, time.Hour, 0, 0)
	assert.Equal(t, 1000, got.Count)
	assert.Equal(t, 1000.0, got.NoConnectionS)
	assert.Equal(t, 1000, len(got.List)+got.Unlisted)
	assert.Less(t, len(got.List), 500)
}
