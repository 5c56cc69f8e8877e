package load

import (
	"fmt"
	"runtime"
	"time"
)

// Result is the result of a run. "ccs load --json" prints it as JSON; result.schema.json describes
// that. Counts are of the whole run, including the ramp. Rates, latencies and CPU time are of the
// measured part. Latencies also include messages that were answered or delivered after it.
type Result struct {
	Run         string    `json:"run"`
	Started     time.Time `json:"started"`
	Plan        Plan      `json:"plan"`
	Interrupted bool      `json:"interrupted"` // before the plan was done
	Seconds     float64   `json:"seconds"`     // measured

	Sent       int64 `json:"sent"`
	Acked      int64 `json:"acked"`
	Nacked     int64 `json:"nacked"`
	Unanswered int64 `json:"unanswered"` // neither acked nor nacked until the end of the drain
	Delivered  int64 `json:"delivered"`  // at least once
	Lost       int64 `json:"lost"`       // acked, not delivered, and none of the next four
	Expired    int64 `json:"expired"`    // acked, not delivered, TTL over
	Collapsed  int64 `json:"collapsed"`  // acked, not delivered, replaced by collapse key
	Deleted    int64 `json:"deleted"`    // acked, not delivered, reported as deleted (DEV 9.3)
	Waiting    int64 `json:"waiting"`    // acked, for devices away or not connected in the end
	Duplicated int64 `json:"duplicated"` // deliveries of messages that were delivered before
	// OutOfOrder counts messages delivered after a later one of their connection, though sent once.
	// A message with a TTL of 0 may overtake others (CCS 5 no. 2).
	OutOfOrder   int64 `json:"out_of_order"`
	Resent       int64 `json:"resent"`       // sent again: their connection ended without an answer
	Misdelivered int64 `json:"misdelivered"` // deliveries to the wrong device
	Strays       int64 `json:"strays"`       // deliveries and receipts of earlier runs
	Untracked    int64 `json:"untracked"`    // possible error of lost to collapsed; see package doc

	Nacks map[string]int64 `json:"nacks"` // by code

	Outages Outages `json:"outages"`
	Overdue Overdue `json:"overdue"` // downstream

	AckedPerS     float64 `json:"acked_per_s"`
	DeliveredPerS float64 `json:"delivered_per_s"`
	AckMS         Latency `json:"ack_ms"`      // from due (or sent, in a closed loop) to the ack
	DeliveryMS    Latency `json:"delivery_ms"` // from the same time to the first arrival at the device

	Receipts Receipts `json:"receipts"`
	Upstream Upstream `json:"upstream"`

	Logins        int64   `json:"logins"` // of devices
	LoginMS       Latency `json:"login_ms"`
	Reconnects    int64   `json:"reconnects"`     // of devices and app servers
	LoginFailures int64   `json:"login_failures"` // failed attempts to reconnect

	// ServerCPU is the CPU time of the server per acked message, upstream messages included. It is
	// absent if the server is not a process of this machine, or not the same one at both ends of
	// the measured part.
	ServerCPU *float64  `json:"server_cpu_us_per_message,omitempty"`
	Generator Generator `json:"generator"`
	Warnings  []string  `json:"warnings"`

	Timeline      []Sample `json:"timeline"`
	AckCurve      []Point  `json:"ack_curve"`
	DeliveryCurve []Point  `json:"delivery_curve"`
}

// Receipts counts delivery receipts (CCS 3.5).
type Receipts struct {
	Requested  int64 `json:"requested"`
	Received   int64 `json:"received"`
	Lost       int64 `json:"lost"` // of messages that were delivered
	Duplicated int64 `json:"duplicated"`
}

// Upstream is the part of a Result for the other direction.
type Upstream struct {
	Sent          int64   `json:"sent"`
	Unsent        int64   `json:"unsent"` // due, and never sent because devices got no acks
	Acked         int64   `json:"acked"`
	Nacked        int64   `json:"nacked"`
	Unanswered    int64   `json:"unanswered"` // neither acked nor nacked until the end of the drain
	Delivered     int64   `json:"delivered"`
	Lost          int64   `json:"lost"`    // acked and not delivered, nor waiting
	Waiting       int64   `json:"waiting"` // acked, for senders not connected in the end
	Duplicated    int64   `json:"duplicated"`
	OutOfOrder    int64   `json:"out_of_order"` // a sender's connections have no common order
	DeliveredPerS float64 `json:"delivered_per_s"`
	AckMS         Latency `json:"ack_ms"`
	DeliveryMS    Latency `json:"delivery_ms"`
}

// Generator describes the load tool itself.
type Generator struct {
	CPUCores float64 `json:"cpu_cores"` // used on average while measuring
	CPUUS    float64 `json:"cpu_us_per_message"`
	LateMS   Latency `json:"late_ms"`   // sent late, not by fault of the server; open loop only
	Unsent   int64   `json:"unsent"`    // due and never sent, not by fault of the server
	StalledS float64 `json:"stalled_s"` // the tool stood still, which says nothing about the server
}

// The generator is suspected of being the limit when it exceeds this share of the machine, or this
// delay.
const (
	suspectShare  = 0.5
	suspectLateMS = 2.0
)

// warn adds warnings about the validity of the figures.
func (r *Result) warn() {
	r.Warnings = []string{}
	add := func(when bool, format string, args ...any) {
		if when {
			r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
		}
	}
	o := &r.Outages
	add(o.Count > 0, "%s: rates and latencies count that", o.text())
	add(o.MeasuredS > 0 && r.Plan.Rate == 0,
		"in a closed loop nothing is due in an outage, so that the latencies leave most of it out; --rate counts it")
	unsent := r.Overdue.NoConnection.Unsent + r.Overdue.WindowFull.Unsent
	add(unsent > 0, "%d messages were due and never sent: %d without a connection, %d with a full window",
		unsent, r.Overdue.NoConnection.Unsent, r.Overdue.WindowFull.Unsent)
	add(r.Upstream.Unsent > 0, "%d upstream messages were due and never sent, because devices got no acks", r.Upstream.Unsent)
	add(r.Generator.CPUCores > suspectShare*float64(runtime.NumCPU()),
		"the load tool used most of the machine: it may have been the limit, not the server; run it elsewhere")
	add(r.Generator.LateMS.P99 > suspectLateMS,
		"the load tool sent late: the machine is too busy for this rate, and latencies count that")
	add(r.Generator.StalledS > 0, "the load tool stood still for %.1f s: the machine is too busy", r.Generator.StalledS)
	add(r.Untracked > 0, "some streams had more gaps than are kept: lost, expired and collapsed may be off by untracked")
	add(r.Misdelivered > 0, "devices got each other's messages")
	add(r.Plan.Away && r.Sent > int64(r.Plan.Devices)*100 && r.Plan.CollapseKeys == 0,
		"more than 100 messages for each device that is away: the server keeps a marker instead of them (CCS 5 no. 5)")
	add(r.Interrupted, "interrupted: the plan was not done to its end")
}
