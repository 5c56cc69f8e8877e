package load

import (
	"cmp"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Phase is a part of a run.
type Phase string

// These are the phases. The time before them is reported as progress.
const (
	PhaseRamp    Phase = "ramp"
	PhaseMeasure Phase = "measure"
	PhaseDrain   Phase = "drain"
)

// Sample is a part of a run, about a second long.
type Sample struct {
	At                float64    `json:"at"`      // end of the sample, in seconds since the start
	Seconds           float64    `json:"seconds"` // its length
	Phase             Phase      `json:"phase"`
	Sent              int64      `json:"sent"`
	Acked             int64      `json:"acked"`
	Nacked            int64      `json:"nacked"`
	Delivered         int64      `json:"delivered"`
	Upstream          int64      `json:"upstream"` // delivered
	InFlight          int        `json:"in_flight"`
	Window            int        `json:"window"`             // of all connections
	ConnectionsOnline int        `json:"connections_online"` // of app servers
	DevicesOnline     int        `json:"devices_online"`
	Outage            OutageKind `json:"outage"` // the most significant one in it; "" for none
	AckMS             Latency    `json:"ack_ms"`
	DeliveryMS        Latency    `json:"delivery_ms"`

	// Ack and Delivery are the sample's own histograms, in microseconds. They are not in the
	// timeline, and valid until the reporter returns.
	Ack, Delivery *hdrhistogram.Histogram `json:"-"`
}

// maxSamples bounds a timeline. A longer run has longer samples.
const maxSamples = 1200

// timeline collects samples.
type timeline struct {
	samples []Sample
	every   int // calls of add that make one sample
	added   int // calls that the last sample contains
}

func (t *timeline) add(s *Sample) {
	if t.every == 0 {
		t.every = 1
	}
	kept := *s
	kept.Ack, kept.Delivery = nil, nil
	if n := len(t.samples); n > 0 && t.added < t.every && t.samples[n-1].Phase == s.Phase {
		t.samples[n-1] = merge(t.samples[n-1], kept)
		t.added++
		return
	}
	if len(t.samples) == maxSamples {
		t.halve()
	}
	t.samples = append(t.samples, kept)
	t.added = 1
}

// halve merges neighbouring samples of one phase.
func (t *timeline) halve() {
	half := t.samples[:0]
	for i := 0; i < len(t.samples); i++ {
		s := t.samples[i]
		if i+1 < len(t.samples) && t.samples[i+1].Phase == s.Phase {
			i++
			s = merge(s, t.samples[i])
		}
		half = append(half, s)
	}
	t.samples = half
	t.every *= 2
}

// merge makes one sample of two consecutive ones. It keeps the greater latency.
func merge(a, b Sample) Sample {
	m := b
	m.Seconds += a.Seconds
	m.Sent += a.Sent
	m.Acked += a.Acked
	m.Nacked += a.Nacked
	m.Delivered += a.Delivered
	m.Upstream += a.Upstream
	m.InFlight = max(a.InFlight, b.InFlight)
	m.ConnectionsOnline = min(a.ConnectionsOnline, b.ConnectionsOnline)
	m.Outage = cmp.Or(a.Outage, b.Outage)
	m.DevicesOnline = min(a.DevicesOnline, b.DevicesOnline)
	m.AckMS = worse(a.AckMS, b.AckMS)
	m.DeliveryMS = worse(a.DeliveryMS, b.DeliveryMS)
	return m
}

func worse(a, b Latency) Latency {
	return Latency{
		Count: a.Count + b.Count,
		P50:   max(a.P50, b.P50), P90: max(a.P90, b.P90), P99: max(a.P99, b.P99), P999: max(a.P999, b.P999), Max: max(a.Max, b.Max),
	}
}
