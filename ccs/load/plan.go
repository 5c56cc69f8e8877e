package load

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Plan describes a run. The tags are the flags of "ccs load". DefaultPlan has the same defaults.
type Plan struct {
	Senders     int `json:"senders" default:"1" placeholder:"N" help:"Projects that send."`
	Connections int `json:"connections" default:"1" placeholder:"N" help:"App servers' connections of each project."`
	Devices     int `json:"devices" default:"4" placeholder:"N" help:"Devices, shared out among the connections."`

	DeviceProtocol Protocol `json:"device_protocol" default:"mcs" enum:"mcs,xmpp" placeholder:"PROTOCOL" help:"What devices speak: mcs, or xmpp, which they do where app servers connect."`

	InFlight int           `json:"in_flight" default:"1000" placeholder:"N" help:"Messages of each connection that may be unanswered."`
	Rate     float64       `json:"rate" placeholder:"N" help:"Messages that are due a second, over all connections; latency counts from then. Default: as many as the server answers."`
	Ramp     time.Duration `json:"ramp_ns" default:"1s" placeholder:"TIME" help:"Time in which the load grows; not measured."`
	Duration time.Duration `json:"duration_ns" default:"10s" placeholder:"TIME" help:"Time that is measured."`
	Drain    time.Duration `json:"drain_ns" default:"30s" placeholder:"TIME" help:"How long to wait at most, after the last message, for what is outstanding."`

	Payload      Sizes      `json:"payload" default:"256" placeholder:"BYTES" help:"Keys and values of a message; 64*7,1024*2,4000 makes seven of ten small."`
	TTLs         TTLs       `json:"ttls" name:"ttls" default:"1h" placeholder:"TIME" help:"How long a message may wait, as a duration or in seconds, or a mix as for --payload."`
	Priorities   Priorities `json:"priorities" default:"none" placeholder:"LEVEL" help:"normal, high or none, or a mix as for --payload."`
	CollapseKeys int        `json:"collapse_keys" placeholder:"N" help:"Give messages so many collapse keys in turn. Default: none."`
	Receipts     int        `json:"receipts" placeholder:"PERCENT" help:"Share of messages that ask for a delivery receipt."`
	OnePerRecord bool       `json:"one_per_record" help:"Write each stanza in a TLS record of its own, as many clients do."`

	Upstream float64 `json:"upstream" placeholder:"N" help:"Messages a second that the devices together send upstream."`
	Away     bool    `json:"away" help:"Devices register but stay away: messages are accepted and acked, not delivered. Of each device the server keeps 100 (CCS 5 no. 5), so use many."`

	Storm    Storm         `json:"storm" default:"" enum:",connect,reconnect,drain,mass-offline,overrun" placeholder:"KIND" help:"Half-way: reconnect (every connection is cut), drain (the server drains), mass-offline (all devices leave, for --storm-for), overrun (twice as many in flight); or connect: all devices log in at once at the start."`
	StormFor time.Duration `json:"storm_for_ns" default:"2s" placeholder:"TIME" help:"How long devices stay away in a mass-offline storm."`
}

// Protocol is the protocol of a device.
type Protocol string

// These are the protocols.
const (
	ProtocolMCS  Protocol = "mcs"
	ProtocolXMPP Protocol = "xmpp"
)

// Storm is a disruption that a run causes.
type Storm string

// These are the storms.
const (
	StormNone        Storm = ""
	StormConnect     Storm = "connect"      // all devices log in at once
	StormReconnect   Storm = "reconnect"    // all connections are cut; all clients reconnect at once
	StormDrain       Storm = "drain"        // the server drains its app servers' connections (CCS 3.7)
	StormMassOffline Storm = "mass-offline" // all devices disconnect, and reconnect later
	StormOverrun     Storm = "overrun"      // connections send twice their window (CCS 4.1)
)

// DefaultPlan returns a plan with four devices, one connection and ten seconds.
func DefaultPlan() Plan {
	p := Plan{
		Senders: 1, Connections: 1, Devices: 4, DeviceProtocol: ProtocolMCS, InFlight: 1000,
		Ramp: time.Second, Duration: 10 * time.Second, Drain: 30 * time.Second, StormFor: 2 * time.Second,
	}
	for text, m := range map[string]interface{ UnmarshalText([]byte) error }{
		"256": &p.Payload, "1h": &p.TTLs, "none": &p.Priorities,
	} {
		if err := m.UnmarshalText([]byte(text)); err != nil {
			panic(err) // the texts above are valid
		}
	}
	return p
}

