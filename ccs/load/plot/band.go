package plot

import (
	"fmt"
	"html/template"
	"slices"

	"github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"

	"github.com/openccs/openccs/ccs/load"
)

// shade is a kind of shaded area in a chart, with its meaning.
type shade struct {
	Name  string
	Color template.CSS
	kind  load.OutageKind // "" for any kind of a storm
}

// shades are in the order of the legend, and of the bands from the top of a chart.
var shades = []shade{
	{load.NoConnection.String(), "#d55e00", load.NoConnection},
	{load.NoAnswer.String(), "#e69f00", load.NoAnswer},
	{load.NoDevice.String(), "#0072b2", load.NoDevice},
	{load.NoDelivery.String(), "#cc79a7", load.NoDelivery},
	{load.NoUpstreamAnswer.String(), "#009e73", load.NoUpstreamAnswer},
	{"storm of the run", "#999999", ""},
}

// opacity is the opacity of a band, of 255. Grid and lines show through.
const opacity = 60

// band is an outage in a chart whose x axis is seconds. It is a series of the chart. Shades that
// overlap in time have one strip each at the top.
type band struct {
	shade
	from, to   float64
	row, among int // the strip's number, and the number of strips
}

// bands returns the outages of a run.
func bands(r *load.Result) []band {
	list := make([]band, 0, len(r.Outages.List))
	for _, o := range r.Outages.List {
		kind := o.Kind
		if o.Storm {
			kind = ""
		}
		i := slices.IndexFunc(shades, func(s shade) bool { return s.kind == kind })
		if i >= 0 {
			list = append(list, band{shade: shades[i], from: o.From, to: o.To})
		}
	}
	stack(list)
	return list
}

// stack assigns a strip to each of the bands that overlap. The bands must be sorted by their
// start.
func stack(list []band) {
	for from, to := 0, 0; from < len(list); from = to {
		end := list[from].to
		for to = from; to < len(list) && list[to].from <= end; to++ {
			end = max(end, list[to].to)
		}
		group := list[from:to]
		used := shadesOf(group)
		for i := range group {
			group[i].row, group[i].among = slices.Index(used, group[i].shade), len(used)
		}
	}
}

// shadesOf returns the legend of bands.
func shadesOf(bands []band) []shade {
	var used []shade
	for _, s := range shades {
		if slices.ContainsFunc(bands, func(b band) bool { return b.shade == s }) {
			used = append(used, s)
		}
	}
	return used
}

// GetName, GetYAxis, GetStyle, Validate and Render implement chart.Series.
func (b band) GetName() string { return b.Name }

// GetYAxis returns the primary axis, which is the only one.
func (b band) GetYAxis() chart.YAxisType { return chart.YAxisPrimary }

// GetStyle returns the zero style.
func (b band) GetStyle() chart.Style { return chart.Style{} }

// Validate returns nil.
func (b band) Validate() error { return nil }

const (
	// narrowest is the minimum width of a band in pixels, so that a short outage is visible.
	narrowest = 2
	// stripHeight is the height of a strip, which contains the label.
	stripHeight = 14
)

// Render draws the band, and its duration in its strip if there is room.
func (b band) Render(r chart.Renderer, canvas chart.Box, x, _ chart.Range, defaults chart.Style) {
	inside := func(v float64) int { return min(max(canvas.Left+x.Translate(v), canvas.Left), canvas.Right) }
	left, right := inside(b.from), inside(b.to)
	right = max(right, left+narrowest)
	color := drawing.ColorFromHex(string(b.Color[1:]))
	box := func(top, bottom int, alpha uint8) {
		chart.Draw.Box(r, chart.Box{Left: left, Right: right, Top: top, Bottom: bottom},
			chart.Style{FillColor: color.WithAlpha(alpha), StrokeWidth: chart.Disabled})
	}
	top := canvas.Top + b.row*stripHeight
	box(canvas.Top+b.among*stripHeight, canvas.Bottom, uint8(opacity/b.among))
	box(top, top+stripHeight, 2*opacity)
	style := chart.Style{Font: defaults.Font, FontSize: 8, FontColor: chart.DefaultTextColor}
	for _, label := range []string{fmt.Sprintf("%s, %.1f s", b.Name, b.to-b.from), fmt.Sprintf("%.1f s", b.to-b.from)} {
		const margin = 3
		if size := chart.Draw.MeasureText(r, label, style); size.Width()+2*margin <= right-left {
			chart.Draw.Text(r, label, left+margin, top+stripHeight-margin, style)
			return
		}
	}
}
