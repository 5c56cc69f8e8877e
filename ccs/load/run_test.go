package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/load"
	"github.com/openccs/openccs/ccs/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// short returns a plan for a test: half a second.
func short(change func(*load.Plan)) load.Plan {
	p := load.DefaultPlan()
	p.Ramp, p.Duration, p.StormFor = 100*time.Millisecond, 400*time.Millisecond, 100*time.Millisecond
	p.InFlight = 100
	if change != nil {
		change(&p)
	}
	return p
}

// target starts a server for the test, with one project more than its first.
func target(t *testing.T, opts ...ccstest.Option) (*ccstest.Server, load.Target) {
	t.Helper()
	s := ccstest.Start(t, opts...)
	c, err := admin.Dial(s.Dir())
	require.NoError(t, err)
	defer c.Close()
	other, err := c.Create(t.Context(), "other", "")
	require.NoError(t, err)
	return s, load.Target{
		XMPP: []string{s.XMPPAddr()}, MCS: []string{s.MCSAddr()}, HTTP: s.HTTPURL(), TLS: s.TLS(),
		Senders: []load.Credentials{{SenderID: s.Sender, APIKey: s.Key}, {SenderID: other.SenderID, APIKey: other.APIKey}},
	}
}

// watcher keeps the reports.
type watcher struct {
	samples []load.Sample
	results []*load.Result
	err     error // error to return for samples
}

func (w *watcher) Progress(string, int, int) error { return nil }
func (w *watcher) Sample(s *load.Sample) error     { w.samples = append(w.samples, *s); return w.err }
func (w *watcher) Result(r *load.Result) error     { w.results = append(w.results, r); return nil }

// exact checks everything that is true of each complete run.
func exact(t *testing.T, r *load.Result) {
	t.Helper()
	assert.Positive(t, r.Acked)
	assert.Equal(t, r.Sent, r.Acked+r.Nacked+r.Unanswered, "every message has an answer")
	assert.Equal(t, r.Acked, r.Delivered+r.Lost+r.Expired+r.Collapsed+r.Deleted+r.Waiting, "and an end")
	assert.Zero(t, r.Lost)
	assert.Zero(t, r.Untracked)
	assert.Zero(t, r.Misdelivered)
	assert.Zero(t, r.Unanswered)
	var sent, acked, delivered int64
	for _, s := range r.Timeline {
		sent, acked, delivered = sent+s.Sent, acked+s.Acked, delivered+s.Delivered
	}
	assert.Equal(t, []int64{r.Sent, r.Acked, r.Delivered}, []int64{sent, acked, delivered}, "the timeline adds up")
}