// These are the maxima of a plan: the load that one machine can hold.
const (
	maxSenders     = 100 // a registration names no more of them
	maxConnections = 10_000
	maxDevices     = 1_000_000
	maxInFlight    = 1_000_000
	maxRate        = 10_000_000

	maxCollapseKeys = 4 // a server keeps messages of four per device (CCS 5 no. 3)
)

// Validate reports everything that is invalid, by the names of the flags.
func (p *Plan) Validate() error {
	var problems []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	check(p.Senders >= 1 && p.Senders <= maxSenders, "--senders %d: give 1 to %d", p.Senders, maxSenders)
	check(p.Connections >= 1 && p.Connections*max(p.Senders, 1) <= maxConnections,
		"--connections %d: give 1 to %d, over all senders", p.Connections, maxConnections)
	check(p.Devices >= 1 && p.Devices <= maxDevices, "--devices %d: give 1 to %d", p.Devices, maxDevices)
	check(p.DeviceProtocol == ProtocolMCS || p.DeviceProtocol == ProtocolXMPP, "--device-protocol %q: give mcs or xmpp", p.DeviceProtocol)
	check(p.InFlight >= 1 && p.InFlight*max(p.connections(), 1) <= maxInFlight,
		"--in-flight %d: give 1 to %d, over all connections", p.InFlight, maxInFlight)
	check(p.Rate >= 0 && p.Rate <= maxRate, "--rate %g: give 0 to %d", p.Rate, maxRate)
	check(p.Upstream >= 0 && p.Upstream <= maxRate, "--upstream %g: give 0 to %d", p.Upstream, maxRate)
	check(p.Ramp >= 0, "--ramp %s: give 0 or more", p.Ramp)
	check(p.Duration > 0, "--duration %s: give more than 0", p.Duration)
	check(p.Drain >= 0, "--drain %s: give 0 or more", p.Drain)
	check(p.StormFor >= 0, "--storm-for %s: give 0 or more", p.StormFor)
	check(p.CollapseKeys >= 0 && p.CollapseKeys <= maxCollapseKeys, "--collapse-keys %d: give 0 to %d", p.CollapseKeys, maxCollapseKeys)
	check(p.CollapseKeys == 0 || p.connections() <= p.Devices,
		"--collapse-keys needs as many devices as connections: those that share a device replace each other's messages")
	check(p.Receipts >= 0 && p.Receipts <= 100, "--receipts %d: give 0 to 100 percent", p.Receipts)
	check(!p.Away || p.Upstream == 0, "--away and --upstream: devices that are away send nothing")
	check(!p.Away || p.Receipts == 0, "--away and --receipts: devices that are away get nothing")
	return errors.Join(problems...)
}

// connections returns the number of connections of all senders.
func (p *Plan) connections() int { return p.Senders * p.Connections }

// wantsReceipt reports whether a message asks for a receipt.
func (p *Plan) wantsReceipt(seq int64) bool { return seq*int64(p.Receipts)%100 < int64(p.Receipts) }

// receipt returns the number of a message among those of its stream that ask for a receipt.
func (p *Plan) receipt(seq int64) int64 { return seq * int64(p.Receipts) / 100 }

// String describes the load in one line.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d × %d connections, %d devices", p.Senders, p.Connections, p.Devices)
	switch {
	case p.Away:
		b.WriteString(" (away)")
	case p.DeviceProtocol == ProtocolXMPP:
		b.WriteString(" over XMPP")
	}
	fmt.Fprintf(&b, ", %d in flight, %s bytes", p.InFlight, p.Payload)
	if p.Rate > 0 {
		fmt.Fprintf(&b, ", %g/s", p.Rate)
	}
	if p.Upstream > 0 {
		fmt.Fprintf(&b, ", %g/s upstream", p.Upstream)
	}
	if p.Storm != StormNone {
		fmt.Fprintf(&b, ", storm %s", p.Storm)
	}
	fmt.Fprintf(&b, ", %s", p.Duration)
	return b.String()
}
