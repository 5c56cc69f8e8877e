package load

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// link keeps a device connected, over either protocol.
type link interface {
	// Run returns when ctx ends or the server refuses the device.
	Run(ctx context.Context) error
	// Send sends an upstream message, if necessary over the next connection. done gets the
	// acknowledgement.
	Send(ctx context.Context, m *mcsclient.Upstream, done func(error)) error
}

// totalKey is the key of the number of messages that a deleted_messages message stands for (DEV
// 9.3).
const totalKey = "total_deleted"

// device is a device that receives and acknowledges at once.
type device struct {
	run    *run
	number int
	id     mcsclient.Identity
	token  string

	link    link
	wire    cuttableConn
	entered chan struct{} // closed at the first login
	up      stream        // the messages that it sends
	dropped atomic.Int64  // messages that the server reported as discarded

	// Owned by the goroutine that connects.
	dialled  time.Time
	logins   int
	isOnline bool
}

// open prepares the device to run.
func (d *device) open() {
	d.entered = make(chan struct{})
	if d.run.plan.DeviceProtocol == ProtocolXMPP {
		d.link = newXMPPLink(d)
	} else {
		d.link = newMCSLink(d)
	}
}

// backoff returns the pause after the given number of failures in a row, from 1.
func backoff(failures int) time.Duration { return min(firstPause<<min(failures-1, 10), longestPause) }

func (d *device) connected() {
	d.run.logins.record(d.number, time.Since(d.dialled))
	d.run.online.enter(d.run.now())
	d.isOnline = true
	if d.logins++; d.logins == 1 {
		close(d.entered)
	} else {
		d.run.reconnects.Add(1)
	}
}

func (d *device) disconnected(reason error, pause time.Duration) {
	d.run.log.Info("device disconnected", zap.Int("device", d.number), zap.Error(reason), zap.Duration("wait", pause))
	if !d.isOnline {
		d.run.loginFailures.Add(1)
		return
	}
	d.isOnline = false
	d.run.online.leave(d.run.now())
}

// dial waits until devices may connect.
func (d *device) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := d.run.devicesMay.wait(ctx); err != nil {
		return nil, err
	}
	d.dialled = time.Now()
	return d.wire.dial(ctx, network, addr)
}

// isForgotten reports whether the server no longer knows the device (DEV 6).
func isForgotten(err error) bool {
	var overMCS *mcsclient.LoginError
	var overXMPP *ccsclient.AuthError
	return errors.As(err, &overMCS) && overMCS.Code == http.StatusUnauthorized ||
		errors.As(err, &overXMPP) && overXMPP.Condition == "not-authorized"
}

// deleted counts the messages that the server reported as discarded (DEV 9.3).
func (d *device) deleted(total int64) { d.dropped.Add(total) }

// received counts a message by its sequence. It runs on a goroutine of the connection.
func (d *device) received(text string) {
	now := d.run.now()
	at, ok := parseSequence(text)
	switch {
	case !ok || at.run != d.run.id || at.stream >= len(d.run.streams):
		d.run.strays.Add(1)
		return
	case d.run.streams[at.stream].device != d:
		d.run.misdelivered.Add(1)
		return
	}
	if d.run.down.arrived(d.run.streams[at.stream], at) {
		d.run.deliveries.record(d.number, now-at.due)
		if d.run.plan.wantsReceipt(at.seq) {
			d.run.receipts.owed.Add(1)
		}
	}
}
