package load

import "time"

// Overdue is what was due in an open loop and could not be sent, by no fault of the load tool.
type Overdue struct {
	NoConnection Backlog `json:"no_connection"` // their app server was not connected
	WindowFull   Backlog `json:"window_full"`   // they, or messages due before them, found the window full
}

// Backlog counts messages that were due and had to wait.
type Backlog struct {
	SentLate int64 `json:"sent_late"`
	Unsent   int64 `json:"unsent"` // when the sending ended
}

func (h *Backlog) add(other Backlog) {
	h.SentLate += other.SentLate
	h.Unsent += other.Unsent
}

// excuse is how long the server has kept a sender from sending since the sender was last on time.
type excuse struct{ owed time.Duration }

// blocked adds a wait for the server.
func (e *excuse) blocked(wait time.Duration) { e.owed += wait }

// own returns how much of a message's delay the load tool has caused itself. A sender that catches
// up has less and less of an excuse; one that falls further behind has none for that.
func (e *excuse) own(delay time.Duration) time.Duration {
	e.owed = min(e.owed, 2*delay)
	return max(0, delay-e.owed)
}

// punctuality is what an app server notes of its messages in an open loop. Its goroutine owns it.
type punctuality struct {
	excuse
	overdue Overdue
	gap     interval // without a connection, the last one; without an end if down
	down    bool
}

// disconnected notes that there is no connection to send on.
func (p *punctuality) disconnected(now time.Duration) { p.down, p.gap = true, interval{from: now} }

// connected notes that there is one again.
func (p *punctuality) connected(now time.Duration) {
	p.down, p.gap.to = false, now
	p.blocked(now - p.gap.from)
}

// sent notes a message that was due then, and returns how late the load tool itself made it. full
// says that it had to wait for a place in the window.
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

// onTime is the delay that is no news.
const onTime = 2 * tick

// stopped counts what was due when the sending ended, then, and was not sent: of a sender's
// messages those from first on. It returns how many of them the load tool has to answer for.
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
