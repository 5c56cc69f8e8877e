package ccstest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store/redisstore/redistest"
)

// paced is a steady load in both directions, with the outcome for each shard of a cluster.
type paced struct {
	t       *testing.T
	app     *ccsclient.Client
	devices []*pacedDevice
	stop    chan struct{}
	senders sync.WaitGroup
	begun   time.Time

	mu    sync.Mutex
	down  []pacedMessage
	codes map[stanza.Code]int
	late  int            // upstream messages that came after a later one of their device
	came  map[string]int // upstream messages, by how often each came
	last  []int          // the highest number of each device's upstream messages that came
}

type pacedDevice struct {
	*ccstest.Device
	dev   *mcsclient.Device
	shard int
	sent  int // upstream; owned by the sending goroutine
	acked int // upstream; under mu of paced
}

// pacedMessage is a downstream message. Its times count from the start; zero is never.
type pacedMessage struct {
	device                int
	due, acked, delivered time.Duration
	nacked                bool
}

const (
	pacedEvery   = 2 * time.Millisecond
	pacedBurst   = 4 // downstream messages each time: 2,000 a second
	pacedUp      = 5 // ticks between two upstream messages: 100 a second
	pacedDevices = 24
)

// shardOf returns which of the three shards of a redistest.Cluster has a queue, before any
// failover.
func shardOf(c *redistest.Shards, queue string) int {
	slot := c.Primaries[0].Do("CLUSTER", "KEYSLOT", "{"+queue+"}").(int64)
	for shard := range c.Primaries {
		if slot < int64(16384*(shard+1)/len(c.Primaries)) {
			return shard
		}
	}
	panic("a slot beyond the last")
}

// pace starts the load.
func pace(t *testing.T, s *ccstest.Server, cluster *redistest.Shards) *paced {
	t.Helper()
	p := &paced{t: t, stop: make(chan struct{}), codes: map[stanza.Code]int{}, came: map[string]int{}, begun: time.Now()}
	p.last = make([]int, pacedDevices)
	ctx, cancel := context.WithCancel(context.Background())
	var receivers, online sync.WaitGroup
	online.Add(pacedDevices)
	for range pacedDevices {
		d := &pacedDevice{Device: s.Enrol("com.example.app")}
		d.shard = shardOf(cluster, "d:"+strconv.FormatUint(d.AndroidID, 10))
		d.dev = mcsclient.NewDevice(s.MCSAddr(), d.Identity, mcsclient.DeviceOptions{
			Options:   mcsclient.Options{TLS: s.TLS(), OnMessage: p.delivered},
			OnConnect: sync.OnceFunc(online.Done),
			Backoff:   func(int) time.Duration { return 100 * time.Millisecond },
		})
		p.devices = append(p.devices, d)
		receivers.Go(func() { d.dev.Run(ctx) })
	}
	p.app = s.AppServer(ccsclient.Options{OnUpstream: p.upstream})
	online.Wait()
	t.Cleanup(func() {
		p.end()
		cancel()
		receivers.Wait()
	})
	p.senders.Go(func() { p.sendDown(ctx) })
	p.senders.Go(func() { p.sendUp(ctx, s.Sender) })
	return p
}

func (p *paced) end() {
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	p.senders.Wait()
}

// sendDown sends to each device in turn, each message when it is due, or as soon after as the
// window allows.
func (p *paced) sendDown(ctx context.Context) {
	for i := 0; ; i++ {
		due := time.Duration(i/pacedBurst) * pacedEvery
		select {
		case <-p.stop:
			return
		case <-time.After(time.Until(p.begun.Add(due))):
		}
		n := i % len(p.devices)
		p.mu.Lock()
		p.down = append(p.down, pacedMessage{device: n, due: due})
		p.mu.Unlock()
		p.app.Send(ctx, message(p.devices[n].Token, fmt.Sprint("m-", i)), func(r ccsclient.Reply) {
			p.mu.Lock()
			defer p.mu.Unlock()
			var nack *ccsclient.Nack
			switch {
			case r.Err == nil:
				p.down[i].acked = time.Since(p.begun)
			case errors.As(r.Err, &nack):
				p.codes[nack.Code]++
				p.down[i].nacked = true
			}
		})
	}
}

func (p *paced) delivered(m *mcsclient.Message) {
	id, _ := m.Get("id")
	var i int
	if _, err := fmt.Sscanf(id, "m-%d", &i); err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down[i].delivered == 0 {
		p.down[i].delivered = time.Since(p.begun)
	}
}

// sendUp makes the devices send in turn.
func (p *paced) sendUp(ctx context.Context, sender string) {
	tick := time.NewTicker(pacedEvery * pacedUp)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		n := i % len(p.devices)
		d := p.devices[n]
		d.sent++
		id := fmt.Sprintf("%d-%d", n, d.sent)
		d.dev.Send(ctx, &mcsclient.Upstream{To: sender, Category: d.App, ID: id, PersistentID: id}, func(err error) {
			if err == nil {
				p.mu.Lock()
				d.acked++
				p.mu.Unlock()
			}
		})
	}
}

