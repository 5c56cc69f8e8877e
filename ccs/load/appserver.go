package load

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/ccsclient"
)

// appServer sends over one connection at a time and replaces it when it ends.
type appServer struct {
	// Static after newAppServer.
	run     *run
	number  int
	addr    string
	as      Credentials
	streams []*stream // it sends to each in turn
	log     *zap.Logger

	free    chan *inFlight // slots that are not taken; as long as there are slots
	settled chan struct{}  // closed when all messages are sent and answered
	settle  sync.Once
	online  atomic.Int32 // number of connections, including a draining one
	left    bool         // no connection when the run ended; set before its goroutines end
	old     sync.WaitGroup
	wire    cuttableConn

	waiting atomic.Int32 // length of again
	mu      sync.Mutex   // guards the next two
	again   []*inFlight  // sent, and not answered when their connection ended
	places  int

	// Owned by serve.
	client *ccsclient.Client
	text   composer
	made   int64 // number of messages made
	back   int   // slots that stay free because sending is over
	times  punctuality
}

// These bound a login of an app server or device, and the pause after a failure.
const (
	loginTimeout = 30 * time.Second
	firstPause   = 10 * time.Millisecond
	longestPause = time.Second
)

func newAppServer(r *run, number int) *appServer {
	places := r.plan.InFlight
	if r.plan.Storm == StormOverrun {
		places *= 2
	}
	return &appServer{
		run: r, number: number,
		addr: r.target.XMPP[number%len(r.target.XMPP)],
		as:   r.target.Senders[number%r.plan.Senders],
		log:  r.log.With(zap.Int("conn", number)),
		free: make(chan *inFlight, places), settled: make(chan struct{}),
	}
}

// connect logs in.
func (a *appServer) connect(ctx context.Context) error {
	c, err := ccsclient.Dial(ctx, a.addr, a.as.SenderID, a.as.APIKey, ccsclient.Options{
		TLS: a.run.target.TLS, Logger: a.log, Window: cap(a.free), DialTimeout: loginTimeout, Dial: a.wire.dial,
		OnePerRecord: a.run.plan.OnePerRecord,
		OnUpstream:   func(u *ccsclient.Upstream) error { a.run.upstreamArrived(a.number, u); return nil },
		OnReceipt:    a.run.receiptArrived,
	})
	if err == nil {
		a.client = c
		a.online.Add(1)
		a.run.connected.enter(a.run.now())
	}
	return err
}

// serve sends until all messages are sent and answered, and stays connected until ctx ends.
// connect must have succeeded.
func (a *appServer) serve(ctx context.Context) error {
	defer a.old.Wait()
	for {
		c := a.client
		a.old.Go(func() {
			<-c.Done()
			a.online.Add(-1)
			a.run.connected.leave(a.run.now())
		})
		a.sendLoop(ctx, c)
		if a.run.sending() {
			a.times.disconnected(a.run.now())
		}
		a.leave(ctx, c)
		if err := a.reconnect(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		if a.run.sending() {
			a.times.connected(a.run.now())
		}
	}
}

// leave waits until a connection that takes no more messages has answered everything, because a
// stream has an order only within one connection (CCS 5 no. 11). The connection may still carry
// messages for the app server until it ends.
func (a *appServer) leave(ctx context.Context, c *ccsclient.Client) {
	a.old.Go(func() {
		select {
		case <-c.Done():
		case <-ctx.Done():
		}
		c.Close()
	})
	poll := time.NewTicker(tick)
	defer poll.Stop()
	for busy := true; busy; {
		select {
		case <-poll.C:
			busy = !c.Draining() || c.InFlight() > 0
		case <-c.Done():
			busy = false
		case <-ctx.Done():
			busy = false
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.SortFunc(a.again, func(f, g *inFlight) int { return cmp.Compare(f.nth, g.nth) })
}

// reconnect tries to connect until it succeeds, ctx ends or the server refuses the key for good.
func (a *appServer) reconnect(ctx context.Context) error {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		err := a.connect(ctx)
		switch {
		case err == nil:
			a.run.reconnects.Add(1)
			return nil
		case ctx.Err() != nil:
			return nil
		case isRefused(err):
			return err
		}
		a.run.loginFailures.Add(1)
		a.log.Info("connect", zap.Error(err), zap.Duration("wait", pause))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return nil
}

// isRefused reports whether the server will refuse every login of a client over XMPP (CCS 1.6).
func isRefused(err error) bool {
	var refused *ccsclient.AuthError
	return errors.As(err, &refused) && !refused.Temporary()
}

// sendLoop sends over a connection until that takes no more messages or ctx ends.
func (a *appServer) sendLoop(ctx context.Context, c *ccsclient.Client) {
	for {
		f := a.next(ctx, c)
		if f == nil {
			return
		}
		m := a.message(f)
		repeated := f.again
		if err := c.Send(ctx, &m, f.answered); err != nil {
			a.retryLater(f)
			return
		}
		if repeated {
			a.run.down.resent.Add(1)
		}
	}
}

// next returns the message to send next, a new one or one that was sent before. It returns nil if
// c or ctx has ended.
func (a *appServer) next(ctx context.Context, c *ccsclient.Client) *inFlight {
	for {
		if f := a.nextRetry(); f != nil {
			return f
		}
		due, ok := a.due(ctx, c)
		if !ok {
			if a.run.sending() || !a.wait(ctx, c) {
				return nil
			}
			continue
		}
		select {
		case f := <-a.free:
			return a.make(f, due, false)
		default: // the window is full
		}
		since := a.run.now()
		select {
		case f := <-a.free:
			a.times.blocked(a.run.now() - since)
			return a.make(f, due, true)
		case <-c.Done():
			a.times.blocked(a.run.now() - since)
			return nil
		case <-a.run.stop:
			a.times.blocked(a.run.now() - since)
		case <-ctx.Done():
			return nil
		}
	}
}

// due waits until the next message is due; in a closed loop that is at once. It returns false if
// sending is over, or if c or ctx has ended.
func (a *appServer) due(ctx context.Context, c *ccsclient.Client) (due time.Duration, ok bool) {
	if !a.run.sending() {
		return 0, false
	}
	if a.run.schedule == nil {
		return 0, true
	}
	for due = a.run.schedule.dueOf(a.number, a.made); a.run.now() < due; {
		select {
		case <-a.run.schedule.wake[a.number]:
		case <-a.run.stop:
			return 0, false
		case <-c.Done():
			return 0, false
		case <-ctx.Done():
			return 0, false
		}
	}
	return due, true
}

// wait collects the slots of answered messages when no new messages are made. It reports whether a
// message must be sent again over c. If not, c or ctx has ended.
func (a *appServer) wait(ctx context.Context, c *ccsclient.Client) bool {
	for a.waiting.Load() == 0 {
		if a.back == cap(a.free) {
			a.settle.Do(func() { close(a.settled) })
		}
		select {
		case <-a.free:
			a.back++
		case <-c.Done():
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}
