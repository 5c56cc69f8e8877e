package transport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/openccs/openccs/store"
)

// condition says how well a Redis works, best first.
type condition int

const (
	well condition = iota
	full           // its memory is used up: no put
	weak           // too few replicas confirm changes: no put
	down           // it does not answer, or has no data: nothing works
)

// String returns the text for the log.
func (c condition) String() string {
	return [...]string{
		well: "Redis works",
		full: "the memory of Redis is used up: nothing new is stored until there is room",
		weak: "too few replicas have what Redis is told: nothing new is stored until enough have",
		down: "Redis cannot be reached",
	}[c]
}

const (
	lookEvery   = 250 * time.Millisecond // between two looks at a Redis that is not well
	lookTimeout = time.Second            // for a look, or for the replicas to confirm it
	lookKept    = time.Second            // the key that a look writes
	// calmAfter is the time without trouble before the log says that a Redis works again.
	calmAfter = 3 * time.Second

	probeEvery   = time.Second // between two probes of a Redis that is well
	probeTimeout = time.Second // for the answer to a probe
)

// health is the state of one Redis. Calls find trouble; then a look at it every lookEvery finds its
// end.
type health struct {
	t       *Transport
	client  redis.UniversalClient
	key     string        // a key of one of its slots, that a look writes
	gone    chan struct{} // closed when the store no longer uses the Redis
	unclear atomic.Bool   // is is not well, or the first look is under way

	mu      sync.Mutex
	is      condition
	cause   error
	looking bool
	verdict chan struct{} // closed after the first look; nil while none is under way
	silent  bool          // down because it does not answer; a call would find out slowly
	fallen  chan struct{} // closed when silent begins, and made again when that ends

	// Of the log. It says the same of the only Redis as the store's user does that asks for Health.
	only  bool
	told  bool        // that there is trouble, and not yet that it has ended
	begun time.Time   // the trouble
	calm  *time.Timer // says that it has ended
}

// refusedError says that a call was not sent, because its Redis is in trouble.
type refusedError struct {
	is    condition
	cause error
	waits bool // the call may wait for the end of the trouble
}

func (e *refusedError) Error() string { return fmt.Sprintf("%s (%v)", e.is, e.cause) }

// errStalled says that a Redis has not answered for so long that the calls for others must not wait
// for it.
var errStalled = errors.New("no answer in time")

// found notes the error of a call and starts a look at the Redis.
func (h *health) found(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case errors.Is(err, ErrReplicas):
		h.become(weak, err)
	case redis.HasErrorPrefix(err, "OOM"):
		h.become(full, err)
	case h.is == well && h.verdict == nil:
		h.verdict, h.cause = make(chan struct{}), err
		h.unclear.Store(true)
	}
	h.look()
}

// unproven makes callers wait for the first look. It is called before any use of the Redis.
func (h *health) unproven() {
	h.verdict = make(chan struct{})
	h.unclear.Store(true)
}

// probeLoop probes each Redis that is well until the store ends. A Redis that stands still keeps
// its connections, so calls would notice only when their answers are overdue.
func (t *Transport) probeLoop() {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-t.pipes.ctx.Done():
			return
		}
		t.pipes.mu.RLock()
		all := slices.Collect(maps.Values(t.pipes.byClient))
		t.pipes.mu.RUnlock()
		var probes sync.WaitGroup
		for _, sh := range all {
			if !sh.health.unclear.Load() {
				probes.Go(sh.health.probe)
			}
		}
		probes.Wait()
	}
}

// probe starts a look at a Redis that does not answer in time.
func (h *health) probe() {
	ctx, cancel := context.WithTimeout(h.t.pipes.ctx, probeTimeout)
	defer cancel()
	err := h.client.Ping(ctx).Err()
	switch {
	case err == nil, h.t.pipes.ctx.Err() != nil:
	case errors.Is(err, redis.ErrClosed): // it left the cluster; the next call finds out
	case ctx.Err() != nil:
		h.found(fmt.Errorf("no answer for %s: %w", probeTimeout, err))
	case trouble(err):
		h.found(err)
	}
}

// begin starts a look at the Redis.
func (h *health) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.look()
}

// look starts looking. The caller must hold h.mu. Lock order: h.mu, then pipes.mu.
func (h *health) look() {
	h.t.pipes.mu.RLock()
	defer h.t.pipes.mu.RUnlock()
	if h.looking || h.t.pipes.closed {
		return
	}
	h.looking = true
	h.t.pipes.looks.Go(func() {
		for h.lookOnce() != well {
			if cluster, ok := h.t.rdb.(*redis.ClusterClient); ok {
				cluster.ReloadState(h.t.pipes.ctx)
			}
			select {
			case <-time.After(lookEvery):
			case <-h.gone:
				h.end()
				return
			}
		}
	})
}

// lookOnce looks, and keeps what it finds.
func (h *health) lookOnce() condition {
	is, cause := h.examine()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.become(is, cause)
	if is == well {
		h.looking = false
	}
	return is
}

// examine writes a key and waits for the replicas that must confirm it.
func (h *health) examine() (condition, error) {
	ctx, cancel := context.WithTimeout(h.t.pipes.ctx, 2*lookTimeout)
	defer cancel()
	wait := h.t.replicas()
	wait.timeout = min(wait.timeout, lookTimeout)
	if n, known := h.attached(ctx); known && n < wait.count {
		return weak, fmt.Errorf("%w: %d of %d are attached", ErrReplicas, n, wait.count)
	}
	p := h.client.Pipeline()
	set := p.Set(ctx, h.key, "", lookKept)
	var confirmed *redis.Cmd
	if wait.count > 0 {
		confirmed = p.Do(ctx, wait.command()...)
	}
	_, _ = p.Exec(ctx) // both have their own error
	err := set.Err()
	var said redis.Error
	switch {
	case err == nil:
	case redis.HasErrorPrefix(err, "OOM"):
		return full, err
	case errors.As(err, &said) && !isAway(err):
		return well, nil // it answers; a slot that has moved is elsewhere
	default:
		return down, err
	}
	if confirmed == nil {
		return well, nil
	}
	n, err := wait.answer(confirmed)
	switch {
	case err != nil:
		return down, err
	case n < wait.count:
		return weak, fmt.Errorf("%w: %d of %d", ErrReplicas, n, wait.count)
	}
	return well, nil
}

