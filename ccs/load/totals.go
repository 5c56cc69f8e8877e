package load

import (
	"maps"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// totals collects the figures of a run. The goroutine of Run owns it.
type totals struct {
	began    time.Duration // on the run's clock
	timeline timeline

	// These cover everything since the ramp.
	acks, deliveries, upAcks, upDeliveries, late, logins *hdrhistogram.Histogram

	last       Sample // counts at the last sample
	lastAt     time.Duration
	begin, end counters // of the measured part
}

// counters is a snapshot of the counters.
type counters struct {
	at                      time.Duration
	acked, delivered        int64
	upAcked, upDelivered    int64
	generatorCPU, serverCPU time.Duration
	serverCPUKnown          bool
}

func newTotals(now time.Duration) *totals {
	return &totals{
		began: now, lastAt: now,
		acks: newHistogram(), deliveries: newHistogram(), late: newHistogram(),
		upAcks: newHistogram(), upDeliveries: newHistogram(), logins: newHistogram(),
	}
}

// collect moves the contents of the meters into the totals, and into a sample if there is one.
func (b *totals) collect(r *run, s *Sample) {
	move := func(m *meter, total, part *hdrhistogram.Histogram) {
		if part == nil {
			m.drainInto(total)
			return
		}
		m.drainInto(part)
		total.Merge(part)
	}
	if s != nil {
		s.Ack, s.Delivery = newHistogram(), newHistogram()
		move(r.acks, b.acks, s.Ack)
		move(r.deliveries, b.deliveries, s.Delivery)
	} else {
		move(r.acks, b.acks, nil)
		move(r.deliveries, b.deliveries, nil)
	}
	move(r.upAcks, b.upAcks, nil)
	move(r.upDeliveries, b.upDeliveries, nil)
	move(r.lateness, b.late, nil)
	move(r.logins, b.logins, nil)
}

// discard forgets the latencies of the ramp, except those of logins.
func (b *totals) discard(r *run) {
	b.collect(r, nil)
	for _, h := range []*hdrhistogram.Histogram{b.acks, b.deliveries, b.upAcks, b.upDeliveries, b.late} {
		h.Reset()
	}
}

// sample reports what happened since the last sample.
func (r *run) sample(b *totals, phase Phase) error {
	now := r.now()
	total := Sample{
		Sent: r.down.sent.Load(), Acked: r.down.acked.Load(), Nacked: r.down.nacked.Load(),
		Delivered: r.down.delivered.Load(), Upstream: r.up.delivered.Load(),
	}
	s := Sample{
		At: (now - b.began).Seconds(), Seconds: (now - b.lastAt).Seconds(), Phase: phase,
		Sent: total.Sent - b.last.Sent, Acked: total.Acked - b.last.Acked, Nacked: total.Nacked - b.last.Nacked,
		Delivered: total.Delivered - b.last.Delivered, Upstream: total.Upstream - b.last.Upstream,
		InFlight: int(max(0, total.Sent-total.Acked-total.Nacked)), Window: r.plan.InFlight * len(r.servers),
		ConnectionsOnline: r.connected.count(), DevicesOnline: r.online.count(),
		Outage: r.outages.during(interval{b.lastAt, now}),
	}
	b.last, b.lastAt = total, now
	b.collect(r, &s)
	s.AckMS, s.DeliveryMS = latency(s.Ack), latency(s.Delivery)
	b.timeline.add(&s)
	for _, reporter := range r.options.Reporters {
		if err := reporter.Sample(&s); err != nil {
			return err
		}
	}
	return nil
}

// read returns the current counters.
func (r *run) read() counters {
	now := counters{
		at: r.now(), acked: r.down.acked.Load(), delivered: r.down.delivered.Load(),
		upAcked: r.up.acked.Load(), upDelivered: r.up.delivered.Load(), generatorCPU: ownCPU(),
	}
	if r.options.ServerPID != 0 {
		cpu, err := processCPU(r.options.ServerPID)
		now.serverCPU, now.serverCPUKnown = cpu, err == nil
	}
	return now
}

// count takes the census of all streams. A message that the server reported as deleted is not
// lost. inTheEnd says that all goroutines have ended; then the missing messages of a device
// without a connection count as waiting. The app servers must have settled or ended.
func (r *run) count(now time.Duration, inTheEnd bool) (total census, deleted, waiting int64) {
	lost := make([]int64, len(r.devices))
	for _, s := range r.streams {
		c := s.count(r.plan, now)
		lost[s.device.number] += c.lost
		total.expired += c.expired
		total.collapsed += c.collapsed
		total.untracked += c.untracked
	}
	for i, n := range lost {
		told := min(n, r.devices[i].dropped.Load())
		deleted += told
		if inTheEnd && !r.devices[i].isOnline {
			waiting += n - told
		} else {
			total.lost += n - told
		}
	}
	return total, deleted, waiting
}

// result adds everything up. All goroutines must have ended; now is the end of the drain.
func (r *run) result(b *totals, now time.Duration) *Result {
	measured := (b.end.at - b.begin.at).Seconds()
	perSecond := func(begin, end int64) float64 {
		if measured == 0 {
			return 0
		}
		return float64(end-begin) / measured
	}
	res := &Result{
		Plan: *r.plan, Seconds: measured,
		Sent: r.down.sent.Load(), Acked: r.down.acked.Load(), Nacked: r.down.nacked.Load(),
		Delivered: r.down.delivered.Load(), Duplicated: r.down.duplicated.Load(), OutOfOrder: r.down.outOfOrder.Load(),
		Resent: r.down.resent.Load(), Misdelivered: r.misdelivered.Load(), Strays: r.strays.Load(),
		Nacks: map[string]int64{},
		Outages: r.outages.result(b.began, interval{b.begin.at, b.end.at},
			b.end.acked-b.begin.acked, b.end.delivered-b.begin.delivered),
		AckedPerS: perSecond(b.begin.acked, b.end.acked), DeliveredPerS: perSecond(b.begin.delivered, b.end.delivered),
		AckMS: latency(b.acks), DeliveryMS: latency(b.deliveries),
		AckCurve: curve(b.acks), DeliveryCurve: curve(b.deliveries),
		Receipts: Receipts{
			Requested: r.receipts.requested.Load(), Received: r.receipts.received.Load(),
			Lost: max(0, r.receipts.owed.Load()-r.receipts.received.Load()), Duplicated: r.receipts.duplicated.Load(),
		},
		Logins: b.logins.TotalCount(), LoginMS: latency(b.logins), Reconnects: r.reconnects.Load(), LoginFailures: r.loginFailures.Load(),
		Timeline: b.timeline.samples,
	}
	for code, n := range maps.All(r.nacks) {
		res.Nacks[string(code)] = n
	}
	for _, a := range r.servers {
		res.Unanswered += a.countUnanswered()
		if r.schedule != nil {
			res.Generator.Unsent += a.times.stopped(r.schedule, a.number, a.made, r.stoppedAt)
			res.Overdue.NoConnection.add(a.times.overdue.NoConnection)
			res.Overdue.WindowFull.add(a.times.overdue.WindowFull)
		}
	}
	res.Generator.Unsent += r.ownUnsent
	res.Generator.StalledS = r.stalled.Seconds()
	if r.plan.Away {
		res.Waiting = res.Acked
	} else {
		total, deleted, waiting := r.count(now, true)
		res.Lost, res.Expired, res.Collapsed, res.Untracked = total.lost, total.expired, total.collapsed, total.untracked
		res.Deleted, res.Waiting = deleted, waiting
	}
	res.Upstream = r.upstream(b, perSecond(b.begin.upDelivered, b.end.upDelivered))
	messages := b.end.acked - b.begin.acked + b.end.upAcked - b.begin.upAcked
	if messages > 0 {
		each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(messages) }
		if b.begin.serverCPUKnown && b.end.serverCPUKnown && b.end.serverCPU >= b.begin.serverCPU {
			cpu := each(b.end.serverCPU - b.begin.serverCPU)
			res.ServerCPU = &cpu
		}
		res.Generator.CPUUS = each(b.end.generatorCPU - b.begin.generatorCPU)
	}
	if measured > 0 {
		res.Generator.CPUCores = (b.end.generatorCPU - b.begin.generatorCPU).Seconds() / measured
	}
	res.Generator.LateMS = latency(b.late)
	return res
}

// upstream adds up the other direction.
func (r *run) upstream(b *totals, perSecond float64) Upstream {
	u := Upstream{
		Sent: r.up.sent.Load(), Acked: r.up.acked.Load(), Nacked: r.up.nacked.Load(), Delivered: r.up.delivered.Load(),
		Unsent:     r.upUnsent,
		Duplicated: r.up.duplicated.Load(), OutOfOrder: r.up.outOfOrder.Load(),
		DeliveredPerS: perSecond, AckMS: latency(b.upAcks), DeliveryMS: latency(b.upDeliveries),
	}
	connected := make([]bool, r.plan.Senders)
	for _, a := range r.servers {
		connected[a.number%r.plan.Senders] = connected[a.number%r.plan.Senders] || !a.left
	}
	for _, d := range r.devices {
		if n := d.up.upstreamLost(); connected[d.number%r.plan.Senders] {
			u.Lost += n
		} else {
			u.Waiting += n
		}
	}
	u.Unanswered = u.Sent - u.Acked - u.Nacked
	return u
}
