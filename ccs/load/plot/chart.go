package plot

import (
	"bytes"
	"fmt"
	"html/template"
	"math"

	"github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"

	"github.com/openccs/openccs/ccs/load"
)

// These are the dimensions of a chart in pixels.
const (
	width  = 860
	height = 280
)

// line is a line of a chart. It has a gap where y is NaN.
type line struct {
	Name   string
	Color  template.CSS
	x, y   []float64
	Dashed bool
	rough  []bool // the point is drawn apart: it has few values; may be nil
}

// parts returns the parts of the line that are drawn without a gap: runs of points, and single
// points.
func (l *line) parts() (runs [][2]int, points []int) {
	for from := 0; from < len(l.x); from++ {
		if math.IsNaN(l.y[from]) {
			continue
		}
		to := from
		for !l.isRough(from) && to < len(l.x) && !math.IsNaN(l.y[to]) && !l.isRough(to) {
			to++
		}
		if to-from < 2 {
			points = append(points, from)
			continue
		}
		runs = append(runs, [2]int{from, to})
		from = to - 1
	}
	return runs, points
}

// dashes returns a dash pattern that keeps a line under this one visible.
func (l *line) dashes() []float64 {
	if l.Dashed {
		return []float64{5, 4}
	}
	return nil
}

func (l *line) isRough(i int) bool { return l.rough != nil && l.rough[i] }

// palette contains colours that people with colour blindness can tell apart.
var palette = []template.CSS{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// figure is a chart and its legend.
type figure struct {
	Title  string
	Lines  []line
	Shades []shade
	Rough  bool // some points are drawn apart
	SVG    template.HTML
}

// axis describes an axis of a chart.
type axis struct {
	name     string
	min, max float64
	ticks    []chart.Tick
}

// draw makes a figure. Lines may have no points. Bands are drawn under the lines.
func draw(title string, x, y axis, lines []line, bands []band) (figure, error) {
	f := figure{Title: title, Lines: lines, Shades: shadesOf(bands)}
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
	for _, b := range bands {
		c.Series = append(c.Series, b)
	}
	empty := true
	for i := range lines {
		l := &lines[i]
		l.Color = palette[i%len(palette)]
		color := drawing.ColorFromHex(string(l.Color[1:]))
		runs, points := l.parts()
		for _, run := range runs {
			c.Series = append(c.Series, chart.ContinuousSeries{
				Name: l.Name, XValues: l.x[run[0]:run[1]], YValues: l.y[run[0]:run[1]],
				Style: chart.Style{StrokeColor: color, StrokeWidth: 1.5, StrokeDashArray: l.dashes()},
			})
		}
		if len(points) > 0 {
			dots := chart.ContinuousSeries{Name: l.Name, Style: chart.Style{StrokeColor: drawing.ColorTransparent, DotColor: color, DotWidth: 2}}
			for _, at := range points {
				dots.XValues, dots.YValues = append(dots.XValues, l.x[at]), append(dots.YValues, l.y[at])
				f.Rough = f.Rough || l.isRough(at)
			}
			c.Series = append(c.Series, dots)
		}
		empty = empty && len(runs)+len(points) == 0
	}
	if empty {
		f.SVG = "<p>Nothing to show.</p>"
		return f, nil
	}
	var b bytes.Buffer
	if err := c.Render(chart.SVG, &b); err != nil {
		return f, fmt.Errorf("draw %s: %w", title, err)
	}
	f.SVG = template.HTML(b.String()) // safe: the library writes it, without foreign names
	return f, nil
}

// seconds returns an axis from 0 to the end of the timeline.
func seconds(r *load.Result) axis {
	end := 1.0
	if n := len(r.Timeline); n > 0 {
		end = max(end, r.Timeline[n-1].At)
	}
	ticks := even(end)
	if last := &ticks[len(ticks)-1]; last.Value > end { // end the axis with the run
		*last = chart.Tick{Value: end}
	}
	return axis{name: "seconds", max: end, ticks: ticks}
}

// amount returns an axis from 0 to the greatest value of the lines.
func amount(name string, lines []line) axis {
	top := 1.0
	for _, l := range lines {
		for _, v := range l.y {
			if v > top { // false for NaN
				top = v
			}
		}
	}
	ticks := even(top)
	return axis{name: name, max: ticks[len(ticks)-1].Value, ticks: ticks}
}

// even returns about five ticks from 0 to at least top, at round numbers.
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

// least is the start of a logarithmic axis of milliseconds.
const least = 0.01

// logMS returns the position of a time in milliseconds on a logarithmic axis.
func logMS(ms float64) float64 { return math.Log10(max(ms, least)) }

// latencyAxis returns a logarithmic axis for values of logMS, from decade to decade.
func latencyAxis(lines []line) axis {
	low, high := 0.0, 0.0
	for _, l := range lines {
		for _, v := range l.y {
			if !math.IsNaN(v) {
				low, high = min(low, math.Floor(v)), max(high, math.Ceil(v))
			}
		}
	}
	high = max(high, low+1)
	a := axis{name: "ms", min: low, max: high}
	for v := low; v <= high; v++ {
		a.ticks = append(a.ticks, chart.Tick{Value: v, Label: fmt.Sprintf("%g", math.Pow(10, v))})
	}
	return a
}
