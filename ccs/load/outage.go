package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// OutageKind is what was missing in an outage.
type OutageKind string

// The kinds of outages.
const (
	NoConnection     OutageKind = "no_connection"      // no app server was connected
	NoAnswer         OutageKind = "no_answer"          // app servers were connected and waited, and no answer came
	NoDevice         OutageKind = "no_device"          // no device was connected
	NoDelivery       OutageKind = "no_delivery"        // devices were connected, messages were acked, and none was delivered
	NoUpstreamAnswer OutageKind = "no_upstream_answer" // devices were connected and waited for acks of upstream messages, and none came
)

// kinds lists them, the most telling one first.
var kinds = []OutageKind{NoConnection, NoAnswer, NoDevice, NoDelivery, NoUpstreamAnswer}

// String says it to a person.
func (k OutageKind) String() string {
	return map[OutageKind]string{
		NoConnection: "no app server connected", NoAnswer: "no answer to app servers", NoDevice: "no device connected",
		NoDelivery: "no delivery", NoUpstreamAnswer: "no answer to devices",
	}[k]
}

// Outage is a time in which the server did not do its part. From and To are seconds since the start
// of the ramp, as in a Sample.
type Outage struct {
	Kind  OutageKind `json:"kind"`
	From  float64    `json:"from"`
	To    float64    `json:"to"`
	Storm bool       `json:"storm"` // the run's own storm caused it
	Open  bool       `json:"open"`  // it lasted when the run ended
}

// Seconds is how long it lasted.
func (o Outage) Seconds() float64 { return o.To - o.From }

// Outages are all outages of a run, its ramp and drain included. Those of a storm are in the list
// only.
type Outages struct {
	Count             int      `json:"count"`   // those of several kinds that overlap are one
	Seconds           float64  `json:"seconds"` // with at least one of them
	NoConnectionS     float64  `json:"no_connection_s"`
	NoAnswerS         float64  `json:"no_answer_s"`
	NoDeviceS         float64  `json:"no_device_s"`
	NoDeliveryS       float64  `json:"no_delivery_s"`
	NoUpstreamAnswerS float64  `json:"no_upstream_answer_s"`
	MeasuredS         float64  `json:"measured_s"`      // of Seconds, what is in the measured part
	AckedPerS         float64  `json:"acked_per_s"`     // by the measured time without outages; what is caught up afterwards counts
	DeliveredPerS     float64  `json:"delivered_per_s"` // likewise
	List              []Outage `json:"list"`
	Unlisted          int      `json:"unlisted"` // counted, and left out of the list because it was full
}

const (
	// shortestGap is how long everybody has to be disconnected for an outage: what is shorter is a
	// reconnect.
	shortestGap = 100 * time.Millisecond
	// shortestSilence is how long nothing has to come for an outage.
	shortestSilence = time.Second
	// watchEvery is how often the counters are looked at for silence.
	watchEvery = 50 * time.Millisecond
	// longestWatch is how late the next look may be. A later one means that the load tool stood
	// still itself, and says nothing about the server.
	longestWatch = 10 * watchEvery
	// maxOutages bounds the list.
	maxOutages = 200
	// afterStorm is how long after a storm its consequences may begin, or end.
	afterStorm = time.Second
)

// interval is a part of a run, on its clock.
type interval struct{ from, to time.Duration }

func (i interval) seconds() float64 { return (i.to - i.from).Seconds() }

// outageLog collects the outages of a run.
type outageLog struct {
	mu       sync.Mutex // guards the rest
	ended    bool
	list     []outage // by the time they ended
	since    map[OutageKind]time.Duration
	unlisted int
	extra    map[OutageKind]time.Duration // of the unlisted ones
	storm    interval                     // zero until there is one
}

type outage struct {
	interval
	kind OutageKind
	open bool
}

// shortest is how long it has to last.
func (k OutageKind) shortest() time.Duration {
	if k == NoConnection || k == NoDevice {
		return shortestGap
	}
	return shortestSilence
}

// begin notes that an outage of a kind began, unless one lasts. What proves too short is none.
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

// end notes that an outage of a kind is over, if one lasts.
func (l *outageLog) end(kind OutageKind, at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.add(kind, at, false)
	}
}

// add needs mu.
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

// endAll ends what lasts: the run is over, and what happens to connections from now on is its own
// doing.
func (l *outageLog) endAll(at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	for _, kind := range kinds {
		l.add(kind, at, true)
	}
}

// during returns the most telling kind of outage in a part of a run that is just over, "" if there
// was none.
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

// stormed notes when a storm of the run's own was.
func (l *outageLog) stormed(from, to time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.storm = interval{from, to + afterStorm}
}

// ofStorm reports whether an outage is what a storm did, and not that the server took longer to
// recover.
func (l *outageLog) ofStorm(o outage) bool {
	return l.storm.to > 0 && o.from >= l.storm.from && o.to <= l.storm.to
}

// result adds the outages up. began is the start of the ramp, measured the measured part; endAll
// was called.
func (l *outageLog) result(began time.Duration, measured interval, acked, delivered int64) Outages {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortStableFunc(l.list, func(a, b outage) int { return cmp.Compare(a.from, b.from) })
	res := Outages{List: []Outage{}, Count: l.unlisted, Unlisted: l.unlisted}
	per := map[OutageKind]*float64{
		NoConnection: &res.NoConnectionS, NoAnswer: &res.NoAnswerS, NoDevice: &res.NoDeviceS,
		NoDelivery: &res.NoDeliveryS, NoUpstreamAnswer: &res.NoUpstreamAnswerS,
	}
	var all, ours []interval // ours are not of a storm
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

// within is how many seconds of a union are in a part of the run.
func within(list []interval, part interval) (sum float64) {
	for _, i := range list {
		if i = (interval{max(i.from, part.from), min(i.to, part.to)}); i.from < i.to {
			sum += i.seconds()
		}
	}
	return sum
}

// presence counts the connections of one side, and notes in a log when there is none.
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

// silence watches whether something that is waited for comes.
type silence struct {
	kind    OutageKind
	waits   func() bool  // somebody is connected, and something has to come
	arrived func() int64 // how much has come
	last    int64
}

// look notes what has happened since the look before, which was at before. blind says that the load
// tool stood still in between.
func (s *silence) look(l *outageLog, before, now time.Duration, blind bool) {
	n, waits := s.arrived(), s.waits()
	switch {
	case n != s.last || !waits:
		l.end(s.kind, before) // something came after it, or nobody waited any more
	case blind:
		l.end(s.kind, before)
		fallthrough
	default:
		l.begin(s.kind, now)
	}
	s.last = n
}

// silences are what a run watches.
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
	if !slices.Contains(r.plan.TTLs.All(), 0) { // what is for now or never need not be delivered
		var delivered, acked int64 // at the last delivery, and soon after it
		settled := true
		list = append(list, &silence{
			kind: NoDelivery, arrived: down.delivered.Load,
			waits: func() bool {
				n := down.delivered.Load()
				if n != delivered || !settled { // the acks of what is delivered may come after it
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

// String says it to a person.
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

// text says it to a person: how many there were, and what was missing for how long.
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
