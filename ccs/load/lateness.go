package load

import "time"

// Overdue counts messages that were due in an open loop and could not be sent, through no fault of
// the load tool.
type Overdue struct {
	NoConnection Backlog `json:"no_connection"` // their app server was not connected
	WindowFull   Backlog `json:"window_full"`   // these, or messages due earlier, found it full
}

// Backlog counts messages that were due and had to wait.
type Backlog struct {
	SentLate int64 `json:"sent_late"`
	Unsent   int64 `json:"unsent"` // when sending ended
}

func (h *Backlog) add(other Backlog) {
	h.SentLate += other.SentLate
	h.Unsent += other.Unsent
}

// excuse is the time for which the server has kept a sender from sending since the sender was last
// on time.
type excuse struct{ owed time.Duration }

// blocked adds a wait for the server.
func (e *excuse) blocked(wait time.Duration) { e.owed += wait }

// own returns the part of a message's delay that the load tool has caused itself. A sender that
// catches up has less and less of an excuse. A sender that falls further behind has none for that.
func (e *excuse) own(delay time.Duration) time.Duration {
	e.owed = min(e.owed, 2*delay)
	return max(0, delay-e.owed)
}

// punctuality records the delays of one app server in an open loop. Its goroutine owns it.
type punctuality struct {
	excuse
	overdue Overdue
	gap     interval // the last time without a connection; it has no end if down
	down    bool
}

// disconnected records that there is no connection to send on.
func (p *punctuality) disconnected(now time.Duration) { p.down, p.gap = true, interval{from: now} }

// connected records that there is a connection again.
func (p *punctuality) connected(now time.Duration) {
	p.down, p.gap.to = false, now
	p.blocked(now - p.gap.from)
}

// sent records a message that was due at due, and returns the delay that the load tool itself
// caused. full says that the message had to wait for a slot in the window.
func (p *punctuality) sent(due, now time.Duration, full bool) time.Duration {
	delay := now - due
	own := p.own(delay)
	switch {
	case due >= p.gap.from && due < p.gap.to:
		p.overdue.NoConnection.SentLate++
	case full || delay > onTime && own < delay:
		p.overdue.WindowFull.SentLate++
	}
	return own
}

// onTime is the largest delay that still counts as on time.
const onTime = 2 * tick

// stopped counts the messages that were due and unsent when sending ended, at then. These are the
// sender's messages from first on. It returns the number of messages that the load tool is
// responsible for.
func (p *punctuality) stopped(s *schedule, sender int, first int64, then time.Duration) (own int64) {
	before := func(t time.Duration) int64 { return s.dueBefore(sender, first, t) }
	unsent := before(then - onTime)
	switch {
	case p.down:
		p.overdue.NoConnection.Unsent += unsent
	case p.owed > 0:
		held := min(unsent, before(p.gap.to))
		p.overdue.NoConnection.Unsent += held
		p.overdue.WindowFull.Unsent += unsent - held
	default:
		return unsent
	}
	return 0
}
