package plot_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/load"
	"github.com/openccs/openccs/ccs/load/plot"
)

func render(t *testing.T, r *load.Result) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, plot.HTML(&b, r))
	return b.String()
}

func TestTheReportHasItAll(t *testing.T) {
	cpu := 7.25
	r := &load.Result{
		Run: "cafe", Plan: load.DefaultPlan(), Sent: 4711, Lost: 13, ServerCPU: &cpu,
		Nacks:    map[string]int64{"DEVICE_UNREGISTERED": 12, "<script>": 1},
		Warnings: []string{"sent late & slowly"},
		AckCurve: []load.Point{{Percentile: 0, MS: 0.1}, {Percentile: 50, MS: 1}, {Percentile: 99.9999, MS: 900}},
	}
	for i := range 5 {
		r.Timeline = append(r.Timeline, load.Sample{
			At: float64(i + 1), Seconds: 1, Acked: int64(1000 * i), InFlight: 10 * i, Window: 1000,
			AckMS: load.Latency{Count: 1000, P50: 0.5, P99: float64(i)},
		})
	}
	page := render(t, r)
	for _, part := range []string{
		"ccs load cafe", "4711", ">13<", "7.25", "DEVICE_UNREGISTERED", "sent late &amp; slowly", "&lt;script&gt;",
		"Latency over time", "Latency by percentile", "Messages a second", "Window", "Nacks by code", "99.999",
	} {
		assert.True(t, strings.Contains(page, part), part)
	}
	assert.Equal(t, 4, strings.Count(page, "<svg"))

	t.Run("and needs nothing else", func(t *testing.T) {
		assert.False(t, strings.Contains(page, "<script"))
		for _, reference := range regexp.MustCompile(`(?:src|href|url)\s*[=(]\s*"?[^"\s>]*`).FindAllString(page, -1) {
			assert.Fail(t, "the page refers to something", reference)
		}
	})
	t.Run("its charts are well-formed", func(t *testing.T) {
		for _, svg := range regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1) {
			d := xml.NewDecoder(strings.NewReader(svg))
			for {
				_, err := d.Token()
				if err == io.EOF {
					break
				}
				require.NoError(t, err)
			}
			assert.NotRegexp(t, "NaN|[0-9]{6}", svg, "no coordinate is nowhere")
		}
	})
}

// A run that was interrupted at once has a report too.
func TestTheReportOfNextToNothing(t *testing.T) {
	assert.Equal(t, 4, strings.Count(render(t, &load.Result{Plan: load.DefaultPlan()}), "Nothing to show"))
	one := &load.Result{Plan: load.DefaultPlan(), Timeline: []load.Sample{{At: 0.2, Seconds: 0.2}}}
	assert.Equal(t, 2, strings.Count(render(t, one), "<svg"), "there is no latency to show")
	one.Timeline[0].AckMS = load.Latency{Count: 1, P50: 2, P99: 2}
	assert.Equal(t, 3, strings.Count(render(t, one), "<svg"))
}

// lines returns the paths of a chart's lines of a colour, and its dots.
func lines(t *testing.T, page, chart, color string) (paths, dots []string) {
	t.Helper()
	_, svg, found := strings.Cut(page, "<h2>"+chart+"</h2>")
	require.True(t, found)
	svg, _, _ = strings.Cut(svg, "</svg>")
	for _, m := range regexp.MustCompile(`<path[^>]* d="([^"]+)"[^>]*stroke:`+color).FindAllStringSubmatch(svg, -1) {
		paths = append(paths, strings.TrimSpace(m[1]))
	}
	dots = append(dots, regexp.MustCompile(`<circle[^>]*fill:`+color).FindAllString(svg, -1)...)
	return paths, dots
}

// A second without data is a gap, and the outage in it is shaded and named.
func TestAnOutageIsAGap(t *testing.T) {
	r := &load.Result{Plan: load.DefaultPlan()}
	for i := range 20 {
		s := load.Sample{At: float64(i + 1), Seconds: 1, Acked: 500, AckMS: load.Latency{Count: 500, P50: 4, P99: 40}}
		if i >= 5 && i < 12 {
			s.Acked, s.AckMS = 0, load.Latency{}
		}
		if i >= 18 {
			s.Acked, s.AckMS.Count = 3, 3
		}
		r.Timeline = append(r.Timeline, s)
	}
	r.Outages = load.Outages{Count: 1, List: []load.Outage{
		{Kind: load.NoConnection, From: 5, To: 12}, {Kind: load.NoDevice, From: 5.2, To: 12.5}, {Kind: load.NoDevice, From: 14, To: 14.2, Storm: true},
	}}
	page := render(t, r)
	const p50, p99 = `rgba\(0,114,178,1.0\)`, `rgba\(213,94,0,1.0\)`
	paths, dots := lines(t, page, "Latency over time", p50)
	require.Len(t, paths, 2, "before the outage, and after it")
	assert.Equal(t, 5, strings.Count(paths[0], "M")+strings.Count(paths[0], "L"))
	assert.Equal(t, 8, strings.Count(paths[1], "M")+strings.Count(paths[1], "L"))
	assert.Empty(t, dots)
	paths, dots = lines(t, page, "Latency over time", p99)
	require.Len(t, paths, 2)
	assert.Equal(t, 6, strings.Count(paths[1], "M")+strings.Count(paths[1], "L"))
	assert.Len(t, dots, 2, "three messages have no 99th percentile")
	assert.Contains(t, page, "fewer than 100 messages")
	assert.NotContains(t, page, ">0.01<", "the axis needs not go where nothing was")
	paths, _ = lines(t, page, "Messages a second", p50)
	assert.Len(t, paths, 1, "that nothing was acked is data")
	for _, part := range []string{"no app server connected, 7.0 s", "no device connected, 7.3 s", "storm of the run", "<td>5.0</td><td>12.0</td><td>7.0</td>"} {
		assert.Contains(t, page, part)
	}
	assert.NotContains(t, page, "no answer")
}
