package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// String returns a line for a person who watches.
func (s *Sample) String() string {
	per := func(n int64) string {
		if s.Seconds == 0 {
			return "0"
		}
		return short(float64(n) / s.Seconds)
	}
	at := time.Duration(s.At * float64(time.Second)).Round(time.Second)
	line := fmt.Sprintf("%d:%02d %-7s  devices %d  acked %s/s  delivered %s/s  ack p50 %s p99 %s  deliver p50 %s p99 %s  in flight %d/%d",
		at/time.Minute, at%time.Minute/time.Second, s.Phase, s.DevicesOnline, per(s.Acked), per(s.Delivered),
		s.AckMS.p50(), s.AckMS.p99(), s.DeliveryMS.p50(), s.DeliveryMS.p99(), s.InFlight, s.Window)
	if s.Outage != "" {
		line += "  " + strings.ToUpper(s.Outage.String())
	}
	if s.Upstream > 0 {
		line += fmt.Sprintf("  up %s/s", per(s.Upstream))
	}
	if s.Nacked > 0 {
		line += fmt.Sprintf("  nack %d", s.Nacked)
	}
	return line
}

// Summary returns the result as text for a person.
func (r *Result) Summary() string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s "+format+"\n", append([]any{name}, args...)...)
	}
	row("Run", "%s: %s", r.Run, &r.Plan)
	row("Downstream", "sent %d  acked %d  nacked %d  unanswered %d  delivered %d", r.Sent, r.Acked, r.Nacked, r.Unanswered, r.Delivered)
	row("Of these", "lost %d  duplicated %d  out of order %d  expired %d  collapsed %d  deleted %d  waiting %d",
		r.Lost, r.Duplicated, r.OutOfOrder, r.Expired, r.Collapsed, r.Deleted, r.Waiting)
	outside := ""
	if o := &r.Outages; o.MeasuredS > 0 && r.Plan.Rate == 0 {
		outside = fmt.Sprintf("  (without the %.1f s of outages: acked %s/s  delivered %s/s)", o.MeasuredS, short(o.AckedPerS), short(o.DeliveredPerS))
	}
	row("Rate", "acked %s/s  delivered %s/s%s", short(r.AckedPerS), short(r.DeliveredPerS), outside)
	row("Ack", "%s", r.AckMS)
	row("Delivery", "%s", r.DeliveryMS)
	if r.Upstream.Sent > 0 {
		u := &r.Upstream
		row("Upstream", "sent %d  acked %d  nacked %d  unanswered %d  delivered %d  lost %d  waiting %d  duplicated %d  out of order %d",
			u.Sent, u.Acked, u.Nacked, u.Unanswered, u.Delivered, u.Lost, u.Waiting, u.Duplicated, u.OutOfOrder)
		row("Ack", "%s", u.AckMS)
		row("Delivery", "%s", u.DeliveryMS)
	}
	if r.Receipts.Requested > 0 {
		row("Receipts", "requested %d  received %d  lost %d  duplicated %d",
			r.Receipts.Requested, r.Receipts.Received, r.Receipts.Lost, r.Receipts.Duplicated)
	}
	if r.Logins > 0 {
		row("Logins", "%d  %s", r.Logins, r.LoginMS)
	}
	if r.Reconnects > 0 || r.Resent > 0 || r.LoginFailures > 0 {
		row("Reconnects", "%d  failed logins %d  resent %d", r.Reconnects, r.LoginFailures, r.Resent)
	}
	for i := range r.Outages.List {
		if i == maxOutageRows {
			row("Outages", "and %d more", len(r.Outages.List)-i+r.Outages.Unlisted)
			break
		}
		row("Outage", "%s", &r.Outages.List[i])
	}
	if o := r.Overdue; o != (Overdue{}) {
		row("Overdue", "without a connection: sent late %d  unsent %d; with a full window: sent late %d  unsent %d",
			o.NoConnection.SentLate, o.NoConnection.Unsent, o.WindowFull.SentLate, o.WindowFull.Unsent)
	}
	if len(r.Nacks) > 0 {
		var codes []string
		for _, code := range slices.Sorted(maps.Keys(r.Nacks)) {
			codes = append(codes, fmt.Sprintf("%s %d", code, r.Nacks[code]))
		}
		row("Nacks", "%s", strings.Join(codes, "  "))
	}
	if r.ServerCPU != nil {
		row("Server", "%.2f µs CPU a message", *r.ServerCPU)
	}
	late := ""
	if r.Generator.LateMS.Count > 0 {
		late = ", late by p99 " + r.Generator.LateMS.p99()
	}
	row("Load tool", "%.2f µs CPU a message, %.2f cores%s", r.Generator.CPUUS, r.Generator.CPUCores, late)
	for _, w := range r.Warnings {
		row("Warning", "%s", w)
	}
	return b.String()
}

// maxOutageRows bounds the outages in a summary.
const maxOutageRows = 10

// String returns the usual percentiles. It writes "-" for a percentile with too few values.
func (l Latency) String() string {
	return fmt.Sprintf("p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", l.p50(), l.text(l.P90, 10), l.p99(), l.text(l.P999, 1000), l.text(l.Max, 1))
}

func (l Latency) p50() string { return l.text(l.P50, 1) }
func (l Latency) p99() string { return l.text(l.P99, 100) }

// text formats a percentile that needs so many values.
func (l Latency) text(v float64, values int64) string {
	if l.Count < values {
		return "-"
	}
	return ms(v)
}

// ms formats milliseconds with only significant digits.
func ms(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2fms", v)
	case v < 100:
		return fmt.Sprintf("%.1fms", v)
	case v < 10_000:
		return fmt.Sprintf("%.0fms", v)
	}
	return fmt.Sprintf("%.1fs", v/1000)
}

// short formats a number in at most five characters.
func short(v float64) string {
	switch {
	case v < 1000:
		return fmt.Sprintf("%.0f", v)
	case v < 100_000:
		return fmt.Sprintf("%.1fk", v/1e3)
	case v < 1e6:
		return fmt.Sprintf("%.0fk", v/1e3)
	}
	return fmt.Sprintf("%.1fM", v/1e6)
}
