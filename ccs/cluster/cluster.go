package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/openccs/openccs/store"
)

// Options are the options of a Cluster. The zero value works.
type Options struct {
	Logger *zap.Logger // default: none

	// Heartbeat is the time in which a node sends two heartbeats. A node that dies loses its queues
	// within twice this. All nodes must have the same; default 5 s.
	Heartbeat time.Duration

	// ComeBack is how long the devices of a dead node count as connected; default 30 s.
	ComeBack time.Duration
}

// Defaults of Options.
const (
	DefaultHeartbeat = 5 * time.Second
	DefaultComeBack  = 30 * time.Second
)

// Node receives the news of other nodes for this process. Its methods must not block.
type Node interface {
	// Wake says that a queue, attached here, may have more.
	Wake(k store.Key)
	// TakenOver says that a lease has lost its queue: another node has the device now, or this node
	// was declared dead. The session must end.
	TakenOver(k store.Key, l store.Lease)
	// Offered delivers a message that is never stored.
	Offered(e store.Entry)
	// ProjectChanged says that a project, its keys or its OAuth clients have changed on another
	// node.
	ProjectChanged(sender string)
}

// Cluster makes this process one of the nodes that share a store. Use New.
type Cluster struct {
	// Static after New.
	store     store.Coordinator
	log       *zap.Logger
	heartbeat time.Duration
	comeBack  time.Duration

	// Static after Join.
	node  Node
	stop  context.CancelFunc
	loops sync.WaitGroup

	leases leases
	hints  hints

	mu          sync.Mutex         // taken before that of leases
	id          store.NodeID       // another one after the node was declared dead
	unsubscribe context.CancelFunc // ends the subscription to the hints to id
}

// New makes a Cluster that has not joined the other nodes yet.
func New(s store.Coordinator, o Options) *Cluster {
	c := &Cluster{store: s, log: o.Logger, heartbeat: o.Heartbeat, comeBack: o.ComeBack}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	if c.heartbeat <= 0 {
		c.heartbeat = DefaultHeartbeat
	}
	if c.comeBack <= 0 {
		c.comeBack = DefaultComeBack
	}
	c.log = c.log.Named("cluster")
	c.stop, c.unsubscribe = func() {}, func() {}
	c.leases.init()
	c.hints.init()
	return c
}

// Join makes this process a node. n receives the news of the other nodes. It must be called once,
// before anything is claimed from the store and before any other method but Close.
func (c *Cluster) Join(ctx context.Context, n Node) error {
	c.node = n
	c.id = c.store.Enter(c.waiting)
	if _, err := c.sendHeartbeat(ctx); err != nil {
		return fmt.Errorf("join the other nodes: %w", err)
	}
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, loop := range []func(context.Context){c.heartbeatLoop, c.checkLoop, c.publishLoop, c.listenLoop} {
		c.loops.Go(func() { loop(ctx) })
	}
	return nil
}

// Close ends the work of the node. It must be called before the store is closed, which then takes
// the node off the list of live ones; otherwise the other nodes declare it dead.
func (c *Cluster) Close() {
	c.stop()
	c.loops.Wait()
}

// self returns the ID of this node.
func (c *Cluster) self() store.NodeID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// reenter makes this node another one. The other nodes take over what it had as the old one, and
// all its sessions end.
func (c *Cluster) reenter() {
	c.mu.Lock()
	attached := c.leases.reset()
	c.id = c.store.Enter(c.waiting)
	c.unsubscribe()
	c.mu.Unlock()
	for _, a := range attached {
		c.node.TakenOver(a.Key, a.Lease)
	}
}
