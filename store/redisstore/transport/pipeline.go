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
	pipeWaiting = 1024    // requests that wait to be sent; beyond, callers wait
	pipeCalls   = 1000    // calls in a pipeline
	pipeBytes   = 1 << 20 // of the entries in them
)

// pipeline sends calls to one Redis. While it works on one pipeline, the next gathers all calls
// that arrive. They go out together and wait for nothing else. A second pipeline at the same time
// gains nothing: both are smaller then.
type pipeline struct {
	client   redis.UniversalClient
	scripts  *Scripts
	wait     replicas
	requests chan *request
	gone     <-chan struct{} // closed when the pipeline takes no more requests
	working  sync.WaitGroup  // done when no call is running any more
}

// request holds the calls of one run for one Redis.
type request struct {
	pipe  *pipeline
	calls []*Call
	state atomic.Int32
	done  chan struct{} // closed when all calls have ended
}

// The states of a request.
const (
	waiting int32 = iota
	taken         // by the pipeline, which ends it
	given         // up, by its sender
)

func newPipeline(client redis.UniversalClient, scripts *Scripts, wait replicas, gone <-chan struct{}) *pipeline {
	p := &pipeline{
		client: client, scripts: scripts, wait: wait, requests: make(chan *request, pipeWaiting), gone: gone,
	}
	p.working.Go(p.loop)
	return p
}

// send passes a request to the pipeline.
func (p *pipeline) send(ctx context.Context, calls []*Call) *request {
	l := &request{pipe: p, calls: calls, done: make(chan struct{})}
	select {
	case p.requests <- l:
	case <-ctx.Done():
		l.cancel(ctx.Err())
	case <-p.gone:
		l.cancel(errShardGone)
	}
	return l
}

// await returns when a request has ended. If the pipeline has taken the request, await waits even
// if ctx ends: otherwise no caller would own its claims. With patience, false says that the request
// has not ended in that time; it then belongs to the pipeline.
func (l *request) await(ctx context.Context, patience time.Duration) bool {
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
			l.cancel(ctx.Err())
			ended = nil
		case <-gone:
			l.cancel(errShardGone)
			gone = nil
		case <-late:
			l.cancel(errStalled)
			select {
			case <-l.done:
				return true
			default:
				return false
			}
		}
	}
}

// cancel ends a request that the pipeline has not taken.
func (l *request) cancel(err error) {
	if !l.state.CompareAndSwap(waiting, given) {
		return
	}
	for _, c := range l.calls {
		c.Err = err
	}
	close(l.done)
}

// loop sends the requests that have arrived, a pipeline at a time.
func (p *pipeline) loop() {
	for {
		select {
		case first := <-p.requests:
			p.exchange(p.collect(first))
		case <-p.gone:
			return
		}
	}
}

// collect takes all requests that have arrived, within the limits of one pipeline.
func (p *pipeline) collect(first *request) (requests []*request) {
	runtime.Gosched() // callers that just got answers may send more
	calls, bytes := 0, 0
	for l := first; ; {
		if l.state.CompareAndSwap(waiting, taken) {
			requests = append(requests, l)
			calls += len(l.calls)
			for _, c := range l.calls {
				bytes += c.Size
			}
		}
		if calls >= pipeCalls || bytes >= pipeBytes {
			return requests
		}
		select {
		case l = <-p.requests:
		default:
			return requests
		}
	}
}

// exchange carries out requests and ends them.
func (p *pipeline) exchange(requests []*request) {
	var calls []*Call
	for _, l := range requests {
		calls = append(calls, l.calls...)
	}
	p.execute(calls)
	var unknown []*Call
	for _, c := range calls {
		if c.Err != nil && redis.HasErrorPrefix(c.Err, "NOSCRIPT") {
			unknown = append(unknown, c)
		}
	}
	if len(unknown) > 0 && p.loadScripts() == nil {
		p.execute(unknown)
	}
	for _, l := range requests {
		close(l.done)
	}
}

// execute sends calls at once and reads their replies.
func (p *pipeline) execute(calls []*Call) {
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

// loadScripts loads all scripts into Redis.
func (p *pipeline) loadScripts() error {
	_, err := p.client.Pipelined(context.Background(), func(batch redis.Pipeliner) error {
		for _, s := range p.scripts.all {
			batch.ScriptLoad(context.Background(), s.source)
		}
		return nil
	})
	return err
}
