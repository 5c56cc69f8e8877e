package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/stanza"
)

// Options are what Run may be told besides the plan. The zero value works.
type Options struct {
	Logger      *zap.Logger
	Reporters   []Reporter
	DevicesFile string                      // keeps the devices for the next run; default they are made anew
	ServerPID   int                         // the server, if it is a process of this machine; default unknown
	Drain       func(context.Context) error // makes the server drain its connections; needed for StormDrain alone
}

// ErrNoDrain says that a drain storm needs a way to make the server drain.
var ErrNoDrain = errors.New("a drain storm needs the server's data directory")

// interruptedDrain is how long an interrupted run waits at most for what is outstanding.
const interruptedDrain = 5 * time.Second

// receiptPrefix makes of a message's ID that of its receipt (CCS 3.5).
const receiptPrefix = "dr2:"

// run is one run of a plan.
type run struct {
	// Static after newRun, the slices after setUp.
	plan         *Plan
	target       *Target
	options      Options
	log          *zap.Logger
	id           uint32
	start        time.Time // of the run's clock
	collapseKeys []string
	schedule     *schedule // nil in a closed loop
	fleet        *fleet
	devices      []*device
	servers      []*appServer
	streams      []*stream

	devicesMay *connectGate  // connect
	stop       chan struct{} // closed when nothing new is sent
	stopped    atomic.Bool

	down, up                     tally
	acks, deliveries, lateness   *meter
	upAcks, upDeliveries, logins *meter
	receipts                     struct{ requested, owed, received, duplicated atomic.Int64 }
	misdelivered, strays         atomic.Int64
	reconnects, loginFailures    atomic.Int64

	connected, online presence // app servers' connections, and devices
	outages           outageLog
	stalled           time.Duration // owned by watch: how long the load tool itself stood still
	stoppedAt         time.Duration // set before stopped

	upUnsent, ownUnsent int64 // owned by sendUpstream: due upstream and never sent, by the server's fault and the load tool's

	mu    sync.Mutex
	nacks map[stanza.Code]int64
}

// Run does what a plan says to a target, tells the reporters, and returns what came of it. When ctx ends,
// nothing more is sent, and the result says that the run was interrupted. The error is for what kept the run
// from being one; there is a result then too, if anything was sent.
func Run(ctx context.Context, plan Plan, target Target, o Options) (*Result, error) {
	if err := plan.Validate(); err != nil {
		return nil, err
	}
	if plan.Storm == StormDrain && o.Drain == nil {
		return nil, ErrNoDrain
	}
	if len(target.Senders) < plan.Senders {
		return nil, fmt.Errorf("the plan has %d senders, and there are credentials of %d", plan.Senders, len(target.Senders))
	}
	r := newRun(&plan, &target, o)
	life, die := context.WithCancelCause(context.WithoutCancel(ctx))
	var goroutines sync.WaitGroup
	defer goroutines.Wait()
	defer die(nil)
	if err := r.setUp(ctx, life, die, &goroutines); err != nil {
		return nil, err
	}
	return r.runPhases(ctx, life, die, &goroutines)
}

func newRun(plan *Plan, target *Target, o Options) *run {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	r := &run{
		plan: plan, target: target, options: o, log: o.Logger.Named("load"),
		id: rand.Uint32(), start: time.Now(),
		devicesMay: newConnectGate(), stop: make(chan struct{}),
		acks: newMeter(plan.connections()), lateness: newMeter(plan.connections()), upDeliveries: newMeter(plan.connections()),
		deliveries: newMeter(plan.Devices), logins: newMeter(plan.Devices), upAcks: newMeter(plan.Devices),
		nacks: map[stanza.Code]int64{},
	}
	r.connected = presence{kind: NoConnection, log: &r.outages}
	r.online = presence{kind: NoDevice, log: &r.outages}
	for i := range plan.CollapseKeys {
		r.collapseKeys = append(r.collapseKeys, "key-"+strconv.Itoa(i))
	}
	return r
}

// now is the run's clock.
func (r *run) now() time.Duration { return time.Since(r.start) }

// sending reports whether new messages are to be made.
func (r *run) sending() bool { return !r.stopped.Load() }

// stopSending lets every connection collect its answers. It is called once.
func (r *run) stopSending() {
	r.stoppedAt = r.now()
	r.stopped.Store(true)
	close(r.stop)
	r.widen(2 * r.plan.InFlight)
}

// widen gives each connection so many places in all, if it can have as many.
func (r *run) widen(places int) {
	for _, a := range r.servers {
		a.grow(places)
	}
}

// nacked counts a refusal.
func (r *run) nacked(code stanza.Code) {
	r.down.nacked.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nacks[code]++
}

// receiptArrived counts a delivery receipt (CCS 3.5).
func (r *run) receiptArrived(receipt *ccsclient.Receipt) {
	id, _ := strings.CutPrefix(receipt.MessageID, receiptPrefix)
	of, ok := parseMessageID(id)
	switch {
	case !ok || of.run != r.id || of.stream >= len(r.streams) || !r.plan.wantsReceipt(of.seq):
		r.strays.Add(1)
	case r.streams[of.stream].receiptArrived(r.plan.receipt(of.seq)) == duplicate:
		r.receipts.duplicated.Add(1)
	default:
		r.receipts.received.Add(1)
	}
}