func (p *paced) upstream(m *ccsclient.Upstream) error {
	var n, seq int
	if _, err := fmt.Sscanf(m.MessageID, "%d-%d", &n, &seq); err != nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.came[m.MessageID]++; p.came[m.MessageID] == 1 && seq < p.last[n] {
		p.late++
	}
	p.last[n] = max(p.last[n], seq)
	return nil
}

// pacedWindow is the outcome of the downstream messages of healthy shards that were due in a time.
type pacedWindow struct {
	perSecond           float64 // acknowledged
	slowestAck, slowest time.Duration
	sent, acked, nacked int
}

func (p *paced) healthy(sick int, from, to time.Duration) (w pacedWindow) {
	p.mu.Lock()
	defer p.mu.Unlock()
	inTime := 0
	for _, m := range p.down {
		if p.devices[m.device].shard == sick {
			continue
		}
		if m.acked >= from && m.acked < to {
			inTime++
		}
		if m.due < from || m.due >= to {
			continue
		}
		w.sent++
		if m.nacked {
			w.nacked++
		}
		if m.acked > 0 {
			w.acked++
			w.slowestAck = max(w.slowestAck, m.acked-m.due)
		}
		if m.delivered > 0 {
			w.slowest = max(w.slowest, m.delivered-m.due)
		}
	}
	w.perSecond = float64(inTime) / (to - from).Seconds()
	return w
}

// open counts acknowledged messages that have not arrived, down and up, and upstream messages that
// are not acknowledged.
func (p *paced) open() (down, up, unacked int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.down {
		if m.acked > 0 && m.delivered == 0 {
			down++
		}
	}
	for n, d := range p.devices {
		unacked += d.sent - d.acked
		for seq := 1; seq <= d.sent; seq++ {
			if p.came[fmt.Sprintf("%d-%d", n, seq)] == 0 {
				up++
			}
		}
	}
	return down, up, unacked
}

// A primary of a cluster is killed and its only replica takes its place. So new changes of that
// shard do not reach as many replicas as they must. Only the queues of that shard suffer: messages
// for the others keep their pace, and those for this one are refused with a code that says so.
// Upstream messages keep their order, and no message is lost.
func TestShardWithoutReplicasHurtsOnlyItsOwnQueues(t *testing.T) {
	t.Parallel()
	const before = time.Second
	outage := 5 * time.Second
	if long := os.Getenv("CCS_OUTAGE"); long != "" { // .ci/run gives more time
		var err error
		outage, err = time.ParseDuration(long)
		require.NoError(t, err)
	}
	cluster := redistest.Cluster(t, 1, "--cluster-require-full-coverage", "no")
	a := ccstest.Start(t, ccstest.Store(cluster.URL("")), func(c *server.Config) { c.RedisWait = "1:3000" })
	p := pace(t, a, cluster)
	sick := shardOf(cluster, "s:"+a.Sender)
	time.Sleep(before)
	killed := time.Since(p.begun)
	cluster.Primaries[sick].Kill()
	time.Sleep(outage)
	cluster.Primaries[sick].Restart() // as a replica
	back := time.Since(p.begun)
	time.Sleep(2 * time.Second)
	p.end()
	var down, up, unacked int
	assert.Eventually(t, func() bool {
		down, up, unacked = p.open()
		return down+up+unacked == 0
	}, patience, 50*time.Millisecond)

	well, ill := p.healthy(sick, killed-time.Second, killed), p.healthy(sick, killed, back)
	p.mu.Lock()
	defer p.mu.Unlock()
	upstream := 0
	for _, d := range p.devices {
		upstream += d.sent
	}
	t.Logf("sent %d, nacked %v; healthy shards: %.0f acks/s before and %.0f after, slowest ack %s and %s, slowest delivery %s and %s, %d of %d nacked; lost %d; upstream: %d sent, %d never acknowledged, %d lost, %d out of order",
		len(p.down), maps.Clone(p.codes), well.perSecond, ill.perSecond, well.slowestAck, ill.slowestAck, well.slowest, ill.slowest,
		ill.nacked, ill.sent, down, upstream, unacked, up, p.late)
	for code := range p.codes {
		assert.Equal(t, stanza.ServiceUnavailable, code)
	}
	// A batch that waits for the sick shard waits for three seconds. The rates depend on what
	// else the machine does.
	assert.Less(t, ill.slowestAck, 2*time.Second, "what healthy shards have goes on")
	assert.Less(t, ill.slowest, 3*time.Second, "what healthy shards have goes on")
	assert.Greater(t, ill.perSecond, well.perSecond/8, "what healthy shards have goes on")
	assert.Zero(t, ill.nacked, "of healthy shards")
	assert.Zero(t, down+up, "lost")
	assert.Zero(t, unacked)
	assert.Zero(t, p.late, "out of order")
	require.NotEmpty(t, p.codes, "the shard was not sick")
}
