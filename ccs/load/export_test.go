package load

import "time"

// Arrivals is a stream as its receiver sees it.
type Arrivals struct{ t deliveredNumbers }

// Add returns the kind of an arrival.
func (a *Arrivals) Add(seq int64) string { return a.t.add(seq, 0).text() }

func (v verdict) text() string {
	return [...]string{inOrder: "in order", late: "late", duplicate: "duplicate"}[v]
}

// Account holds the fate of the messages of a stream.
type Account struct{ a account }

func (a *Account) Accept(seq int64)              { a.a.accept(seq) }
func (a *Account) Arrived(seq int64) string      { return a.a.arrived(seq, 0).text() }
func (a *Account) Receipt(number int64) string   { return a.a.receiptArrived(number).text() }
func (a *Account) LostUpstream(sent int64) int64 { return a.a.acceptedAndMissing(sent, 0) }

// Missing lists which of sent messages have not come, and counts the forgotten ones.
func (a *Arrivals) Missing(sent int64) (list []int64, forgotten int64) {
	for gap := range a.t.missing(sent, 0) {
		for seq := gap.from; seq < gap.to; seq++ {
			list = append(list, seq)
		}
	}
	return list, a.t.gaps.forgotten
}

const MaxSpans = maxSpans

// Fate counts the messages of a stream that were accepted and have not come.
type Fate struct{ Lost, Expired, Collapsed, Untracked int64 }

// CountStream accounts for messages due a second apart; those in got came, those in refused were
// nacked.
func CountStream(p *Plan, sent int64, got, refused []int64, now time.Duration) Fate {
	s := &stream{sent: sent, lastDue: time.Duration(sent-1) * time.Second}
	for _, seq := range got {
		s.arrived(sequence{seq: seq, due: time.Duration(seq) * time.Second})
	}
	for _, seq := range refused {
		s.account.refuse(seq, 0)
	}
	c := s.count(p, now)
	return Fate{c.lost, c.expired, c.collapsed, c.untracked}
}

// Due returns when message i of an open loop is due.
func Due(rate float64, ramp time.Duration, i int64) time.Duration {
	return pacer{rate: rate, ramp: ramp}.due(i)
}

// Compose writes a payload of size bytes as JSON and a message ID.
func Compose(c *Composer, stream int, seq int64, due time.Duration, size int) (id, object string) {
	s := sequence{run: 0xCAFE, stream: stream, seq: seq, due: due}
	return c.messageID(s), c.object(s, size)
}

type Composer = composer

// ReadPayload and ReadMessageID parse the results of Compose.
func ReadPayload(text string) (run uint32, stream int, seq int64, due time.Duration, ok bool) {
	s, ok := parseSequence(text)
	return s.run, s.stream, s.seq, s.due, ok
}

func ReadMessageID(text string) (run uint32, stream int, seq int64, ok bool) {
	s, ok := parseMessageID(text)
	return s.run, s.stream, s.seq, ok
}

const MaxSamples = maxSamples

// Compact returns a timeline to which samples were added.
func Compact(samples []Sample) []Sample {
	var t timeline
	for i := range samples {
		t.add(&samples[i])
	}
	return t.samples
}

// Warnings returns the reasons to distrust the figures of a result.
func Warnings(r *Result) []string {
	r.warn()
	return r.Warnings
}

// ProcessCPU and OwnCPU return the CPU time of a process, and of this one.
var ProcessCPU, OwnCPU = processCPU, ownCPU

// Excuse decides for which delays the server is responsible.
type Excuse struct{ e excuse }

func (e *Excuse) Blocked(wait time.Duration)            { e.e.blocked(wait) }
func (e *Excuse) Own(delay time.Duration) time.Duration { return e.e.own(delay) }

// OutageLog collects outages.
type OutageLog struct{ l outageLog }

func (l *OutageLog) Begin(kind OutageKind, at time.Duration) { l.l.begin(kind, at) }
func (l *OutageLog) End(kind OutageKind, at time.Duration)   { l.l.end(kind, at) }
func (l *OutageLog) EndAll(at time.Duration)                 { l.l.endAll(at) }
func (l *OutageLog) Stormed(from, to time.Duration)          { l.l.stormed(from, to) }

// Result returns their sums.
func (l *OutageLog) Result(began, from, to time.Duration, acked, delivered int64) Outages {
	return l.l.result(began, interval{from, to}, acked, delivered)
}

// Curve returns the curve of the given number of values: 1 ms, 2 ms and so on.
func Curve(values int) []Point {
	h := newHistogram()
	for i := range values {
		_ = h.RecordValue(int64(i+1) * 1000)
	}
	return curve(h)
}
