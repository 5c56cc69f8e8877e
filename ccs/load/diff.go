package load

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// compared lists the metrics that Diff shows, if a run has them.
var compared = []string{
	"sent", "acked", "nacked", "unanswered", "delivered", "lost", "expired", "collapsed", "deleted", "waiting",
	"duplicated", "out_of_order", "misdelivered", "resent", "reconnects", "login_failures",
	"outages.count", "outages.seconds", "outages.no_connection_s", "outages.no_answer_s", "outages.no_device_s",
	"outages.no_delivery_s", "outages.no_upstream_answer_s",
	"overdue.no_connection.sent_late", "overdue.no_connection.unsent", "overdue.window_full.sent_late", "overdue.window_full.unsent",
	"acked_per_s", "outages.acked_per_s", "delivered_per_s", "outages.delivered_per_s",
	"ack_ms.p50", "ack_ms.p90", "ack_ms.p99", "ack_ms.p999", "ack_ms.max",
	"delivery_ms.p50", "delivery_ms.p90", "delivery_ms.p99", "delivery_ms.p999", "delivery_ms.max",
	"upstream.delivered", "upstream.unsent", "upstream.unanswered", "upstream.lost", "upstream.delivered_per_s", "upstream.ack_ms.p99", "upstream.delivery_ms.p99",
	"login_ms.p50", "login_ms.p99", "server_cpu_us_per_message", "generator.cpu_us_per_message",
	"generator.late_ms.p99", "generator.unsent", "generator.stalled_s",
}

// Diff returns a table of two results for a person, with both values and the difference. It
// includes the warnings of both, because a run with an outage must not be compared silently with a
// run without one.
func Diff(a, b *Result) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\t%s\t%s\tchange\t\n", a.Run, b.Run)
	left, right := metrics(a), metrics(b)
	for _, name := range compared {
		x, inA := left[name]
		y, inB := right[name]
		if x == 0 && y == 0 {
			continue
		}
		change := ""
		if inA && inB && x != 0 {
			change = fmt.Sprintf("%+.1f%%", (y-x)/x*100)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", name, figure(x, inA), figure(y, inB), change)
	}
	_ = w.Flush() // a strings.Builder never fails
	if p, q := a.Plan.String(), b.Plan.String(); p != q {
		fmt.Fprintf(&text, "The plans differ:\n  %s: %s\n  %s: %s\n", a.Run, p, b.Run, q)
	}
	for _, r := range []*Result{a, b} {
		for _, warning := range r.Warnings {
			fmt.Fprintf(&text, "Warning of %s: %s\n", r.Run, warning)
		}
	}
	return text.String()
}

// figure formats a count exactly, and a measured value to three decimal places.
func figure(v float64, known bool) string {
	switch {
	case !known:
		return "-"
	case v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
