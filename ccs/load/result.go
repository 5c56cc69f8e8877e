package load

import (
	"fmt"
	"runtime"
	"time"
)

// Result is what a run came to. As JSON it is what "ccs load --json" prints; result.schema.json describes it.
// Counts are of the whole run, the ramp included; rates, latencies and CPU time are of the measured part,
// and latencies also of what was answered or delivered after it.
type Result struct {
	Run         string    `json:"run"`
	Started     time.Time `json:"started"`
	Plan        Plan      `json:"plan"`
	Interrupted bool      `json:"interrupted"` // before the plan was done
	Seconds     float64   `json:"seconds"`     // measured

	Sent         int64 `json:"sent"`
	Acked        int64 `json:"acked"`
	Nacked       int64 `json:"nacked"`
	Unanswered   int64 `json:"unanswered"`   // neither, until the end of the drain
	Delivered    int64 `json:"delivered"`    // at least once
	Lost         int64 `json:"lost"`         // acked, not delivered, and none of the next four
	Expired      int64 `json:"expired"`      // acked, not delivered, their time to live over
	Collapsed    int64 `json:"collapsed"`    // acked, not delivered, a later one with their collapse key accepted
	Deleted      int64 `json:"deleted"`      // acked, not delivered, and the server told the device so (DEV 9.3)
	Waiting      int64 `json:"waiting"`      // acked, for devices that were away, or not connected in the end
	Duplicated   int64 `json:"duplicated"`   // deliveries of what was delivered already
	OutOfOrder   int64 `json:"out_of_order"` // delivered behind a later one of their connection, though sent once; what has a TTL of 0 overtakes by right (CCS 5 no. 2)
	Resent       int64 `json:"resent"`       // sent again after their connection ended without an answer
	Misdelivered int64 `json:"misdelivered"` // deliveries to another device than the one they were for
	Strays       int64 `json:"strays"`       // deliveries and receipts of earlier runs
	Untracked    int64 `json:"untracked"`    // of lost to collapsed, so many may be wrong; see the package's documentation

	Nacks map[string]int64 `json:"nacks"` // by code

	Outages Outages `json:"outages"`
	Overdue Overdue `json:"overdue"` // downstream

	AckedPerS     float64 `json:"acked_per_s"`
	DeliveredPerS float64 `json:"delivered_per_s"`
	AckMS         Latency `json:"ack_ms"`      // from when a message was due, or sent in a closed loop, to its ack
	DeliveryMS    Latency `json:"delivery_ms"` // from then to its first arrival at the device

	Receipts Receipts `json:"receipts"`
	Upstream Upstream `json:"upstream"`

	Logins        int64   `json:"logins"` // of devices
	LoginMS       Latency `json:"login_ms"`
	Reconnects    int64   `json:"reconnects"`     // of devices and app servers
	LoginFailures int64   `json:"login_failures"` // attempts of them to reconnect that failed

	// ServerCPU is the CPU time of the server per acked message, upstream ones included; absent if the server is no
	// process of this machine, or not the same one at both ends of the measured part.
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

// Upstream is what a Result has for the other direction.
type Upstream struct {
	Sent          int64   `json:"sent"`
	Unsent        int64   `json:"unsent"` // due, and never sent because devices got no acks
	Acked         int64   `json:"acked"`
	Nacked        int64   `json:"nacked"`
	Unanswered    int64   `json:"unanswered"` // neither, until the end of the drain
	Delivered     int64   `json:"delivered"`
	Lost          int64   `json:"lost"`    // acked and not delivered, nor waiting
	Waiting       int64   `json:"waiting"` // acked, for senders that were not connected in the end
	Duplicated    int64   `json:"duplicated"`
	OutOfOrder    int64   `json:"out_of_order"` // over several connections of a sender there is no order
	DeliveredPerS float64 `json:"delivered_per_s"`
	AckMS         Latency `json:"ack_ms"`
	DeliveryMS    Latency `json:"delivery_ms"`
}

// Generator is how the load tool itself did.
type Generator struct {
	CPUCores float64 `json:"cpu_cores"` // used on average while measuring
	CPUUS    float64 `json:"cpu_us_per_message"`
	LateMS   Latency `json:"late_ms"`   // sent after they were due, by no fault of the server; open loop only
	Unsent   int64   `json:"unsent"`    // due and never sent, by no fault of the server
	StalledS float64 `json:"stalled_s"` // it stood still itself, which says nothing about the server
}

// The generator is suspected of being the limit when it uses such a share of the machine, or is so late.
const (
	suspectShare  = 0.5
	suspectLateMS = 2.0
)

// warn notes what makes the figures less than they seem.
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
