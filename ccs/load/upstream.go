package load

import (
	"context"
	"sync"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// upstreamArrived counts a message from a device that arrived over a connection.
func (r *run) upstreamArrived(connection int, u *ccsclient.Upstream) {
	text, _ := u.Data.Get(stampKey)
	at, ok := parseSequence(text)
	if !ok || at.run != r.id || at.stream >= len(r.devices) {
		r.strays.Add(1)
		return
	}
	if r.up.arrived(&r.devices[at.stream].up, at) {
		r.upDeliveries.record(connection, r.now()-at.due)
	}
}

// sendUpstream makes the devices send in turn until sending is over.
func (r *run) sendUpstream(ctx context.Context) {
	if r.plan.Upstream == 0 {
		return
	}
	s := newSchedule(pacer{rate: r.plan.Upstream, ramp: r.plan.Ramp}, 1)
	s.base = r.now()
	until, cancel := context.WithCancel(ctx) // a device without acks blocks when its window is full
	defer cancel()
	var pacing sync.WaitGroup
	defer pacing.Wait()
	pacing.Go(func() {
		defer cancel()
		s.run(r.start, r.stop)
	})
	var text composer
	var server excuse
	made := int64(0)
	for ; s.wait(r, made); made++ {
		due := s.dueOf(0, made)
		now := r.now()
		d := r.devices[made%int64(len(r.devices))]
		at := sequence{run: r.id, stream: d.number, seq: d.up.sent, due: due}
		m := &mcsclient.Upstream{
			ID: text.messageID(at), To: r.target.Senders[d.number%r.plan.Senders].SenderID, Category: app,
			Data: []mcsclient.Pair{{Key: stampKey, Value: text.value(at, r.plan.Payload.At(at.seq)-len(stampKey))}},
		}
		err := d.link.Send(until, m, func(err error) {
			if err != nil {
				r.up.nacked.Add(1)
				return
			}
			d.up.account.accept(at.seq)
			r.up.acked.Add(1)
			r.upAcks.record(d.number, r.now()-due)
		})
		waited := r.now() - now
		if err != nil { // sending is over
			server.blocked(waited)
			break
		}
		d.up.sent++
		d.up.lastDue = due
		r.up.sent.Add(1)
		r.lateness.record(d.number, server.own(now-due))
		if waited > tick { // for a slot in the device's window
			server.blocked(waited)
		}
	}
	if unsent := s.dueBefore(0, made, r.stoppedAt-onTime); server.owed > 0 {
		r.upUnsent = unsent
	} else {
		r.ownUnsent = unsent
	}
}

// wait waits until a message of the only sender is due. It returns false when sending is over.
func (s *schedule) wait(r *run, message int64) bool {
	for due := s.dueOf(0, message); r.sending(); {
		if r.now() >= due {
			return true
		}
		select {
		case <-s.wake[0]:
		case <-r.stop:
		}
	}
	return false
}