func TestRuns(t *testing.T) {
	mix := func(m interface{ UnmarshalText([]byte) error }, text string) {
		require.NoError(t, m.UnmarshalText([]byte(text)))
	}
	tests := []struct {
		name  string
		plan  func(*load.Plan)
		check func(*testing.T, *load.Result)
	}{
		{name: "a closed loop", check: func(t *testing.T, r *load.Result) {
			assert.Equal(t, r.Sent, r.Delivered)
			assert.Zero(t, r.Duplicated+r.OutOfOrder)
			assert.Positive(t, r.AckedPerS)
			assert.Positive(t, r.AckMS.P50)
			assert.LessOrEqual(t, r.AckMS.P50, r.AckMS.Max)
			assert.EqualValues(t, 4, r.Logins)
			for _, s := range r.Timeline {
				assert.LessOrEqual(t, s.InFlight, 100)
			}
		}},
		{
			name: "an open loop, whose messages are all sent",
			plan: func(p *load.Plan) { p.Rate, p.Connections, p.Devices = 2000, 3, 2 },
			check: func(t *testing.T, r *load.Result) {
				paced(t, 2000, r, r.Sent)
				assert.Zero(t, r.OutOfOrder)
			},
		},
		{
			name: "several senders share devices",
			plan: func(p *load.Plan) { p.Senders, p.Connections, p.Devices = 2, 2, 3 },
			check: func(t *testing.T, r *load.Result) {
				assert.Equal(t, r.Sent, r.Delivered)
				assert.Zero(t, r.OutOfOrder)
			},
		},
		{
			name: "both directions, and receipts",
			plan: func(p *load.Plan) { p.Upstream, p.Receipts = 500, 30 },
			check: func(t *testing.T, r *load.Result) {
				paced(t, 500, r, r.Upstream.Sent)
				assert.Equal(t, r.Upstream.Sent, r.Upstream.Acked)
				assert.Equal(t, r.Upstream.Sent, r.Upstream.Delivered)
				assert.Zero(t, r.Upstream.Lost+r.Upstream.Duplicated+r.Upstream.OutOfOrder)
				assert.InDelta(t, 0.3*float64(r.Sent), r.Receipts.Requested, 4)
				assert.Equal(t, r.Receipts.Requested, r.Receipts.Received)
				assert.Zero(t, r.Receipts.Lost+r.Receipts.Duplicated)
			},
		},
		{
			name: "devices over XMPP: both directions, receipts, and connections that are cut",
			plan: func(p *load.Plan) {
				p.DeviceProtocol, p.Upstream, p.Receipts, p.Storm, p.Rate = load.ProtocolXMPP, 500, 30, load.StormReconnect, 2000
			},
			check: func(t *testing.T, r *load.Result) {
				assert.EqualValues(t, 4+4, r.Logins, "each device twice")
				assert.EqualValues(t, 1+4, r.Reconnects)
				assert.Equal(t, r.Sent, r.Delivered)
				assert.Zero(t, r.OutOfOrder+r.Strays)
				paced(t, 500, r, r.Upstream.Sent)
				assert.Equal(t, r.Upstream.Sent, r.Upstream.Acked)
				assert.Equal(t, r.Upstream.Sent, r.Upstream.Delivered)
				assert.Zero(t, r.Upstream.Lost)
				assert.Equal(t, r.Receipts.Requested, r.Receipts.Received)
				assert.Zero(t, r.Receipts.Lost)
			},
		},
		{
			name: "devices over XMPP leave, and get what the server still has",
			plan: func(p *load.Plan) {
				p.DeviceProtocol, p.Devices, p.Storm, p.Rate = load.ProtocolXMPP, 1, load.StormMassOffline, 8000
			},
			check: func(t *testing.T, r *load.Result) { assert.Positive(t, r.Deleted, "of each the server keeps 100") },
		},
		{
			name: "mixed payloads, each stanza in its own record",
			plan: func(p *load.Plan) { mix(&p.Payload, "64*3,1024,4096"); p.OnePerRecord = true },
		},
		{
			name: "devices that are away",
			plan: func(p *load.Plan) { p.Away, p.Rate = true, 500 },
			check: func(t *testing.T, r *load.Result) {
				assert.Equal(t, r.Acked, r.Waiting)
				assert.Zero(t, r.Logins)
			},
		},
		{
			name: "connections that are cut",
			plan: func(p *load.Plan) { p.Storm, p.Connections = load.StormReconnect, 2 },
			check: func(t *testing.T, r *load.Result) {
				assert.EqualValues(t, 2+4, r.Reconnects)
				assert.Positive(t, r.Resent, "what the cut left unanswered")
				assert.Zero(t, r.OutOfOrder)
			},
		},
		{
			name: "a drain",
			plan: func(p *load.Plan) { p.Storm = load.StormDrain },
			check: func(t *testing.T, r *load.Result) {
				assert.EqualValues(t, 1, r.Reconnects)
				assert.Zero(t, r.Duplicated+r.OutOfOrder, "a drain leaves nothing in doubt")
			},
		},
		{
			name: "all devices leave, and get what the server still has",
			plan: func(p *load.Plan) { p.Devices, p.Storm, p.Rate = 1, load.StormMassOffline, 8000 },
			check: func(t *testing.T, r *load.Result) {
				assert.Positive(t, r.Deleted, "of each the server keeps 100")
				assert.Positive(t, r.Reconnects)
				assert.Zero(t, r.Outages.Count, "it is the run's own doing")
				assert.NotEmpty(t, r.Outages.List)
			},
		},
		{
			name:  "all devices leave, and what is for now or never is gone",
			plan:  func(p *load.Plan) { p.Storm, p.Rate = load.StormMassOffline, 2000; mix(&p.TTLs, "0") },
			check: func(t *testing.T, r *load.Result) { assert.Positive(t, r.Expired) },
		},
		{
			name:  "all devices leave, and find the newest with each key",
			plan:  func(p *load.Plan) { p.Storm, p.Rate, p.CollapseKeys = load.StormMassOffline, 2000, 2 },
			check: func(t *testing.T, r *load.Result) { assert.Positive(t, r.Collapsed) },
		},
		{name: "more in flight than the window", plan: func(p *load.Plan) { p.Storm = load.StormOverrun }},
		{name: "all log in at once", plan: func(p *load.Plan) { p.Storm, p.Devices = load.StormConnect, 50 }},
	}
	s, where := target(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, plan, where := &watcher{}, short(tt.plan), where
			if plan.DeviceProtocol == load.ProtocolXMPP {
				where.MCS = nil
			}
			r, err := load.Run(t.Context(), plan, where, load.Options{Reporters: []load.Reporter{w}, Drain: drain(s)})
			require.NoError(t, err)
			exact(t, r)
			if tt.check != nil {
				tt.check(t, r)
			}
			assert.Equal(t, []*load.Result{r}, w.results)
			assert.False(t, r.Interrupted)
			assert.GreaterOrEqual(t, r.Seconds, 0.4)
		})
	}
}

