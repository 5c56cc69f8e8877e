package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// OutageKind says what was missing in an outage.
type OutageKind string

// These are the kinds of outages.
const (
	NoConnection     OutageKind = "no_connection"      // no app server was connected
	NoAnswer         OutageKind = "no_answer"          // app servers waited, and no answer came
	NoDevice         OutageKind = "no_device"          // no device was connected
	NoDelivery       OutageKind = "no_delivery"        // messages were acked, and none was delivered
	NoUpstreamAnswer OutageKind = "no_upstream_answer" // devices waited for acks, and none came
)

// kinds lists the kinds, the most significant one first.
var kinds = []OutageKind{NoConnection, NoAnswer, NoDevice, NoDelivery, NoUpstreamAnswer}

// String returns a description for a person.
func (k OutageKind) String() string {
	return map[OutageKind]string{
		NoConnection: "no app server connected", NoAnswer: "no answer to app servers", NoDevice: "no device connected",
		NoDelivery: "no delivery", NoUpstreamAnswer: "no answer to devices",
	}[k]
}

// Outage is a time in which the server did not do its part. From and To are seconds since the
// start of the ramp, as in a Sample.
type Outage struct {
	Kind  OutageKind `json:"kind"`
	From  float64    `json:"from"`
	To    float64    `json:"to"`
	Storm bool       `json:"storm"` // the run's own storm caused it
	Open  bool       `json:"open"`  // it was not over when the run ended
}

// Seconds returns the duration of the outage.
func (o Outage) Seconds() float64 { return o.To - o.From }

// Outages are all outages of a run, including its ramp and drain. Outages of a storm are only in
// the list.
type Outages struct {
	Count             int     `json:"count"`   // those of several kinds that overlap are one
	Seconds           float64 `json:"seconds"` // with at least one of them
	NoConnectionS     float64 `json:"no_connection_s"`
	NoAnswerS         float64 `json:"no_answer_s"`
	NoDeviceS         float64 `json:"no_device_s"`
	NoDeliveryS       float64 `json:"no_delivery_s"`
	NoUpstreamAnswerS float64 `json:"no_upstream_answer_s"`
	MeasuredS         float64 `json:"measured_s"` // the part of Seconds in the measured part
	// Rates are by the measured time without outages. Messages caught up later count.
	AckedPerS     float64  `json:"acked_per_s"`
	DeliveredPerS float64  `json:"delivered_per_s"` // likewise
	List          []Outage `json:"list"`
	Unlisted      int      `json:"unlisted"` // counted, but not listed because the list was full
}

const (
	// shortestGap is the minimum time without any connection for an outage. A shorter one is a
	// reconnect.
	shortestGap = 100 * time.Millisecond
	// shortestSilence is the minimum time without arrivals for an outage.
	shortestSilence = time.Second
	// watchEvery is the interval at which the counters are checked for silence.
	watchEvery = 50 * time.Millisecond
	// longestWatch is the maximum time between two checks. If a check is later, the load tool
	// stood still itself, and the check says nothing about the server.
	longestWatch = 10 * watchEvery
	// maxOutages bounds the list.
	maxOutages = 200
	// afterStorm is the time after a storm in which its consequences may begin, or end.
	afterStorm = time.Second
)

// interval is a part of a run, on its clock.
type interval struct{ from, to time.Duration }

func (i interval) seconds() float64 { return (i.to - i.from).Seconds() }

// outageLog collects the outages of a run.
type outageLog struct {
	mu       sync.Mutex // guards the rest
	ended    bool
	list     []outage // in the order of their ends
	since    map[OutageKind]time.Duration
	unlisted int
	extra    map[OutageKind]time.Duration // duration of the unlisted outages
	storm    interval                     // zero until there is one
}

type outage struct {
	interval
	kind OutageKind
	open bool
}

// shortest returns the minimum duration of an outage of the kind.
func (k OutageKind) shortest() time.Duration {
	if k == NoConnection || k == NoDevice {
		return shortestGap
	}
	return shortestSilence
}

