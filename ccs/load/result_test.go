package load_test

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/load"
)

func TestExpectations(t *testing.T) {
	cpu := 7.5
	r := &load.Result{Plan: load.DefaultPlan(), Lost: 3, AckedPerS: 1000.5, AckMS: load.Latency{P99: 12.5}, ServerCPU: &cpu}
	r.Upstream.DeliveryMS.Max = 700
	tests := []struct {
		text string
		miss string // its beginning; "" if the threshold is met
	}{
		{text: "lost=3"},
		{text: "lost!=3", miss: "lost!=3: it is 3"},
		{text: "lost<=3"},
		{text: "lost<3", miss: "lost<3: it is 3"},
		{text: "acked_per_s>1000"},
		{text: "acked_per_s>=2000", miss: "acked_per_s>=2000: it is 1000.5"},
		{text: "ack.p99<13ms"},
		{text: "ack_ms.p99<12.6"},
		{text: "ack.p99<10ms", miss: "ack.p99<10ms: it is 12.5"},
		{text: "ack.p99<1s"},
		{text: " upstream.delivery.max < 700ms", miss: "upstream.delivery.max < 700ms: it is 700"},
		{text: "server_cpu_us_per_message<8"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			list, err := load.ParseExpectations(tt.text)
			require.NoError(t, err)
			require.Len(t, list, 1)
			assert.Equal(t, tt.miss, list[0].Miss(r))
		})
	}
	list, err := load.ParseExpectations("ack.p99<10ms,lost=0")
	require.NoError(t, err)
	assert.Len(t, list, 2)
	r.DeliveryMS = load.Latency{}
	list, err = load.ParseExpectations("delivery.p99<10ms")
	require.NoError(t, err)
	assert.Contains(t, list[0].Miss(r), "no such figure", "nothing was delivered")
	r.AckMS, r.Overdue.NoConnection.Unsent = load.Latency{Count: 990, P99: 1, Max: 2}, 9
	list, err = load.ParseExpectations("ack.p99<10ms,ack.max<10ms")
	require.NoError(t, err)
	assert.Empty(t, list[0].Miss(r))
	assert.Equal(t, "ack.max<10ms: 9 of 999 messages have no latency: they were not sent, answered or delivered", list[1].Miss(r))
	r.ServerCPU = nil
	list, err = load.ParseExpectations("server_cpu_us_per_message<8")
	require.NoError(t, err)
	assert.Contains(t, list[0].Miss(r), "no such figure")

	for _, text := range []string{"", "lost", "lost=", "lost=few", "lost=1ms", "fun>1", "ack.p98<1ms", "lost=0;acked>1"} {
		_, err := load.ParseExpectations(text)
		assert.Error(t, err, text)
	}
}

func TestDiff(t *testing.T) {
	a := &load.Result{Run: "a", Plan: load.DefaultPlan(), Sent: 1000, AckMS: load.Latency{P99: 10}}
	b := &load.Result{Run: "b", Plan: load.DefaultPlan(), Sent: 1500, AckMS: load.Latency{P99: 7.5}, Lost: 2}
	text := load.Diff(a, b)
	for _, want := range []string{"sent 1000 1500 +50.0%", "ack_ms.p99 10 7.500 -25.0%", "lost 0 2"} {
		found := false
		for line := range strings.Lines(text) {
			found = found || strings.Join(strings.Fields(line), " ") == want
		}
		assert.True(t, found, "%q is not in\n%s", want, text)
	}
	assert.NotContains(t, text, "nacked", "what neither has is left out")
	assert.NotContains(t, text, "plans differ")
	a.Warnings = []string{"1 outage in 2.0 s"}
	assert.Contains(t, load.Diff(a, b), "Warning of a: 1 outage in 2.0 s")
	b.Plan.Devices = 9
	assert.Contains(t, load.Diff(a, b), "plans differ")
}

