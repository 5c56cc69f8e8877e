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

// Options configures Run, in addition to the plan. The zero value works.
type Options struct {
	Logger      *zap.Logger
	Reporters   []Reporter
	DevicesFile string                      // keeps devices for the next run; default new ones
	ServerPID   int                         // the server, if on this machine; default unknown
	Drain       func(context.Context) error // makes the server drain; needed only for StormDrain
}

// ErrNoDrain says that a drain storm needs a way to make the server drain.
var ErrNoDrain = errors.New("a drain storm needs the server's data directory")

// interruptedDrain bounds the wait for outstanding messages in an interrupted run.
const interruptedDrain = 5 * time.Second

// receiptPrefix and a message's ID make the ID of its receipt (CCS 3.5).
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

	devicesMay *connectGate  // devices may connect
	stop       chan struct{} // closed when no new messages are sent
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

	upUnsent, ownUnsent int64 // owned by sendUpstream: unsent, by fault of the server or the tool

	mu    sync.Mutex
	nacks map[stanza.Code]int64
}

// Run applies a plan to a target, reports to the reporters, and returns the result. When ctx ends,
// no more messages are sent, and the result says that the run was interrupted. It returns an error
// if the run could not be carried out; with a result too, if any message was sent.
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

// now returns the time on the run's clock.
func (r *run) now() time.Duration { return time.Since(r.start) }

// sending reports whether new messages are still made.
func (r *run) sending() bool { return !r.stopped.Load() }

// stopSending makes every connection only collect its answers. Call it once.
func (r *run) stopSending() {
	r.stoppedAt = r.now()
	r.stopped.Store(true)
	close(r.stop)
	r.widen(2 * r.plan.InFlight)
}

// widen sets the slots of each connection to the given number, or to its maximum.
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
	case r.streams[of.stream].account.receiptArrived(r.plan.receipt(of.seq)) == duplicate:
		r.receipts.duplicated.Add(1)
	default:
		r.receipts.received.Add(1)
	}
}