// begin records that an outage of a kind began, unless one is in progress. An outage that turns
// out too short does not count.
func (l *outageLog) begin(kind OutageKind, at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since == nil {
		l.since, l.extra = map[OutageKind]time.Duration{}, map[OutageKind]time.Duration{}
	}
	if _, lasts := l.since[kind]; !lasts && !l.ended {
		l.since[kind] = at
	}
}

// end records that an outage of a kind is over, if one is in progress.
func (l *outageLog) end(kind OutageKind, at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.add(kind, at, false)
	}
}

// add adds an outage that is over to the list, if it is long enough. The caller must hold l.mu.
func (l *outageLog) add(kind OutageKind, to time.Duration, open bool) {
	from, lasts := l.since[kind]
	delete(l.since, kind)
	switch {
	case !lasts || to-from < kind.shortest():
	case len(l.list) < maxOutages:
		l.list = append(l.list, outage{interval{from, to}, kind, open})
	default:
		l.unlisted++
		l.extra[kind] += to - from
	}
}

// endAll ends all outages in progress. The run is over and closes its connections itself from now
// on.
func (l *outageLog) endAll(at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for _, kind := range kinds {
		l.add(kind, at, true)
	}
}

// during returns the most significant kind of outage in a part of a run that is just over, or "".
func (l *outageLog) during(i interval) OutageKind {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kind := range kinds {
		if from, lasts := l.since[kind]; lasts && i.to-max(from, i.from) >= shortestGap && i.to-from >= kind.shortest() {
			return kind
		}
		for _, o := range slices.Backward(l.list) {
			if o.to <= i.from {
				break
			}
			if o.kind == kind && o.from < i.to {
				return kind
			}
		}
	}
	return ""
}

// stormed records the time of a storm that the run itself caused.
func (l *outageLog) stormed(from, to time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.storm = interval{from, to + afterStorm}
}

// ofStorm reports whether a storm caused an outage. It does not if the server took longer to
// recover.
func (l *outageLog) ofStorm(o outage) bool {
	return l.storm.to > 0 && o.from >= l.storm.from && o.to <= l.storm.to
}

// result adds the outages up. began is the start of the ramp, measured the measured part. endAll
// must have been called.
func (l *outageLog) result(began time.Duration, measured interval, acked, delivered int64) Outages {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortStableFunc(l.list, func(a, b outage) int { return cmp.Compare(a.from, b.from) })
	res := Outages{List: []Outage{}, Count: l.unlisted, Unlisted: l.unlisted}
	per := map[OutageKind]*float64{
		NoConnection: &res.NoConnectionS, NoAnswer: &res.NoAnswerS, NoDevice: &res.NoDeviceS,
		NoDelivery: &res.NoDeliveryS, NoUpstreamAnswer: &res.NoUpstreamAnswerS,
	}
	var all, ours []interval // ours are the outages that are not of a storm
	for _, o := range l.list {
		storm := l.ofStorm(o)
		res.List = append(res.List, Outage{
			Kind: o.kind, From: (o.from - began).Seconds(), To: (o.to - began).Seconds(), Storm: storm, Open: o.open,
		})
		all = append(all, o.interval)
		if !storm {
			*per[o.kind] += o.seconds()
			ours = append(ours, o.interval)
		}
	}
	for kind, d := range l.extra {
		*per[kind] += d.Seconds()
	}
	ours, all = union(ours), union(all)
	res.Count += len(ours)
	res.Seconds = within(ours, interval{0, 1<<63 - 1})
	res.MeasuredS = within(ours, measured)
	if up := measured.seconds() - within(all, measured); up > 0 {
		res.AckedPerS, res.DeliveredPerS = float64(acked)/up, float64(delivered)/up
	}
	return res
}

// union joins the intervals that overlap. They are sorted by their start.
func union(list []interval) []interval {
	var joined []interval
	for _, i := range list {
		if n := len(joined); n > 0 && i.from <= joined[n-1].to {
			joined[n-1].to = max(joined[n-1].to, i.to)
			continue
		}
		joined = append(joined, i)
	}
	return joined
}

// within returns the seconds of a union in a part of the run.
func within(list []interval, part interval) (sum float64) {
	for _, i := range list {
		if i = (interval{max(i.from, part.from), min(i.to, part.to)}); i.from < i.to {
			sum += i.seconds()
		}
	}
	return sum
}

