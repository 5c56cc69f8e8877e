package load

import (
	"math"
	"sort"
	"time"
)

// tick is the granularity of due times. Messages of one tick are due together, and wake their
// sender once.
const tick = time.Millisecond

// pacer says when messages are due in an open loop. The rate grows from zero during the ramp.
type pacer struct {
	rate float64 // messages a second, after the ramp
	ramp time.Duration
}

// due returns the time at which message i, from 0, is due, since the start.
func (p pacer) due(i int64) time.Duration {
	n, ramp := float64(i), p.ramp.Seconds()
	at := ramp/2 + n/p.rate
	if n < p.rate*ramp/2 { // rate so far rate*t/ramp, so messages so far rate*t²/(2*ramp)
		at = math.Sqrt(2 * n * ramp / p.rate)
	}
	due := time.Duration(at * float64(time.Second))
	return (due + tick - 1) / tick * tick
}

// schedule wakes senders when their messages are due. Sender k of n has the messages k, k+n, k+2n
// and so on.
type schedule struct {
	pacer
	base time.Duration   // start of the schedule, on the run's clock
	wake []chan struct{} // capacity 1
}

func newSchedule(p pacer, senders int) *schedule {
	s := &schedule{pacer: p, wake: make([]chan struct{}, senders)}
	for i := range s.wake {
		s.wake[i] = make(chan struct{}, 1)
	}
	return s
}

// dueOf returns the time at which the sender's message i is due.
func (s *schedule) dueOf(sender int, i int64) time.Duration {
	return s.base + s.due(i*int64(len(s.wake))+int64(sender))
}

// dueBefore returns how many of a sender's messages from first on are due before t.
func (s *schedule) dueBefore(sender int, first int64, t time.Duration) int64 {
	n := 1
	for s.dueOf(sender, first+int64(n)-1) < t {
		n *= 2
	}
	return int64(sort.Search(n, func(i int) bool { return s.dueOf(sender, first+int64(i)) >= t }))
}

// run wakes senders until stop is closed. start is the start of the run's clock.
func (s *schedule) run(start time.Time, stop <-chan struct{}) {
	for i := int64(0); ; {
		sleepUntil(start.Add(s.base+s.due(i)), stop)
		select {
		case <-stop:
			return
		default:
		}
		now := time.Since(start) - s.base
		for woken := 0; s.due(i) <= now; i++ {
			if woken < len(s.wake) { // one signal stands for all due messages
				woken++
				signal(s.wake[i%int64(len(s.wake))])
			}
		}
	}
}

// signal sends to a channel of capacity 1, unless a signal is already in it.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// finest is the longest precise sleep. The runtime's timers may be a millisecond late when nothing
// else runs.
const finest = 5 * time.Millisecond

// sleepUntil waits until t, or until stop is closed. It notices that late if t is near.
func sleepUntil(t time.Time, stop <-chan struct{}) {
	if wait := time.Until(t); wait > finest {
		timer := time.NewTimer(wait - finest)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-stop:
			return
		}
	}
	if wait := time.Until(t); wait > 0 {
		sleepPrecisely(wait)
	}
}
