package load

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// storm causes the plan's storm, half-way through the measured part.
func (r *run) storm(ctx context.Context) {
	if r.plan.Storm == StormNone || r.plan.Storm == StormConnect {
		return
	}
	timer := time.NewTimer(r.plan.Duration / 2)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.stop:
		return
	}
	r.log.Info("storm", zap.String("kind", string(r.plan.Storm)))
	began := r.now()
	defer func() { r.outages.stormed(began, r.now()) }()
	switch r.plan.Storm {
	case StormReconnect:
		r.cutDevices()
		for _, a := range r.servers {
			a.wire.closeAbruptly()
		}
	case StormDrain:
		if err := r.options.Drain(ctx); err != nil {
			r.log.Error("drain", zap.Error(err))
		}
	case StormMassOffline:
		reopen := r.devicesMay.block()
		r.cutDevices()
		away := time.NewTimer(r.plan.StormFor)
		defer away.Stop()
		select {
		case <-away.C:
		case <-r.stop:
		}
		reopen()
	case StormOverrun:
		r.widen(2 * r.plan.InFlight)
	}
}

func (r *run) cutDevices() {
	for _, d := range r.devices {
		d.wire.closeAbruptly()
	}
}
