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

	"openccs/ccs/load"
	"openccs/ccs/load/plot"
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
			AckMS: load.Latency{P50: 0.5, P99: float64(i)},
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
	assert.Equal(t, 3, strings.Count(render(t, one), "<svg"))
}
