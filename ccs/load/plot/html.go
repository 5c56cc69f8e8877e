package plot

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"

	"github.com/wcharczuk/go-chart/v2"

	"openccs/ccs/load"
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
	}{Result: r, CPU: "unknown"}
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

// over is a line of the timeline.
func over(r *load.Result, name string, value func(*load.Sample) float64) line {
	l := line{Name: name}
	for i := range r.Timeline {
		l.x = append(l.x, r.Timeline[i].At)
		l.y = append(l.y, value(&r.Timeline[i]))
	}
	return l
}

func latencies(r *load.Result) (figure, error) {
	lines := []line{
		over(r, "ack p50", func(s *load.Sample) float64 { return logMS(s.AckMS.P50) }),
		over(r, "ack p99", func(s *load.Sample) float64 { return logMS(s.AckMS.P99) }),
		over(r, "delivery p50", func(s *load.Sample) float64 { return logMS(s.DeliveryMS.P50) }),
		over(r, "delivery p99", func(s *load.Sample) float64 { return logMS(s.DeliveryMS.P99) }),
	}
	return draw("Latency over time", seconds(lines[0].x), latencyAxis(lines), lines)
}

// percentiles spreads the last percent: each step to the right is a tenth of what is left.
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
	x := axis{name: "percentile", max: nines}
	for i, label := range []string{"0", "90", "99", "99.9", "99.99", "99.999", "99.9999"} {
		x.ticks = append(x.ticks, chart.Tick{Value: float64(i), Label: label})
	}
	return draw("Latency by percentile", x, latencyAxis(lines), lines)
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
	return draw("Messages a second", seconds(lines[0].x), amount("messages/s", lines), lines)
}

func window(r *load.Result) (figure, error) {
	lines := []line{
		over(r, "in flight", func(s *load.Sample) float64 { return float64(s.InFlight) }),
		over(r, "window", func(s *load.Sample) float64 { return float64(s.Window) }),
		over(r, "devices online", func(s *load.Sample) float64 { return float64(s.DevicesOnline) }),
	}
	return draw("Window", seconds(lines[0].x), amount("messages", lines), lines)
}