// paced checks what was sent in an open loop against its rate. On a busy machine a run lasts longer
// than its plan says, and the last messages leave while the timeline is in the drain phase already.
func paced(t *testing.T, rate float64, r *load.Result, sent int64) {
	t.Helper()
	seconds := -r.Plan.Ramp.Seconds() / 2 // the ramp counts half
	for _, s := range r.Timeline {
		seconds += s.Seconds
	}
	const late = 0.2 // seconds that a busy machine may take for the last sample
	assert.LessOrEqual(t, float64(sent), rate*(seconds*1.05+late))
	assert.GreaterOrEqual(t, float64(sent), rate*r.Plan.Duration.Seconds()/2)
}

func drain(s *ccstest.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := admin.Dial(s.Dir())
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Drain(ctx, "", "")
		return err
	}
}

// Refusals are counted by their code, and refused messages are not lost.
func TestRefusalsAreNoLosses(t *testing.T) {
	_, where := target(t, func(c *server.Config) { c.DeviceRate = 60 })
	r, err := load.Run(t.Context(), short(nil), where, load.Options{})
	require.NoError(t, err)
	exact(t, r)
	assert.Positive(t, r.Nacked)
	assert.Equal(t, map[string]int64{"DEVICE_MESSAGE_RATE_EXCEEDED": r.Nacked}, r.Nacks)
}

// Ctrl-C ends sending, and the result is as exact as any.
func TestAnInterruptedRunReports(t *testing.T) {
	_, where := target(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := &interrupter{cancel: cancel}
	r, err := load.Run(ctx, short(func(p *load.Plan) { p.Duration = time.Hour }), where, load.Options{Reporters: []load.Reporter{w}})
	require.NoError(t, err)
	exact(t, r)
	assert.True(t, r.Interrupted)
	assert.NotEmpty(t, r.Warnings)
}

// interrupter interrupts a run after measuring has begun.
type interrupter struct {
	watcher
	cancel context.CancelFunc
}

func (i *interrupter) Sample(s *load.Sample) error {
	if s.Phase == load.PhaseMeasure {
		i.cancel()
	}
	return nil
}

// A reporter that fails ends the run, because its result would be lost.
func TestAReporterThatFails(t *testing.T) {
	_, where := target(t)
	broken := errors.New("broken pipe")
	_, err := load.Run(t.Context(), short(func(p *load.Plan) { p.Duration = time.Hour }), where,
		load.Options{Reporters: []load.Reporter{&watcher{err: broken}}})
	assert.ErrorIs(t, err, broken)
}

// A run uses the devices of the previous one, as far as they suffice, and only the owner can read
// their secrets.
func TestDevicesAreKept(t *testing.T) {
	_, where := target(t)
	file := filepath.Join(t.TempDir(), "devices.json")
	type enrolled struct{ Token string }
	run := func(devices int) []enrolled {
		p := short(func(p *load.Plan) { p.Devices, p.Duration = devices, 50*time.Millisecond })
		r, err := load.Run(t.Context(), p, where, load.Options{DevicesFile: file})
		require.NoError(t, err)
		exact(t, r)
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		var kept struct{ Devices []enrolled }
		require.NoError(t, json.Unmarshal(b, &kept))
		return kept.Devices
	}
	two := run(2)
	require.Len(t, two, 2)
	three := run(3)
	require.Len(t, three, 3)
	assert.Equal(t, two, three[:2])
	assert.Equal(t, three, run(1), "those that a run does not need stay")
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var kept map[string]any
	require.NoError(t, json.Unmarshal(b, &kept))
	// This one is checked at once.
	kept["devices"].([]any)[1].(map[string]any)["security_token"] = "1"
	b, err = json.Marshal(kept)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, b, 0o600))
	for _, protocol := range []load.Protocol{load.ProtocolMCS, load.ProtocolXMPP} {
		p := short(func(p *load.Plan) { p.Devices, p.DeviceProtocol = 2, protocol })
		_, err = load.Run(t.Context(), p, where, load.Options{DevicesFile: file})
		assert.ErrorContains(t, err, "remove "+file, protocol)
	}

	_, where = target(t) // another server, which knows none of them
	assert.NotEqual(t, three[:2], run(2))
}

