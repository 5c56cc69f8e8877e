package load

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"
)

// These are the steps of a run itself.
const (
	sampleEvery = time.Second
	widenEvery  = 10 * time.Millisecond
	settleEvery = 50 * time.Millisecond
)

// runPhases runs the phases. setUp must have succeeded.
func (r *run) runPhases(ctx, life context.Context, die context.CancelCauseFunc, goroutines *sync.WaitGroup) (*Result, error) {
	b := newTotals(r.now())
	started := time.Now()
	var sending sync.WaitGroup
	if r.plan.Rate > 0 {
		r.schedule = newSchedule(pacer{rate: r.plan.Rate, ramp: r.plan.Ramp}, len(r.servers))
		r.schedule.base = b.began
		sending.Go(func() { r.schedule.run(r.start, r.stop) })
	}
	r.logins.drainInto(b.logins)
	for _, a := range r.servers {
		goroutines.Go(func() {
			if err := a.serve(life); err != nil {
				die(err)
			}
		})
	}
	watched := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { r.watch(watched) })
	sending.Go(r.openWindows)
	sending.Go(func() { r.sendUpstream(life) })

	until, cancel := context.WithCancelCause(ctx) // the user or an error may end the load early
	defer cancel(nil)
	defer context.AfterFunc(life, func() { cancel(context.Cause(life)) })()
	failure := r.phase(until, b, PhaseRamp, r.plan.Ramp)
	b.discard(r)
	b.begin = r.read()
	if failure == nil {
		sending.Go(func() { r.storm(life) })
		failure = r.phase(until, b, PhaseMeasure, r.plan.Duration)
	}
	b.end = r.read()
	interrupted := ctx.Err() != nil
	r.stopSending()
	sending.Wait()
	if drained := r.drain(life, b, interrupted); failure == nil {
		failure = drained
	}
	if failure == nil && life.Err() != nil {
		failure = context.Cause(life)
	}
	counted := r.now() // before the clients disconnect, which takes a moment
	for _, a := range r.servers {
		a.left = a.online.Load() == 0
	}
	close(watched)
	watching.Wait()
	r.outages.endAll(counted)
	die(nil)
	goroutines.Wait()
	b.collect(r, nil)

	result := r.result(b, counted)
	result.Run = strconv.FormatUint(uint64(r.id), 16)
	result.Started = started
	result.Interrupted = interrupted
	result.warn()
	for _, reporter := range r.options.Reporters { // one that fails does not stop the others
		failure = errors.Join(failure, reporter.Result(result))
	}
	return result, failure
}

// openWindows gives the connections their slots: at once in an open loop, one by one during the
// ramp of a closed loop.
func (r *run) openWindows() {
	if r.plan.Rate == 0 && r.plan.Ramp > 0 {
		began := time.Now()
		step := time.NewTicker(widenEvery)
		defer step.Stop()
		for done := time.Duration(0); done < r.plan.Ramp; done = time.Since(began) {
			r.widen(1 + int(float64(r.plan.InFlight)*done.Seconds()/r.plan.Ramp.Seconds()))
			select {
			case <-step.C:
			case <-r.stop:
				return
			}
		}
	}
	r.widen(r.plan.InFlight)
}

// phase takes samples for the given time. It returns an error if a reporter or the run fails, but
// not if ctx has ended for another reason.
func (r *run) phase(ctx context.Context, b *totals, name Phase, length time.Duration) error {
	end := r.now() + length
	for r.now() < end && ctx.Err() == nil {
		timer := time.NewTimer(min(sampleEvery, end-r.now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if err := r.sample(b, name); err != nil {
			return err
		}
	}
	return nil
}

// drain waits for outstanding messages: for the answers first, then for the deliveries.
func (r *run) drain(ctx context.Context, b *totals, interrupted bool) error {
	limit := r.plan.Drain
	if interrupted {
		limit = min(limit, interruptedDrain)
	}
	end := r.now() + limit
	check := time.NewTicker(settleEvery)
	defer check.Stop()
	for !r.idle() && r.now() < end && ctx.Err() == nil {
		select {
		case <-check.C:
		case <-ctx.Done():
		}
		if r.now()-b.lastAt >= sampleEvery {
			if err := r.sample(b, PhaseDrain); err != nil {
				return err
			}
		}
	}
	return r.sample(b, PhaseDrain)
}

// idle reports whether nothing is outstanding.
func (r *run) idle() bool {
	for _, a := range r.servers {
		select {
		case <-a.settled:
		default:
			return false
		}
	}
	sent := r.up.sent.Load()
	if r.up.acked.Load()+r.up.nacked.Load() < sent || r.up.delivered.Load() < sent || r.receipts.received.Load() < r.receipts.owed.Load() {
		return false
	}
	if r.plan.Away {
		return true
	}
	total, _, _ := r.count(r.now(), false)
	return total.lost == 0
}