// presence counts the connections of one side, and logs an outage when there is none.
type presence struct {
	kind OutageKind
	log  *outageLog

	mu sync.Mutex
	n  int
}

func (p *presence) enter(now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n++; p.n == 1 {
		p.log.end(p.kind, now)
	}
}

func (p *presence) leave(now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n--; p.n == 0 {
		p.log.begin(p.kind, now)
	}
}

func (p *presence) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// silence checks whether expected events arrive.
type silence struct {
	kind    OutageKind
	waits   func() bool  // somebody is connected, and an arrival is expected
	arrived func() int64 // number of arrivals
	last    int64
}

// look records what has happened since the last check, which was at before. blind says that the
// load tool stood still in between.
func (s *silence) look(l *outageLog, before, now time.Duration, blind bool) {
	n, waits := s.arrived(), s.waits()
	switch {
	case n != s.last || !waits:
		l.end(s.kind, before) // there was an arrival after before, or nobody waits any more
	case blind:
		l.end(s.kind, before)
		fallthrough
	default:
		l.begin(s.kind, now)
	}
	s.last = n
}

// silences returns the silences that a run watches.
func (r *run) silences() []*silence {
	down, up := &r.down, &r.up
	answered := func() int64 { return down.acked.Load() + down.nacked.Load() }
	upAnswered := func() int64 { return up.acked.Load() + up.nacked.Load() }
	list := []*silence{{
		kind: NoAnswer, arrived: answered,
		waits: func() bool { return r.connected.count() > 0 && down.sent.Load() > answered() },
	}}
	if r.plan.Away {
		return list
	}
	list = append(list, &silence{
		kind: NoUpstreamAnswer, arrived: upAnswered,
		waits: func() bool { return r.online.count() > 0 && up.sent.Load() > upAnswered() },
	})
	if !slices.Contains(r.plan.TTLs.All(), 0) { // messages with TTL 0 need not be delivered
		var delivered, acked int64 // at the last delivery, and soon after it
		settled := true
		list = append(list, &silence{
			kind: NoDelivery, arrived: down.delivered.Load,
			waits: func() bool {
				n := down.delivered.Load()
				if n != delivered || !settled { // the acks of delivered messages may follow later
					settled = n == delivered
					delivered, acked = n, down.acked.Load()
				}
				return r.sending() && r.online.count() > 0 && down.acked.Load() > acked
			},
		})
	}
	return list
}

// watch looks for silence until stop is closed.
func (r *run) watch(stop <-chan struct{}) {
	list := r.silences()
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	for before := r.now(); ; {
		select {
		case <-every.C:
		case <-stop:
			return
		}
		now := r.now()
		blind := now-before > longestWatch
		if blind {
			r.stalled += now - before
		}
		for _, s := range list {
			s.look(&r.outages, before, now, blind)
		}
		before = now
	}
}

// String returns a description for a person.
func (o *Outage) String() string {
	text := fmt.Sprintf("%s for %.1f s, from %.1f to %.1f", o.Kind, o.Seconds(), o.From, o.To)
	switch {
	case o.Storm:
		text += " (the storm)"
	case o.Open:
		text += ", when the run ended"
	}
	return text
}

// text returns a description for a person: how many outages there were, and what was missing for
// how long.
func (o *Outages) text() string {
	plural := "s"
	if o.Count == 1 {
		plural = ""
	}
	var parts []string
	for _, part := range []struct {
		kind    OutageKind
		seconds float64
	}{
		{NoConnection, o.NoConnectionS}, {NoAnswer, o.NoAnswerS}, {NoDevice, o.NoDeviceS},
		{NoDelivery, o.NoDeliveryS}, {NoUpstreamAnswer, o.NoUpstreamAnswerS},
	} {
		if part.seconds > 0 {
			parts = append(parts, fmt.Sprintf("%s for %.1f s", part.kind, part.seconds))
		}
	}
	return fmt.Sprintf("%d outage%s in %.1f s: %s", o.Count, plural, o.Seconds, strings.Join(parts, ", "))
}
