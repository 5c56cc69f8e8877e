package plot

import (
	"bytes"
	"fmt"
	"html/template"
	"math"

	"github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"
)

// The size of a chart in pixels.
const (
	width  = 860
	height = 280
)

// line is a line of a chart.
type line struct {
	Name  string
	Color template.CSS
	x, y  []float64
}

// palette is told apart by people who see few colours too.
var palette = []template.CSS{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// figure is a chart and its legend.
type figure struct {
	Title string
	Lines []line
	SVG   template.HTML
}

// axis is what stands along one side.
type axis struct {
	name     string
	min, max float64
	ticks    []chart.Tick
}

// draw makes a figure. Lines need not have points.
func draw(title string, x, y axis, lines []line) (figure, error) {
	f := figure{Title: title, Lines: lines}
	style := chart.Style{FontSize: 9, StrokeColor: chart.DefaultAxisColor, FontColor: chart.DefaultTextColor}
	grid := chart.Style{StrokeColor: drawing.ColorFromHex("dddddd"), StrokeWidth: 1}
	c := chart.Chart{
		Width: width, Height: height,
		Background: chart.Style{Padding: chart.Box{Top: 12, Left: 12, Right: 12, Bottom: 12}},
		XAxis:      chart.XAxis{Name: x.name, Style: style, Ticks: x.ticks, Range: &chart.ContinuousRange{Min: x.min, Max: x.max}},
		YAxis: chart.YAxis{
			Name: y.name, Style: style, Ticks: y.ticks, Range: &chart.ContinuousRange{Min: y.min, Max: y.max},
			GridMajorStyle: grid, GridMinorStyle: grid,
		},
		YAxisSecondary: chart.HideYAxis(),
	}
	for i := range lines {
		lines[i].Color = palette[i%len(palette)]
		xs, ys := lines[i].x, lines[i].y
		if len(xs) == 1 { // a point is no line, and the library wants one
			xs, ys = append(xs, xs[0]), append(ys, ys[0])
		}
		if len(xs) == 0 {
			continue
		}
		c.Series = append(c.Series, chart.ContinuousSeries{
			Name: lines[i].Name, XValues: xs, YValues: ys,
			Style: chart.Style{StrokeColor: drawing.ColorFromHex(string(lines[i].Color[1:])), StrokeWidth: 1.5},
		})
	}
	if len(c.Series) == 0 {
		f.SVG = "<p>Nothing to show.</p>"
		return f, nil
	}
	var b bytes.Buffer
	if err := c.Render(chart.SVG, &b); err != nil {
		return f, fmt.Errorf("draw %s: %w", title, err)
	}
	f.SVG = template.HTML(b.String()) // the library's own words: no name in it comes from elsewhere
	return f, nil
}

// seconds is an axis from 0 to the last of the points.
func seconds(points []float64) axis {
	end := 1.0
	if len(points) > 0 {
		end = max(end, points[len(points)-1])
	}
	return axis{name: "seconds", max: end, ticks: even(end)}
}

// amount is an axis from 0 to the greatest value of the lines.
func amount(name string, lines []line) axis {
	top := 1.0
	for _, l := range lines {
		for _, v := range l.y {
			top = max(top, v)
		}
	}
	ticks := even(top)
	return axis{name: name, max: ticks[len(ticks)-1].Value, ticks: ticks}
}

// even is ticks from 0 to at least top, at round numbers, about five of them.
func even(top float64) []chart.Tick {
	step := math.Pow(10, math.Floor(math.Log10(top)))
	switch {
	case top/step < 2:
		step /= 4
	case top/step < 5:
		step /= 2
	}
	var ticks []chart.Tick
	for v := 0.0; ; v += step {
		ticks = append(ticks, chart.Tick{Value: v, Label: round(v)})
		if v >= top {
			return ticks
		}
	}
}

func round(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}

// least is where a logarithmic axis of milliseconds begins.
const least = 0.01

// logMS is what stands on a logarithmic axis for so many milliseconds.
func logMS(ms float64) float64 { return math.Log10(max(ms, least)) }

// latencyAxis is logarithmic, for values of logMS, from decade to decade.
func latencyAxis(lines []line) axis {
	low, high := 0.0, 0.0
	for _, l := range lines {
		for _, v := range l.y {
			low, high = min(low, math.Floor(v)), max(high, math.Ceil(v))
		}
	}
	high = max(high, low+1)
	a := axis{name: "ms", min: low, max: high}
	for v := low; v <= high; v++ {
		a.ticks = append(a.ticks, chart.Tick{Value: v, Label: fmt.Sprintf("%g", math.Pow(10, v))})
	}
	return a
}
