// Package cluster lets several processes, called nodes, serve the same senders and devices from one
// store. The nodes are equal and only the store is authoritative. This package decides what a node
// does, and a store.Coordinator carries out each step atomically.
//
// # Membership
//
// A node sends two heartbeats in each Options.Heartbeat. Any other node declares a node dead that
// sent none for one and a half. One node then takes over the queues of the dead one, in batches;
// all within two heartbeats. If no node sent a heartbeat for that long, the store stood still, and
// no node is dead. A node that was declared dead learns so from its next heartbeat: it continues
// under another ID and all its sessions end.
//
// # Queues
//
// A node attaches a queue before it claims from it. A device's queue has one session on all nodes.
// Another node asks the owner to end its session and waits; after a while it takes the queue. A
// sender's queue may be attached by every node. If a queue cannot be detached because the store is
// unavailable, the node remembers it and detaches it before the queue is attached again.
//
// # Hints
//
// When a node stores entries, a hint wakes the sessions of another node. Hints may get lost. So
// each node checks its attached queues once a second: whether entries wait, and whether the queues
// are still its own.
//
// The methods of a Cluster may be called from any goroutine. A goroutine of the Cluster calls those
// of Node, which must not block. No lock is held over I/O or while the Node is called.
package cluster
