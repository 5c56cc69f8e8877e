package load

import (
	"context"
	"sync"

	"openccs/ccs/mcsclient"
	"openccs/stanza"
)

// upstreamArrived counts what came from a device over a connection.
func (r *run) upstreamArrived(connection int, o *stanza.Outbound) {
	text, _ := o.Data.Get(stampKey)
	at, ok := parseStamp(text)
	if !ok || at.run != r.id || at.stream >= len(r.devices) {
		r.strays.Add(1)
		return
	}
	if r.up.arrived(&r.devices[at.stream].up, at) {
		r.upDeliveries.record(connection, r.now()-at.due)
	}
}

// sendUpstream has the devices send in turn until sending is over.
func (r *run) sendUpstream(ctx context.Context) {
	if r.plan.Upstream == 0 {
		return
	}
	s := newSchedule(pacer{rate: r.plan.Upstream, ramp: r.plan.Ramp}, 1)
	s.base = r.now()
	var pacing sync.WaitGroup
	defer pacing.Wait()
	pacing.Go(func() { s.run(r.start, r.stop) })
	var text composer
	for i := int64(0); ; i++ {
		due := s.dueOf(0, i)
		for r.now() < due {
			select {
			case <-s.wake[0]:
			case <-r.stop:
				return
			}
		}
		if !r.sending() {
			return
		}
		d := r.devices[i%int64(len(r.devices))]
		at := stamp{run: r.id, stream: d.number, seq: d.up.sent, due: due}
		d.up.sent++
		d.up.lastDue = due
		r.up.sent.Add(1)
		m := &mcsclient.Upstream{
			ID: text.messageID(at), To: r.target.Senders[d.number%r.plan.Senders].SenderID, Category: app,
			Data: []mcsclient.Pair{{Key: stampKey, Value: text.value(at, r.plan.Payload.At(at.seq)-len(stampKey))}},
		}
		err := d.link.Send(ctx, m, func(err error) {
			if err == nil {
				r.up.acked.Add(1)
				r.upAcks.record(d.number, r.now()-due)
			}
		})
		if err != nil { // ctx has ended
			return
		}
	}
}
