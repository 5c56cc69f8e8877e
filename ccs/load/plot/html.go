package plot

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"

	"github.com/wcharczuk/go-chart/v2"

	"github.com/openccs/openccs/ccs/load"
)

//go:embed report.html
var page string

var report = template.Must(template.New("report").Parse(page))

// HTML writes the report of a run.
func HTML(w io.Writer, r *load.Result) error {
	data := struct {
		*load.Result
		Figures []figure
		CPU     string // of the server
		Most    int64  // nacks of one code

		IsOverdue bool
	}{Result: r, CPU: "unknown", IsOverdue: r.Overdue != load.Overdue{}}
	if r.ServerCPU != nil {
		data.CPU = fmt.Sprintf("%.2f", *r.ServerCPU)
	}
	for _, drawn := range []func(*load.Result) (figure, error){latencies, percentiles, throughput, window} {
		f, err := drawn(r)
		if err != nil {
			return err
		}
		data.Figures = append(data.Figures, f)
	}
	for _, n := range r.Nacks {
		data.Most = max(data.Most, n)
	}
	return report.Execute(w, data)
}

// over returns a line of the timeline, with a point in the middle of each sample.
func over(r *load.Result, name string, value func(*load.Sample) float64) line {
	l := line{Name: name}
	for i := range r.Timeline {
		s := &r.Timeline[i]
		l.x = append(l.x, s.At-s.Seconds/2)
		l.y = append(l.y, value(s))
	}
	return l
}

// enough is the number of values at which a 99th percentile is not just the greatest of them.
const enough = 100

// percentile returns a line of the timeline. A sample without values is a gap. Points with few
// values are drawn apart.
func percentile(r *load.Result, name string, values int64, of func(*load.Sample) (load.Latency, float64)) line {
	l := over(r, name, func(s *load.Sample) float64 {
		if latency, ms := of(s); latency.Count > 0 {
			return logMS(ms)
		}
		return math.NaN()
	})
	for i := range r.Timeline {
		latency, _ := of(&r.Timeline[i])
		l.rough = append(l.rough, latency.Count < values)
	}
	return l
}

func latencies(r *load.Result) (figure, error) {
	lines := []line{
		percentile(r, "ack p50", 1, func(s *load.Sample) (load.Latency, float64) { return s.AckMS, s.AckMS.P50 }),
		percentile(r, "ack p99", enough, func(s *load.Sample) (load.Latency, float64) { return s.AckMS, s.AckMS.P99 }),
		percentile(r, "delivery p50", 1, func(s *load.Sample) (load.Latency, float64) { return s.DeliveryMS, s.DeliveryMS.P50 }),
		percentile(r, "delivery p99", enough, func(s *load.Sample) (load.Latency, float64) { return s.DeliveryMS, s.DeliveryMS.P99 }),
	}
	lines[2].Dashed, lines[3].Dashed = true, true
	return draw("Latency over time", seconds(r), latencyAxis(lines), lines, bands(r))
}

// percentiles draws a chart that spreads the last percent: each step to the right is a tenth of
// the rest.
func percentiles(r *load.Result) (figure, error) {
	const nines = 6
	points := func(name string, curve []load.Point) line {
		l := line{Name: name}
		for _, p := range curve {
			l.x = append(l.x, min(-math.Log10(1-p.Percentile/100), nines))
			l.y = append(l.y, logMS(p.MS))
		}
		return l
	}
	lines := []line{points("ack", r.AckCurve), points("delivery", r.DeliveryCurve)}
	lines[1].Dashed = true
	x := axis{name: "percentile", max: nines}
	for i, label := range []string{"0", "90", "99", "99.9", "99.99", "99.999", "99.9999"} {
		x.ticks = append(x.ticks, chart.Tick{Value: float64(i), Label: label})
	}
	return draw("Latency by percentile", x, latencyAxis(lines), lines, nil)
}

func throughput(r *load.Result) (figure, error) {
	rate := func(n func(*load.Sample) int64) func(*load.Sample) float64 {
		return func(s *load.Sample) float64 { return float64(n(s)) / max(s.Seconds, 1e-3) }
	}
	lines := []line{
		over(r, "acked", rate(func(s *load.Sample) int64 { return s.Acked })),
		over(r, "delivered", rate(func(s *load.Sample) int64 { return s.Delivered })),
		over(r, "nacked", rate(func(s *load.Sample) int64 { return s.Nacked })),
		over(r, "upstream", rate(func(s *load.Sample) int64 { return s.Upstream })),
	}
	lines[1].Dashed = true
	return draw("Messages a second", seconds(r), amount("messages/s", lines), lines, bands(r))
}

func window(r *load.Result) (figure, error) {
	lines := []line{
		over(r, "in flight", func(s *load.Sample) float64 { return float64(s.InFlight) }),
		over(r, "window", func(s *load.Sample) float64 { return float64(s.Window) }),
		over(r, "devices online", func(s *load.Sample) float64 { return float64(s.DevicesOnline) }),
	}
	return draw("Window", seconds(r), amount("messages", lines), lines, bands(r))
}
