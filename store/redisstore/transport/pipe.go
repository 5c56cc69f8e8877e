package transport

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Limits of the calls that wait for one Redis, and of those in one pipeline.
const (
	pipeWaiting = 1024    // parcels that wait to be sent; beyond, callers wait
	pipeCalls   = 1000    // calls in a pipeline
	pipeBytes   = 1 << 20 // of the entries in them
)

// pipe sends calls to one Redis. While it works on one pipeline, the next gathers all calls that
// arrive. They go out together and wait for nothing else. A second pipeline at the same time gains
// nothing: both are smaller then.
type pipe struct {
	client  redis.UniversalClient
	scripts *Scripts
	wait    replicas
	parcels chan *parcel
	gone    <-chan struct{} // closed when the pipe takes no more parcels
	working sync.WaitGroup  // done when no call is running any more
}

// parcel holds the calls of one run for one Redis.
type parcel struct {
	pipe  *pipe
	calls []*Call
	state atomic.Int32
	done  chan struct{} // closed when all calls have ended
}

// The states of a parcel.
const (
	waiting int32 = iota
	taken         // by the pipe, which ends it
	given         // up, by its sender
)

func newPipe(client redis.UniversalClient, scripts *Scripts, wait replicas, gone <-chan struct{}) *pipe {
	p := &pipe{
		client: client, scripts: scripts, wait: wait, parcels: make(chan *parcel, pipeWaiting), gone: gone,
	}
	p.working.Go(p.work)
	return p
}

// send passes a parcel to the pipe.
func (p *pipe) send(ctx context.Context, calls []*Call) *parcel {
	l := &parcel{pipe: p, calls: calls, done: make(chan struct{})}
	select {
	case p.parcels <- l:
	case <-ctx.Done():
		l.giveUp(ctx.Err())
	case <-p.gone:
		l.giveUp(errShardGone)
	}
	return l
}

// await returns when a parcel has ended. If the pipe has taken the parcel, await waits even if ctx
// ends: otherwise no caller would own its claims. With patience, false says that the parcel has not
// ended in that time; it then belongs to the pipe.
func (l *parcel) await(ctx context.Context, patience time.Duration) bool {
	var late <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		late = t.C
	}
	ended, gone := ctx.Done(), l.pipe.gone
	for {
		select {
		case <-l.done:
			return true
		case <-ended:
			l.giveUp(ctx.Err())
			ended = nil
		case <-gone:
			l.giveUp(errShardGone)
			gone = nil
		case <-late:
			l.giveUp(errStalled)
			select {
			case <-l.done:
				return true
			default:
				return false
			}
		}
	}
}

// giveUp ends a parcel that the pipe has not taken.
func (l *parcel) giveUp(err error) {
	if !l.state.CompareAndSwap(waiting, given) {
		return
	}
	for _, c := range l.calls {
		c.Err = err
	}
	close(l.done)
}

// work sends the parcels that have arrived, a pipeline at a time.
func (p *pipe) work() {
	for {
		select {
		case first := <-p.parcels:
			p.exchange(p.gather(first))
		case <-p.gone:
			return
		}
	}
}

// gather takes all parcels that have arrived, within the limits of one pipeline.
func (p *pipe) gather(first *parcel) (parcels []*parcel) {
	runtime.Gosched() // callers that just got answers may send more
	calls, bytes := 0, 0
	for l := first; ; {
		if l.state.CompareAndSwap(waiting, taken) {
			parcels = append(parcels, l)
			calls += len(l.calls)
			for _, c := range l.calls {
				bytes += c.Size
			}
		}
		if calls >= pipeCalls || bytes >= pipeBytes {
			return parcels
		}
		select {
		case l = <-p.parcels:
		default:
			return parcels
		}
	}
}

// exchange carries out parcels and ends them.
func (p *pipe) exchange(parcels []*parcel) {
	var calls []*Call
	for _, l := range parcels {
		calls = append(calls, l.calls...)
	}
	p.pipeline(calls)
	var unknown []*Call
	for _, c := range calls {
		if c.Err != nil && redis.HasErrorPrefix(c.Err, "NOSCRIPT") {
			unknown = append(unknown, c)
		}
	}
	if len(unknown) > 0 && p.teach() == nil {
		p.pipeline(unknown)
	}
	for _, l := range parcels {
		close(l.done)
	}
}

// pipeline sends calls at once and reads their replies.
func (p *pipe) pipeline(calls []*Call) {
	if len(calls) == 0 {
		return
	}
	ctx := context.Background() // bounded by the client's timeouts
	batch := p.client.Pipeline()
	commands := group(calls)
	cmds := make([]*redis.Cmd, len(commands))
	for i, c := range commands {
		cmds[i] = batch.Do(ctx, c.args()...)
	}
	confirm := p.wait.ask(ctx, batch, calls)
	_, _ = batch.Exec(ctx) // every command has its own error
	for i, c := range commands {
		c.done(cmds[i].Result())
	}
	confirm()
}

// teach loads all scripts into Redis.
func (p *pipe) teach() error {
	_, err := p.client.Pipelined(context.Background(), func(batch redis.Pipeliner) error {
		for _, s := range p.scripts.all {
			batch.ScriptLoad(context.Background(), s.source)
		}
		return nil
	})
	return err
}