func TestWhatARunNeeds(t *testing.T) {
	_, where := target(t)
	t.Run("a plan that makes sense", func(t *testing.T) {
		_, err := load.Run(t.Context(), short(func(p *load.Plan) { p.Devices = 0 }), where, load.Options{})
		assert.ErrorContains(t, err, "--devices 0")
	})
	t.Run("credentials for its senders", func(t *testing.T) {
		_, err := load.Run(t.Context(), short(func(p *load.Plan) { p.Senders = 3 }), where, load.Options{})
		assert.ErrorContains(t, err, "credentials")
	})
	t.Run("a way to drain", func(t *testing.T) {
		_, err := load.Run(t.Context(), short(func(p *load.Plan) { p.Storm = load.StormDrain }), where, load.Options{})
		assert.ErrorIs(t, err, load.ErrNoDrain)
	})
	t.Run("a key that is good", func(t *testing.T) {
		where.Senders = []load.Credentials{{SenderID: where.Senders[0].SenderID, APIKey: "AIzaWrong"}}
		_, err := load.Run(t.Context(), short(nil), where, load.Options{})
		assert.ErrorContains(t, err, "not-authorized")
	})
	t.Run("a server", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		where.MCS = []string{l.Addr().String()}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = load.Run(ctx, short(nil), where, load.Options{})
		assert.Error(t, err)
	})
}

func TestOnlyThisMachineIsFairGame(t *testing.T) {
	here := load.Target{XMPP: []string{"127.0.0.1:1"}, MCS: []string{"[::1]:1"}, HTTP: "https://localhost:1"}
	assert.NoError(t, here.CheckLoopback(t.Context()))
	for _, change := range []func(*load.Target){
		func(where *load.Target) { where.XMPP = []string{"127.0.0.1:1", "192.0.2.1:1"} },
		func(where *load.Target) { where.MCS = []string{"192.0.2.1:1"} },
		func(where *load.Target) { where.HTTP = "https://192.0.2.1" },
	} {
		where := here
		change(&where)
		assert.ErrorIs(t, where.CheckLoopback(t.Context()), load.ErrNotLoopback)
	}
}

// HdrHistogram's tools can read the log: its header lines, then an ack and a delivery for each
// sample.
func TestTheHistogramLog(t *testing.T) {
	_, where := target(t)
	var log bytes.Buffer
	w := &watcher{}
	_, err := load.Run(t.Context(), short(nil), where, load.Options{Reporters: []load.Reporter{load.NewHistogramLog(&log), w}})
	require.NoError(t, err)
	assert.Contains(t, log.String(), "#[Histogram log format version 1.3]")
	assert.Equal(t, len(w.samples), bytes.Count(log.Bytes(), []byte("\nTag=ack,")))
	assert.Equal(t, len(w.samples), bytes.Count(log.Bytes(), []byte("\nTag=delivery,")))
}