// attached returns how many replicas are attached, where one of them must confirm anything. Finding
// out takes no time.
func (h *health) attached(ctx context.Context) (n int, known bool) {
	if h.t.opts.Wait <= 0 {
		return 0, false
	}
	role, err := h.client.Do(ctx, "ROLE").Slice()
	if err != nil || len(role) != 3 || role[0] != "master" {
		return 0, false // writing a key tells more
	}
	all, known := role[2].([]any)
	return len(all), known
}

// become changes the condition. The caller must hold h.mu.
func (h *health) become(is condition, cause error) {
	was := h.is
	h.is, h.cause = is, cause
	if silent := is == down && isSilence(cause); silent != h.silent {
		h.silent = silent
		if silent {
			close(h.fallen)
		} else {
			h.fallen = make(chan struct{})
		}
	}
	h.unclear.Store(is != well)
	if h.verdict != nil {
		close(h.verdict)
		h.verdict = nil
	}
	addr := zap.String("redis", addrOf(h.client))
	switch {
	case is == well && h.told && h.calm == nil:
		ended := time.Now()
		h.calm = time.AfterFunc(calmAfter, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.is == well && h.told {
				h.t.log.Log(h.level(zap.InfoLevel), "Redis works again", addr, zap.Duration("took", ended.Sub(h.begun)))
				h.told = false
			}
			h.calm = nil
		})
	case is == well:
	case !h.told:
		h.told, h.begun = true, time.Now()
		h.t.log.Log(h.level(zap.WarnLevel), is.String(), addr, zap.Error(cause))
	case h.calm != nil: // the trouble goes on
		h.calm.Stop()
		h.calm = nil
	case was < is && was != well:
		h.t.log.Log(h.level(zap.WarnLevel), is.String(), addr, zap.Error(cause))
	}
}

// level returns the level of a log line.
func (h *health) level(l zapcore.Level) zapcore.Level {
	if h.only {
		return zap.DebugLevel
	}
	return l
}

// end ends the use of a Redis.
func (h *health) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.verdict != nil {
		close(h.verdict)
		h.verdict = nil
	}
	if h.calm != nil {
		h.calm.Stop()
	}
	if h.told && !h.t.closed.Load() {
		h.t.log.Info("Redis is used no more", zap.String("redis", addrOf(h.client)), zap.Duration("took", time.Since(h.begun)))
	}
}

// now returns the condition, after the first look.
func (h *health) now(ctx context.Context) (condition, error) {
	if !h.unclear.Load() {
		return well, nil
	}
	h.mu.Lock()
	verdict := h.verdict
	h.mu.Unlock()
	if verdict != nil {
		select {
		case <-verdict:
		case <-ctx.Done():
		case <-h.gone:
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.is, h.cause
}

// falls returns a channel that is closed while the Redis is silent.
func (h *health) falls() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fallen
}

// refusal returns why calls are not sent to a silent Redis, or nil. They may wait for its end.
func (h *health) refusal() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.silent {
		return nil
	}
	return &refusedError{h.is, h.cause, true}
}

// admit ends the calls that the condition of their Redis does not permit, and returns the others.
// It separates those that replicas must confirm from those that need no confirmation.
func (sh *shard) admit(ctx context.Context, calls []*Call) (plain, durable []*Call) {
	if !sh.failsFast && sh.health.unclear.Load() {
		if err := sh.health.refusal(); err != nil {
			for _, c := range calls {
				c.Err = err
			}
			return nil, nil
		}
	}
	is, cause := well, error(nil)
	if sh.failsFast {
		is, cause = sh.health.now(ctx)
	}
	if is == well || is == full {
		if sh.plain == sh.durable {
			return calls, nil
		}
		return split(calls)
	}
	var open []*Call
	for _, c := range calls {
		switch {
		case is == down:
			c.Err = &refusedError{is, cause, !c.Hasty}
		case c.Durable && !c.Relaxed:
			c.Err = &refusedError{is, cause, !c.Hasty}
		default:
			c.Durable = false // no replica could confirm it
			open = append(open, c)
		}
	}
	return open, nil
}

// split sorts calls by whether replicas must confirm them.
func split(calls []*Call) (plain, durable []*Call) {
	for _, c := range calls {
		if c.Durable {
			durable = append(durable, c)
		} else {
			plain = append(plain, c)
		}
	}
	return plain, durable
}

// Health implements store.Health: calls are refused if no Redis can work.
func (t *Transport) Health() error {
	t.pipes.mu.RLock()
	all := slices.Collect(maps.Values(t.pipes.byClient))
	t.pipes.mu.RUnlock()
	var worst error
	for _, sh := range all {
		h := &sh.health
		h.mu.Lock()
		is, cause := h.is, h.cause
		h.mu.Unlock()
		if is == well {
			return nil
		}
		worst = fmt.Errorf("%w: %s (%w)", store.ErrUnavailable, is, cause)
	}
	return worst
}

// addrOf returns the address that a client connects to.
func addrOf(c redis.UniversalClient) string {
	if one, ok := c.(*redis.Client); ok {
		return one.Options().Addr
	}
	return ""
}
