package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// setUp makes devices and connections and logs all of them in. The goroutines that it starts end
// with life.
func (r *run) setUp(ctx, life context.Context, die context.CancelCauseFunc, goroutines *sync.WaitGroup) error {
	var senders []string
	for _, s := range r.target.Senders[:r.plan.Senders] {
		senders = append(senders, s.SenderID)
	}
	var err error
	if r.fleet, err = openFleet(ctx, r.options.DevicesFile, r.target.HTTP, senders, r.target.TLS); err != nil {
		return err
	}
	defer r.fleet.close()
	ticker := r.progress()
	if err := r.fleet.grow(ctx, r.plan.Devices, ticker("registering devices", r.plan.Devices)); err != nil {
		return err
	}
	if err := r.fleet.save(); err != nil {
		return fmt.Errorf("keep the devices for the next run: %w", err)
	}
	for i, e := range r.fleet.Devices[:r.plan.Devices] {
		r.devices = append(r.devices, &device{run: r, number: i, id: e.Identity, token: e.Token})
	}
	r.connectStreams()
	if !r.plan.Away {
		if err := r.connectDevices(ctx, life, die, goroutines, ticker("connecting devices", len(r.devices))); err != nil {
			return err
		}
	}
	return r.connectServers(ctx, ticker("connecting app servers", len(r.servers)))
}

// connectStreams pairs connections and devices, with as few streams as possible so that each has
// one.
func (r *run) connectStreams() {
	for i := range r.plan.connections() {
		r.servers = append(r.servers, newAppServer(r, i))
	}
	for i := range max(len(r.servers), len(r.devices)) {
		s := &stream{id: i, device: r.devices[i%len(r.devices)]}
		a := r.servers[i%len(r.servers)]
		a.streams = append(a.streams, s)
		r.streams = append(r.streams, s)
	}
}

// connectDevices returns when every device has logged in.
func (r *run) connectDevices(
	ctx, life context.Context, die context.CancelCauseFunc, goroutines *sync.WaitGroup, progress func(int),
) error {
	g, ctx := errgroup.WithContext(ctx)
	if r.plan.Storm != StormConnect {
		g.SetLimit(atOnce)
	}
	var done atomic.Int64
	for _, d := range r.devices {
		g.Go(func() error {
			d.open()
			refused := make(chan error, 1)
			goroutines.Go(func() {
				err := d.link.Run(life)
				if life.Err() == nil {
					err = fmt.Errorf("device %s: %w", d.id, err)
					if isForgotten(err) && r.options.DevicesFile != "" {
						err = fmt.Errorf("%w; remove %s to have devices made anew", err, r.options.DevicesFile)
					}
					refused <- err
					die(err)
				}
			})
			select {
			case <-d.entered:
				progress(int(done.Add(1)))
				return nil
			case err := <-refused:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}
	return g.Wait()
}

// connectServers returns when every app server has logged in.
func (r *run) connectServers(ctx context.Context, progress func(int)) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	var done atomic.Int64
	for _, a := range r.servers {
		g.Go(func() error {
			if err := a.connect(ctx); err != nil {
				return err
			}
			progress(int(done.Add(1)))
			return nil
		})
	}
	err := g.Wait()
	if err != nil {
		for _, a := range r.servers {
			if a.client != nil {
				a.client.Close()
			}
		}
	}
	return err
}

// progress returns a function that reports progress to the reporters, at bounded intervals.
func (r *run) progress() func(what string, total int) func(done int) {
	var mu sync.Mutex
	var last time.Time
	return func(what string, total int) func(int) {
		return func(done int) {
			mu.Lock()
			defer mu.Unlock()
			if time.Since(last) < progressEvery {
				return
			}
			last = time.Now()
			for _, reporter := range r.options.Reporters {
				_ = reporter.Progress(what, done, total) // a reporter that fails here fails again with a sample
			}
		}
	}
}