// A curve ends with its values.
func TestACurveHasNoPointWithoutValues(t *testing.T) {
	last := func(values int) float64 {
		points := load.Curve(values)
		return points[len(points)-1].Percentile
	}
	assert.Empty(t, load.Curve(0))
	assert.Equal(t, 90.0, last(10))
	assert.Equal(t, 99.0, last(100))
	assert.Equal(t, 99.9, last(1000))
}

// A timeline has a bounded length, and its sums do not change.
func TestATimelineIsBounded(t *testing.T) {
	var in []load.Sample
	for i := range 10 * load.MaxSamples {
		s := load.Sample{At: float64(i + 1), Seconds: 1, Phase: load.PhaseMeasure, Sent: 3, InFlight: i % 7}
		if i < 3 {
			s.Phase = load.PhaseRamp
		}
		if i == 5000 {
			s.AckMS.P99 = 99
		}
		in = append(in, s)
	}
	out := load.Compact(in)
	assert.LessOrEqual(t, len(out), load.MaxSamples)
	assert.Greater(t, len(out), load.MaxSamples/4)
	var sent int64
	var seconds, worst, last float64
	for _, s := range out {
		sent += s.Sent
		seconds += s.Seconds
		worst = max(worst, s.AckMS.P99)
		assert.Greater(t, s.At, last)
		last = s.At
	}
	assert.EqualValues(t, 3*len(in), sent)
	assert.EqualValues(t, len(in), seconds)
	assert.EqualValues(t, 99, worst, "a bad second stays visible")
	assert.Equal(t, load.PhaseRamp, out[0].Phase)
	assert.Equal(t, load.PhaseMeasure, out[1].Phase, "phases are not mixed")
}

func TestWarnings(t *testing.T) {
	tests := []struct {
		name   string
		result func(*load.Result)
		want   string // "" for none
	}{
		{name: "a good run", result: func(r *load.Result) { r.Generator.CPUCores = 0.1 * float64(runtime.NumCPU()) }},
		{name: "the tool used the machine up", result: func(r *load.Result) { r.Generator.CPUCores = 0.6 * float64(runtime.NumCPU()) }, want: "most of the machine"},
		{name: "it sent late", result: func(r *load.Result) { r.Generator.LateMS.P99 = 5 }, want: "late"},
		{
			name:   "an outage",
			result: func(r *load.Result) { r.Outages = load.Outages{Count: 1, Seconds: 4, NoConnectionS: 3, NoDeviceS: 4} },
			want:   "1 outage in 4.0 s: no app server connected for 3.0 s, no device connected for 4.0 s",
		},
		{name: "it stood still", result: func(r *load.Result) { r.Generator.StalledS = 2 }, want: "stood still for 2.0 s"},
		{name: "not all was sent", result: func(r *load.Result) { r.Overdue.NoConnection.Unsent = 7 }, want: "7 messages were due and never sent"},
		{name: "it lost count", result: func(r *load.Result) { r.Untracked = 1 }, want: "untracked"},
		{name: "the wrong device", result: func(r *load.Result) { r.Misdelivered = 1 }, want: "each other's"},
		{name: "too much for those who are away", result: func(r *load.Result) { r.Plan.Away, r.Sent = true, 401 }, want: "marker"},
		{name: "not done", result: func(r *load.Result) { r.Interrupted = true }, want: "interrupted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &load.Result{Plan: load.DefaultPlan()}
			tt.result(r)
			got := load.Warnings(r)
			if tt.want == "" {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Contains(t, got[0], tt.want)
		})
	}
}

func TestCPUTime(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	before, err := load.ProcessCPU(os.Getpid())
	require.NoError(t, err)
	own := load.OwnCPU()
	for load.OwnCPU()-own < 50*time.Millisecond { // the CPU time comes from this loop
	}
	after, err := load.ProcessCPU(os.Getpid())
	require.NoError(t, err)
	assert.InDelta(t, (load.OwnCPU() - own).Seconds(), (after - before).Seconds(), 0.03, "the kernel counts in steps of 10 ms")
	_, err = load.ProcessCPU(1 << 30)
	assert.Error(t, err)
}
